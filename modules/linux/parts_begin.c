/* One module of two files, part one: its begin. parts_end.c is the other. */
#include <linux/kernel.h>
#include <linux/module.h>

int init_module(void)
{
	pr_info("parts: begin, from the first file\n");
	return 0;
}

MODULE_LICENSE("GPL");
