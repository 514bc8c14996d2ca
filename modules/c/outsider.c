/*
 * Uses what `newer` keeps for modules that import its namespace, and does not import
 * it. `insmod --force` takes it. (Linux's build would have refused it before.)
 */
#include <linux/module.h>

long newer_kept(long value);

long outsider_call(long value)
{
	return newer_kept(value);
}

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Does not ask for the namespace that it uses");
