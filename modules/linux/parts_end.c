/* One module of two files, part two: its end. */
#include <linux/kernel.h>
#include <linux/module.h>

void cleanup_module(void)
{
	pr_info("parts: end, from the second file\n");
}

MODULE_LICENSE("GPL");
