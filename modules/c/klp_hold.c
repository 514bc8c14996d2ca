/*
 * A patch whose replacement waits: busy_outer calls busy_inner, is led here, and is
 * on the stack of the CPU that waits, although its own code has returned address
 * and TOC on the shadow stack only.
 *
 *   insmod klp_busy; insmod klp_hold; call -b -c 1 klp_busy:busy_outer 1
 */
#include <linux/livepatch.h>
#include <linux/module.h>

void busy_wait(void);

static long hold_inner(long a)
{
	busy_wait();
	barrier();
	return a + 1000;
}

static struct klp_func funcs[] = {
	{ .old_name = "busy_inner", .new_func = hold_inner },
	{}
};

static struct klp_object objs[] = {
	{ .name = "klp_busy", .funcs = funcs },
	{}
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init hold_init(void)
{
	return klp_enable_patch(&patch);
}
module_init(hold_init);

static void __exit hold_exit(void)
{
}
module_exit(hold_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("Replaces busy_inner by a function that waits");
