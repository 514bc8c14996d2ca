/*
 * Imports from pair_a. Loading it first is refused by the symbol's name;
 * unloading pair_a first is refused by this module's.
 *
 *   insmod pair_a; insmod pair_b; call pair_b_twice 1     = 0x7
 */
#include <linux/module.h>

#include "pair.h"

long pair_b_twice(long value)
{
	return pair_a_add(pair_a_add(value));
}

static int __init pair_b_init(void)
{
	return 0;
}
module_init(pair_b_init);

static void __exit pair_b_exit(void)
{
}
module_exit(pair_b_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Uses pair_a");
