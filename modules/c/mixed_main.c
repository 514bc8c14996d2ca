/*
 * A module of two objects, one C and one assembly: their sections are merged by
 * `ld -r`, and the call between them stays inside of the module.
 *
 *   call mixed_hash 1     = 0x2468
 */
#include <linux/module.h>

unsigned long mixed_rotate(unsigned long value);

static unsigned long key = 0x1234;

unsigned long mixed_hash(unsigned long value)
{
	return mixed_rotate(value * READ_ONCE(key));
}
EXPORT_SYMBOL_GPL(mixed_hash);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Two objects, one module");
