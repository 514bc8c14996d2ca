/*
 * A patch of both functions of mix, of one GENERATION: mix_one and mix_two are this one
 * twice, to be stacked and taken away in any order. What is inside leaves r2 alone, what
 * is outside does not: burn-in treats them differently.
 */
#include <linux/livepatch.h>

#include "mix.h"

static long new_inner(void)
{
	barrier();
	return GENERATION;
}

/* Calls the other by its name: by a stub, to what replaces it. */
static long new_outer(void)
{
	return mix_answer(GENERATION);
}

static struct klp_func funcs[] = {
	{ .old_name = "mix_inner", .new_func = new_inner },
	{ .old_name = "mix_outer", .new_func = new_outer },
	{}
};

static struct klp_object objs[] = {
	{ .name = "mix", .funcs = funcs },
	{}
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init notrace mix_init(void)
{
	return klp_enable_patch(&patch);
}
module_init(mix_init);

static void __exit notrace mix_exit(void)
{
}
module_exit(mix_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("Replaces the functions of mix together");
