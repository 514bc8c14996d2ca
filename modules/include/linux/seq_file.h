/* What a function that fills a control file writes to. */
#ifndef _LINUX_SEQ_FILE_H
#define _LINUX_SEQ_FILE_H

#include <linux/compiler.h>
#include <linux/types.h>

/* The members that Linux 6.1 begins with; `count` bytes of `buf` are shown. */
struct seq_file {
	char *buf;
	size_t size;
	size_t from;
	size_t count;
};

__printf(2, 3) void seq_printf(struct seq_file *file, const char *fmt, ...);
int seq_write(struct seq_file *file, const void *data, size_t len);

#endif
