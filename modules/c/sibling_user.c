/*
 * Calls sibling_entry, which leaves by a branch to a third module. The r2 that
 * comes back must be this module's (sibling.S says why it might not be).
 *
 *   call sibling_user_call 5     = 0x7e2
 */
#include <linux/module.h>

long sibling_entry(long value);

static long own = 2000;

long sibling_user_call(long value)
{
	long result = sibling_entry(value);

	return result + READ_ONCE(own);
}

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Its callee ends with a branch to another module");
