/*
 * Repairs klp_shadow_mod: what is allocated with an object is tied to it by a
 * shadow variable, and freed with it. Objects from before have none, and that is
 * no fault.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "klp_shadow_mod.h"

static int leak_ctor(void *obj, void *shadow_data, void *ctor_data)
{
	int **shadow = shadow_data;

	if (!ctor_data)
		return -EINVAL;
	*shadow = ctor_data;
	return 0;
}

static void leak_dtor(void *obj, void *shadow_data)
{
	struct dummy *d = obj;
	int **shadow = shadow_data;

	pr_info("frees what came with object %ld\n", d->number);
	kfree(*shadow);
}

static struct dummy *fix1_alloc(void)
{
	struct dummy *d = kzalloc(sizeof(*d), GFP_KERNEL);
	int *leak;

	if (!d)
		return NULL;
	leak = kzalloc(sizeof(*leak), GFP_KERNEL);
	if (!leak || !klp_shadow_alloc(d, SHADOW_LEAK, sizeof(leak), GFP_KERNEL,
				       leak_ctor, leak)) {
		kfree(leak);
		kfree(d);
		return NULL;
	}
	return d;
}

static void fix1_free(struct dummy *d)
{
	int **shadow = klp_shadow_get(d, SHADOW_LEAK);

	if (shadow)
		klp_shadow_free(d, SHADOW_LEAK, leak_dtor);
	else
		pr_info("object %ld is from before\n", d->number);
	kfree(d);
}

static struct klp_func funcs[] = {
	{ .old_name = "dummy_alloc", .new_func = fix1_alloc },
	{ .old_name = "dummy_free", .new_func = fix1_free },
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

static int __init fix1_init(void)
{
	return klp_enable_patch(&patch);
}
module_init(fix1_init);

static void __exit fix1_exit(void)
{
	klp_shadow_free_all(SHADOW_LEAK, leak_dtor);
}
module_exit(fix1_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("Ties to an object what was allocated with it");
