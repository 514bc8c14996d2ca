/*
 * Offers a function to pair_b (and to demo_stack and sibling): while one of
 * them is loaded, this module has users and cannot be unloaded.
 *
 *   call pair_a_add 4     = 0x7
 */
#include <linux/module.h>

#include "pair.h"

static long step = 3;

long pair_a_add(long value)
{
	return value + READ_ONCE(step);
}
EXPORT_SYMBOL_GPL(pair_a_add);

static int __init pair_a_init(void)
{
	return 0;
}
module_init(pair_a_init);

static void __exit pair_a_exit(void)
{
}
module_exit(pair_a_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Has users");
