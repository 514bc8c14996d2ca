/*
 * A patch whose pre_patch enables another one, klp_tail: one change at a time.
 *
 *   insmod klp_busy; insmod klp_tail; insmod klp_nest
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/livepatch.h>
#include <linux/module.h>

int klp_tail_enable(void);

static long nest_hold(void)
{
	return 0xa;
}

static notrace int pre_patch(struct klp_object *obj)
{
	pr_info("another one: %d\n", klp_tail_enable());
	return 0;
}

static struct klp_func funcs[] = {
	{ .old_name = "busy_hold", .new_func = nest_hold },
	{}
};

static struct klp_object objs[] = {
	{ .name = "klp_busy", .funcs = funcs, .callbacks = { .pre_patch = pre_patch } },
	{}
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init nest_init(void)
{
	return klp_enable_patch(&patch);
}
module_init(nest_init);

static void __exit nest_exit(void)
{
}
module_exit(nest_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("Enables another live patch in the middle of its own change");
