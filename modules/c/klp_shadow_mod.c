/*
 * A module with a leak, for two patches to repair: each object comes with a block
 * that nobody keeps. klp_shadow_fix1 keeps it in a shadow variable of the object,
 * klp_shadow_fix2 counts how often an object was looked at.
 *
 *   call klp_shadow_mod:shadow_make 3      objects, and leaked blocks
 *   call klp_shadow_mod:shadow_check       looks at each; how many there are
 *   call klp_shadow_mod:shadow_drop        frees them; how many there were
 */
#include <linux/module.h>
#include <linux/slab.h>

#include "klp_shadow_mod.h"

static struct dummy *all;
static long made;

struct dummy *dummy_alloc(void);
void dummy_free(struct dummy *d);
bool dummy_check(struct dummy *d);
long shadow_make(long count);
long shadow_check(void);
long shadow_drop(void);

noinline __noclone struct dummy *dummy_alloc(void)
{
	struct dummy *d = kzalloc(sizeof(*d), GFP_KERNEL);
	int *leak;

	if (!d)
		return NULL;
	leak = kzalloc(sizeof(*leak), GFP_KERNEL);
	if (!leak) {
		kfree(d);
		return NULL;
	}
	barrier(); /* and `leak` is forgotten */
	return d;
}

noinline __noclone void dummy_free(struct dummy *d)
{
	kfree(d);
}

noinline __noclone bool dummy_check(struct dummy *d)
{
	barrier();
	return d->number >= 0;
}

long shadow_make(long count)
{
	while (count--) {
		struct dummy *d = dummy_alloc();

		if (!d)
			return -ENOMEM;
		d->number = made++;
		d->next = all;
		all = d;
	}
	return made;
}
EXPORT_SYMBOL_GPL(shadow_make);

long shadow_check(void)
{
	struct dummy *d;
	long good = 0;

	for (d = all; d; d = d->next)
		good += dummy_check(d);
	return good;
}
EXPORT_SYMBOL_GPL(shadow_check);

long shadow_drop(void)
{
	long count = 0;

	while (all) {
		struct dummy *d = all;

		all = d->next;
		dummy_free(d);
		count++;
	}
	return count;
}
EXPORT_SYMBOL_GPL(shadow_drop);

static int __init shadow_init(void)
{
	return 0;
}
module_init(shadow_init);

static void __exit shadow_exit(void)
{
	shadow_drop();
}
module_exit(shadow_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Leaks a block with each object");
