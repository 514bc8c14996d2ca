/*
 * Exports what only its init should use: the kernel keeps that then.
 *
 *   insmod init_export; call init_export_triple 5
 *
 * A compiler says nothing of it (Linux's build does: "section mismatch"), and Linux
 * on this machine never gives init memory back.
 */
#include <linux/module.h>

int init_export_value __initdata = 3;
EXPORT_SYMBOL(init_export_value);

int __init init_export_triple(int x)
{
	return init_export_value * x;
}
EXPORT_SYMBOL(init_export_triple);

static int __init begin(void)
{
	return 0;
}
module_init(begin);

static void __exit end(void)
{
}
module_exit(end);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Exports in init memory");
