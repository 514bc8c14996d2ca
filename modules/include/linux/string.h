/* Bytes and texts; the kernel exports the functions. */
#ifndef _LINUX_STRING_H
#define _LINUX_STRING_H

#include <linux/types.h>

void *memcpy(void *to, const void *from, size_t len);
void *memmove(void *to, const void *from, size_t len);
void *memset(void *to, int byte, size_t len);
int memcmp(const void *a, const void *b, size_t len);
size_t strlen(const char *text);
size_t strnlen(const char *text, size_t max);
int strcmp(const char *a, const char *b);
char *strchr(const char *text, int byte);
/* Copies with its NUL; returns the length, or -E2BIG where it was cut. */
ssize_t strscpy(char *to, const char *from, size_t size);

#endif
