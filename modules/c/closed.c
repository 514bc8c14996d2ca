/*
 * A module whose licence is not the GPL's friend. What everybody may use it can use;
 * `newer_gpl` it may not, and is refused.
 */
#include <linux/module.h>

long newer_gpl(long value);

long closed_call(long value)
{
	return newer_gpl(value);
}

MODULE_LICENSE("Proprietary");
MODULE_DESCRIPTION("Wants what it may not have");
