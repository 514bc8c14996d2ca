/*
 * Live patches: replacements for functions that are running.
 *
 *   klp_patch ---> klp_object[]            ---> klp_func[]
 *                  one a patched module         { old_name, new_func }, ...
 *                  ("demo"; NULL: kernel)       ends with an empty entry
 *                  ends with an empty entry
 *
 * A patch module fills in the members above the line `internal` and calls
 * klp_enable_patch() from its init function; the kernel finds the old functions
 * by name and redirects their call sites. It says so with
 * MODULE_INFO(livepatch, "Y"). Layouts are Linux 6.1's. docs/livepatch.md has a
 * patch from the beginning.
 *
 * Below `internal`, callbacks may read obj->mod, obj->patched, func->old_func,
 * func->patched and patch->enabled; what is written there has no effect.
 */
#ifndef _LINUX_LIVEPATCH_H
#define _LINUX_LIVEPATCH_H

#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/module.h>

struct klp_func {
	const char *old_name;    /* the function to replace */
	void *new_func;          /* its replacement */
	unsigned long old_sympos; /* 0: the name is unique; n: the n-th of it */

	/* internal */
	void *old_func;
	struct kobject kobj;
	struct list_head node;
	struct list_head stack_node;
	unsigned long old_size, new_size;
	bool nop;
	bool patched;
	bool transition;
};

struct klp_object;

struct klp_callbacks {
	int (*pre_patch)(struct klp_object *obj); /* may refuse: negative */
	void (*post_patch)(struct klp_object *obj);
	void (*pre_unpatch)(struct klp_object *obj);
	void (*post_unpatch)(struct klp_object *obj);
	bool post_unpatch_enabled;
};

struct klp_object {
	const char *name; /* of the patched module; NULL for the kernel */
	struct klp_func *funcs;
	struct klp_callbacks callbacks;

	/* internal */
	struct kobject kobj;
	struct list_head func_list;
	struct list_head node;
	struct module *mod;
	bool dynamic;
	bool patched;
};

struct klp_state {
	unsigned long id;
	unsigned int version;
	void *data;
};

struct klp_patch {
	struct module *mod;
	struct klp_object *objs;
	struct klp_state *states;
	bool replace; /* takes the place of every patch enabled before */

	/* internal */
	struct list_head list;
	struct kobject kobj;
	struct list_head obj_list;
	bool enabled;
	bool forced;
	unsigned long free_work[4];
	unsigned long finish[4];
};

#define __KLP_AT(type, member, offset)                       \
	_Static_assert(offsetof(struct type, member) == offset, \
		       "Linux 6.1's layout of " #type)
__KLP_AT(klp_func, old_name, 0);
__KLP_AT(klp_func, new_func, 8);
__KLP_AT(klp_func, old_sympos, 16);
__KLP_AT(klp_func, old_func, 24);
__KLP_AT(klp_func, kobj, 32);
__KLP_AT(klp_func, node, 96);
__KLP_AT(klp_func, stack_node, 112);
__KLP_AT(klp_func, old_size, 128);
__KLP_AT(klp_func, new_size, 136);
__KLP_AT(klp_func, nop, 144);
__KLP_AT(klp_object, name, 0);
__KLP_AT(klp_object, funcs, 8);
__KLP_AT(klp_object, callbacks, 16);
__KLP_AT(klp_object, kobj, 56);
__KLP_AT(klp_object, func_list, 120);
__KLP_AT(klp_object, node, 136);
__KLP_AT(klp_object, mod, 152);
__KLP_AT(klp_object, dynamic, 160);
__KLP_AT(klp_patch, mod, 0);
__KLP_AT(klp_patch, objs, 8);
__KLP_AT(klp_patch, states, 16);
__KLP_AT(klp_patch, replace, 24);
__KLP_AT(klp_patch, list, 32);
_Static_assert(sizeof(struct klp_func) == 152, "Linux 6.1's size");
_Static_assert(sizeof(struct klp_object) == 168, "Linux 6.1's size");

/*
 * 0, or a negative error: then nothing was redirected. The change may still go on
 * when this returns, until no CPU is in a function that is replaced.
 */
int klp_enable_patch(struct klp_patch *patch);

/* The objects of a patch, and the functions of an object, in a for loop. */
#define klp_for_each_object_static(patch, obj) \
	for (obj = patch->objs; obj->funcs || obj->name; obj++)
#define klp_for_each_func_static(obj, func) \
	for (func = obj->funcs; func->old_name || func->new_func || func->old_sympos; func++)

static inline bool klp_is_module(const struct klp_object *obj)
{
	return obj->name;
}

/*
 * Shadow variables: `size` bytes, zeroed, tied to the object at `obj` under the
 * number `id`. NULL if there are some already (klp_shadow_alloc; the other gives
 * those), no memory, or the constructor returns an error.
 */
typedef int (*klp_shadow_ctor_t)(void *obj, void *shadow_data, void *ctor_data);
typedef void (*klp_shadow_dtor_t)(void *obj, void *shadow_data);

void *klp_shadow_get(void *obj, unsigned long id);
void *klp_shadow_alloc(void *obj, unsigned long id, size_t size, gfp_t gfp,
		       klp_shadow_ctor_t ctor, void *ctor_data);
void *klp_shadow_get_or_alloc(void *obj, unsigned long id, size_t size, gfp_t gfp,
			      klp_shadow_ctor_t ctor, void *ctor_data);
void klp_shadow_free(void *obj, unsigned long id, klp_shadow_dtor_t dtor);
void klp_shadow_free_all(unsigned long id, klp_shadow_dtor_t dtor);

/*
 * What patches have changed besides code: this patch's state `id`, and that of the
 * newest of the patches before it, for callbacks. NULL if there is none.
 */
struct klp_state *klp_get_state(struct klp_patch *patch, unsigned long id);
struct klp_state *klp_get_prev_state(unsigned long id);

#endif
