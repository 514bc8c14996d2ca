/*
 * A second live patch on top of demo_fix. Its replacement calls a function of a
 * third module, so r2 changes once more behind the redirect.
 *
 *   insmod pair_a; livepatch enable demo_stack; call demo:answer   = 0x2b
 */
#include <linux/livepatch.h>
#include <linux/module.h>

#include "pair.h"

static long base = 40;

static long stack_answer(void)
{
	long sum = pair_a_add(READ_ONCE(base));

	/* Reads its own data again: not there if r2 was not brought back. */
	return READ_ONCE(base) == 40 ? sum : -1;
}

static struct klp_func funcs[] = {
	{ .old_name = "answer", .new_func = stack_answer },
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

static int __init demo_stack_init(void)
{
	return klp_enable_patch(&patch);
}
module_init(demo_stack_init);

static void __exit demo_stack_exit(void)
{
}
module_exit(demo_stack_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("Patches demo:answer once more, with a callee in pair_a");
