/*
 * On top of klp_shadow_fix1: counts in a shadow variable how often each object was
 * looked at, objects from before the patch too, and says so when it goes.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "klp_shadow_mod.h"

static bool fix2_check(struct dummy *d)
{
	int *count = klp_shadow_get_or_alloc(d, SHADOW_COUNT, sizeof(*count),
					     GFP_KERNEL, NULL, NULL);

	if (count)
		++*count;
	return d->number >= 0;
}

static void leak_dtor(void *obj, void *shadow_data)
{
	kfree(*(int **)shadow_data);
}

static void fix2_free(struct dummy *d)
{
	int *count = klp_shadow_get(d, SHADOW_COUNT);

	klp_shadow_free(d, SHADOW_LEAK, leak_dtor);
	if (count) {
		pr_info("object %ld was looked at %d times\n", d->number, *count);
		klp_shadow_free(d, SHADOW_COUNT, NULL);
	}
	kfree(d);
}

static struct klp_func funcs[] = {
	{ .old_name = "dummy_check", .new_func = fix2_check },
	{ .old_name = "dummy_free", .new_func = fix2_free },
	{}
};

static struct klp_object objs[] = {
	{ .name = "klp_shadow_mod", .funcs = funcs },
	{}
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init fix2_init(void)
{
	return klp_enable_patch(&patch);
}
module_init(fix2_init);

static void __exit fix2_exit(void)
{
	klp_shadow_free_all(SHADOW_COUNT, NULL);
}
module_exit(fix2_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("Counts in a shadow variable how often an object was looked at");
