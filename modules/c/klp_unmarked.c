/* A live patch that does not say that it is one: MODULE_INFO(livepatch, "Y") is missing. */
#include <linux/livepatch.h>
#include <linux/module.h>

static long unmarked_answer(void)
{
	return 50;
}

static struct klp_func funcs[] = {
	{ .old_name = "answer", .new_func = unmarked_answer },
	{}
};

static struct klp_object objs[] = {
	{ .name = "demo", .funcs = funcs },
	{}
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init unmarked_init(void)
{
	return klp_enable_patch(&patch);
}
module_init(unmarked_init);

static void __exit unmarked_exit(void)
{
}
module_exit(unmarked_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("A live patch that is not marked as one");
