/*
 * Its exit function lies among what only init uses.
 *
 *   insmod init_exit; rmmod init_exit
 */
#include <linux/module.h>

/* So that there is something else. */
int init_exit_rest(int x)
{
	return x + 1;
}

static int __init begin(void)
{
	return 0;
}
module_init(begin);

static void __init end(void)
{
	pr_info("ends all the same\n");
}
module_exit(end);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("An exit function in init memory");
