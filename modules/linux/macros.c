/*
 * Begin and end under names of one's own, code and data that init alone needs, and
 * what a module says of itself.
 */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/printk.h>

static int times __initdata = 2;

static int __init macros_begin(void)
{
	printk(KERN_INFO "macros: init runs, its data say %d\n", times);
	return 0;
}

static void __exit macros_end(void)
{
	printk(KERN_INFO "macros: exit runs\n");
}

module_init(macros_begin);
module_exit(macros_end);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The Tocsin project");
MODULE_DESCRIPTION("Begin and end by macros");
MODULE_VERSION("1.0");
