/*
 * Every use of shadow variables, one bit of the answer each:
 *
 *   call klp_shadow:shadow_selfcheck      = 0x3ff
 *
 * (and it says which allocation was refused, and why).
 */
#include <linux/livepatch.h>
#include <linux/module.h>

static int ctor_calls, dtor_calls;
static long last_seen;

static int ctor(void *obj, void *shadow_data, void *ctor_data)
{
	long **data = shadow_data;

	ctor_calls++;
	if (!ctor_data)
		return -EINVAL;
	*data = ctor_data;
	return 0;
}

static void dtor(void *obj, void *shadow_data)
{
	dtor_calls++;
	last_seen = **(long **)shadow_data;
}

long shadow_selfcheck(void)
{
	static long values[3] = { 10, 20, 30 };
	char objects[3];
	long **one, **two, **three, bits = 0;

	ctor_calls = 0;
	dtor_calls = 0;
	bits |= (klp_shadow_get(&objects[0], 5) == NULL) << 0;
	one = klp_shadow_alloc(&objects[0], 5, sizeof(long *), GFP_KERNEL, ctor, &values[0]);
	two = klp_shadow_alloc(&objects[1], 5, sizeof(long *), GFP_KERNEL, ctor, &values[1]);
	three = klp_shadow_alloc(&objects[0], 6, sizeof(long *), GFP_KERNEL, ctor, &values[2]);
	bits |= (one && *one == &values[0] && two && *two == &values[1]) << 1;
	bits |= (klp_shadow_get(&objects[0], 5) == one &&
		 klp_shadow_get(&objects[0], 6) == three) << 2;
	/* There is one already. */
	bits |= (klp_shadow_alloc(&objects[0], 5, 8, GFP_KERNEL, ctor, &values[2]) == NULL) << 3;
	bits |= (klp_shadow_get_or_alloc(&objects[0], 5, 8, GFP_KERNEL, ctor, &values[2]) ==
		 one && ctor_calls == 3) << 4;
	/* The constructor will not have it. */
	bits |= (klp_shadow_get_or_alloc(&objects[2], 5, 8, GFP_KERNEL, ctor, NULL) == NULL &&
		 klp_shadow_get(&objects[2], 5) == NULL) << 5;
	klp_shadow_free(&objects[0], 5, dtor);
	bits |= (dtor_calls == 1 && last_seen == 10 &&
		 klp_shadow_get(&objects[0], 5) == NULL) << 6;
	klp_shadow_free(&objects[0], 5, dtor); /* nothing there: nothing happens */
	bits |= (dtor_calls == 1) << 7;
	klp_shadow_free_all(5, dtor);
	bits |= (dtor_calls == 2 && last_seen == 20 &&
		 klp_shadow_get(&objects[0], 6) == three) << 8;
	klp_shadow_free_all(6, NULL);
	bits |= (dtor_calls == 2 && klp_shadow_get(&objects[0], 6) == NULL) << 9;
	return bits;
}
EXPORT_SYMBOL_GPL(shadow_selfcheck);

static int __init shadow_init(void)
{
	return 0;
}
module_init(shadow_init);

static void __exit shadow_exit(void)
{
}
module_exit(shadow_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Every use of shadow variables");
