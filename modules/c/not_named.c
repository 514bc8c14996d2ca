/* Uses what `newer` keeps for other modules by their names: refused. */
#include <linux/module.h>

long newer_named(long value);

long not_named_call(long value)
{
	return newer_named(value);
}

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Uses what is for other modules");
