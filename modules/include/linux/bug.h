/*
 * BUG() and WARN_ON(). A trap instruction makes the kernel print an oops and
 * end the job; WARN_ON only prints, there is no bug table in these modules.
 */
#ifndef _LINUX_BUG_H
#define _LINUX_BUG_H

#include <linux/build_bug.h>
#include <linux/printk.h>

#define BUG() __builtin_trap()
#define BUG_ON(condition)                 \
	do {                              \
		if (unlikely(condition))  \
			BUG();            \
	} while (0)
#define WARN_ON(condition)                                               \
	({                                                               \
		int __warn = !!(condition);                              \
		if (unlikely(__warn))                                    \
			_printk(KERN_WARNING "WARNING: at %s:%d/%s()\n", \
				__FILE__, __LINE__, __func__);           \
		unlikely(__warn);                                        \
	})

#endif
