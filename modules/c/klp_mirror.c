/*
 * A patch of demo's `answer` that says what the kernel has noted in its structures.
 *
 *   insmod demo; insmod klp_mirror; call mirror_look     = 0xf
 *   rmmod demo; call mirror_look                         = 0x8
 */
#include <linux/livepatch.h>
#include <linux/module.h>

long mirror_look(void);

static noinline long mirror_answer(void)
{
	barrier();
	return 1;
}

static struct klp_func funcs[] = {
	{ .old_name = "answer", .new_func = mirror_answer }, { }
};
static struct klp_object objs[] = {
	{ .name = "demo", .funcs = funcs }, { }
};
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objs };

/* From the lowest: the module, its function, whether that is patched, the patch enabled. */
long mirror_look(void)
{
	return (objs[0].mod ? 1 : 0) | (funcs[0].old_func ? 2 : 0) |
	       (objs[0].patched && funcs[0].patched ? 4 : 0) | (patch.enabled ? 8 : 0);
}

static int mirror_init(void)
{
	return klp_enable_patch(&patch);
}
module_init(mirror_init);

static void mirror_exit(void)
{
}
module_exit(mirror_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("Says what the kernel has noted in a patch's structures");
