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
int strncmp(const char *a, const char *b, size_t max);
int strcasecmp(const char *a, const char *b);
int strncasecmp(const char *a, const char *b, size_t max);
char *strchr(const char *text, int byte);
char *strrchr(const char *text, int byte);
char *strstr(const char *text, const char *part);
void *memchr(const void *data, int byte, size_t len);
/* These trust the caller for the room; strscpy, below, does not. */
char *strcpy(char *to, const char *from);
char *strncpy(char *to, const char *from, size_t room);
char *strcat(char *to, const char *from);
/* Copies on the heap, for kfree(); NULL if there is no memory. */
char *kstrdup(const char *text, gfp_t flags);
void *kmemdup(const void *data, size_t len, gfp_t flags);
/* Copies with its NUL; returns the length, or -E2BIG where it was cut. */
ssize_t strscpy(char *to, const char *from, size_t size);

#endif
