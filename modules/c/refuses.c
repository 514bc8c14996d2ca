/* Its init function fails (-ENODEV, 19): nothing of it may stay behind. */
#include <linux/module.h>

long refuses_export(void)
{
	return 1;
}
EXPORT_SYMBOL_GPL(refuses_export);

static int __init refuses_init(void)
{
	return -ENODEV;
}
module_init(refuses_init);

static void __exit refuses_exit(void)
{
}
module_exit(refuses_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Fails to initialise");
