/*
 * The least that a module can be: two functions with the names that the kernel
 * looks for. Written for Linux: nothing in this folder knows of Tocsin.
 */
#include <linux/module.h>
#include <linux/printk.h>

int init_module(void)
{
	pr_info("begin: the kernel has called init_module\n");
	return 0;
}

void cleanup_module(void)
{
	pr_info("begin: the kernel has called cleanup_module\n");
}

MODULE_LICENSE("GPL");
