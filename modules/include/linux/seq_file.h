/* What a function that fills a control file writes to. */
#ifndef _LINUX_SEQ_FILE_H
#define _LINUX_SEQ_FILE_H

#include <linux/compiler.h>

struct seq_file;
__printf(2, 3) void seq_printf(struct seq_file *file, const char *fmt, ...);

#endif
