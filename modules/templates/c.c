/*
 * NAME: what it does, in one line.
 *
 *   make module SRC=NAME.c OUT=NAME.ko
 *   make run MODULES=NAME.ko CMD='insmod NAME start=40; call NAME_next'
 *                                        NAME: begins at 40
 *                                        = 0x28
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/module.h>

static long start = 1;
module_param(start, long, 0444);
MODULE_PARM_DESC(start, "the first number");

/* Answers start, start + 1, ... Other modules may call it. */
long NAME_next(void);
long NAME_next(void)
{
	return start++;
}
EXPORT_SYMBOL_GPL(NAME_next);

static int __init NAME_init(void)
{
	pr_info("begins at %ld\n", start);
	return 0; /* a negative number is an error: the module goes again */
}

static void __exit NAME_exit(void)
{
	pr_info("ends before %ld\n", start);
}

module_init(NAME_init);
module_exit(NAME_exit);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("what it does, in one line");
