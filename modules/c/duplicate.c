/* Exports what pair_a exports: the second of the two to come is refused. */
#include <linux/module.h>

#include "pair.h"

long pair_a_add(long value)
{
	return value + 300;
}
EXPORT_SYMBOL_GPL(pair_a_add);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Exports a symbol a second time");
