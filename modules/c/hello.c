/*
 * The smallest whole module: begin, end, two parameters, one function that the
 * shell and other modules can call.
 *
 *   insmod hello name=reader times=2     hello, reader (twice)
 *   call hello_greet "you"               hello, you;  = 0x3
 *   rmmod hello                          goodbye, reader
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/module.h>

static char *name = "world";
module_param(name, charp, 0444);
MODULE_PARM_DESC(name, "whom to greet");

static int times = 1;
module_param(times, int, 0644);
MODULE_PARM_DESC(times, "how often to greet at the start");

static unsigned int greetings;

/* Greets, and says how many greetings there have been. */
unsigned int hello_greet(const char *whom)
{
	pr_info("hello, %s\n", whom);
	return ++greetings;
}
EXPORT_SYMBOL_GPL(hello_greet);

static int __init hello_init(void)
{
	int i;

	for (i = 0; i < times; i++)
		hello_greet(name);
	return 0;
}
module_init(hello_init);

static void __exit hello_exit(void)
{
	pr_info("goodbye, %s\n", name);
}
module_exit(hello_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("The smallest whole module");
