/* Has an init function and no exit function: once loaded, it stays. */
#include <linux/module.h>

static int __init noexit_init(void)
{
	return 0;
}
module_init(noexit_init);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Cannot be unloaded");
