/*
 * A live patch whose functions have one entry each: no data, so no TOC set-up, and r2
 * comes back as it was. Calls of the old ones can then go straight here from within
 * demo too, where nobody would restore r2 (`livepatch burn`).
 *
 *   livepatch enable demo_leaf; call demo:call_answer      = 0x2a
 */
#include <linux/livepatch.h>
#include <linux/module.h>

static long leaf_answer(void)
{
	return 42;
}

/* The ninth is where demo's caller has put it: nobody may build a frame between. */
static long leaf_nine(long a, long b, long c, long d, long e, long f, long g,
		      long h, long i)
{
	return a + b + c + d + e + f + g + h + 1000 * i;
}

static struct klp_func funcs[] = {
	{ .old_name = "answer", .new_func = leaf_answer },
	{ .old_name = "nine", .new_func = leaf_nine },
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

static int __init leaf_init(void)
{
	return klp_enable_patch(&patch);
}
module_init(leaf_init);

static void __exit leaf_exit(void)
{
}
module_exit(leaf_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("Replaces demo's functions by some without a TOC of their own");
