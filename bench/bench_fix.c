/*
 * Replaces bench_patched by a function that takes as many instructions: what a
 * patched call costs more is then the redirect's alone.
 */
#include <linux/livepatch.h>
#include <linux/module.h>

static long fix_patched(void)
{
	return 42;
}

static struct klp_func funcs[] = {
	{ .old_name = "bench_patched", .new_func = fix_patched },
	{}
};

static struct klp_object objs[] = {
	{ .name = "bench_calls", .funcs = funcs },
	{}
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init bench_fix_init(void)
{
	return klp_enable_patch(&patch);
}
module_init(bench_fix_init);

static void __exit bench_fix_exit(void)
{
}
module_exit(bench_fix_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("Replaces a function of bench_calls");
