/*
 * BUG() and WARN_ON(): a trap instruction, and an entry of `__bug_table` that says
 * which of the two it is, and where. At a BUG() the job ends with an oops; after a
 * warning the code goes on behind the trap.
 */
#ifndef _LINUX_BUG_H
#define _LINUX_BUG_H

#include <linux/build_bug.h>
#include <linux/printk.h>

#define BUGFLAG_WARNING 1
#define BUGFLAG_ONCE    2

/* The trap at 1b: distances to it and to the file's name, then line and flags. */
#define __bug_trap(flags)                                                  \
	asm volatile("1:	trap\n"                                    \
		     "	.pushsection __bug_table, \"aw\"\n"                \
		     "	.balign	4\n"                                       \
		     "	.long	1b - ., %0 - .\n"                          \
		     "	.short	%1, %2\n"                                  \
		     "	.popsection\n"                                     \
		     : : "i"(__FILE__), "i"(__LINE__), "i"(flags))

#define BUG()                            \
	do {                             \
		__bug_trap(0);           \
		__builtin_unreachable(); \
	} while (0)
#define BUG_ON(condition)                 \
	do {                              \
		if (unlikely(condition))  \
			BUG();            \
	} while (0)
#define __warn_on(condition, flags)             \
	({                                      \
		int __warn = !!(condition);     \
		if (unlikely(__warn))           \
			__bug_trap(flags);      \
		unlikely(__warn);               \
	})
#define WARN_ON(condition)      __warn_on(condition, BUGFLAG_WARNING)
#define WARN_ON_ONCE(condition) __warn_on(condition, BUGFLAG_WARNING | BUGFLAG_ONCE)

#endif
