/*
 * A live patch for a function that is named on the command line, to see what
 * livepatch does with targets that it must refuse, wait for, or survive.
 *
 *   insmod fix_any object=demo function=answer      call demo:answer = 0x63
 *   insmod fix_any object=late function=late_multiply        refused, late site
 *   insmod fix_any object=demo function=nine trap=1          calls of it end in an oops
 *   insmod fix_any object=demo function=answer fail=1        patched, then init fails
 *   insmod fix_any talk=1 trap_in=post_patch      callbacks: what they say, which traps
 *   insmod fix_any talk=1 object2=demo_user function2=user_selfcheck refuse=-16
 *                                                 the second object's pre_patch refuses
 *   insmod fix_any new_func=0x1234                refused: no code of this module
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/livepatch.h>
#include <linux/module.h>

static char *object = "demo";
module_param(object, charp, 0444);
MODULE_PARM_DESC(object, "module to be patched");

static char *function = "answer";
module_param(function, charp, 0444);
MODULE_PARM_DESC(function, "its function to be replaced");

static unsigned long sympos;
module_param(sympos, ulong, 0444);
MODULE_PARM_DESC(sympos, "which of its functions of that name");

static int trap;
module_param(trap, int, 0644);
MODULE_PARM_DESC(trap, "1: the replacement calls a function that traps; 2: it traps itself");

static int fail;
module_param(fail, int, 0444);
MODULE_PARM_DESC(fail, "1: the init function fails after it has patched; 2: it traps");

static char *object2;
module_param(object2, charp, 0444);
MODULE_PARM_DESC(object2, "a second module to be patched");

static char *function2;
module_param(function2, charp, 0444);
MODULE_PARM_DESC(function2, "its function to be replaced");

static unsigned long new_func;
module_param(new_func, ulong, 0444);
MODULE_PARM_DESC(new_func, "address of the replacement, instead of the module's own");

static int talk;
module_param(talk, int, 0644);
MODULE_PARM_DESC(talk, "1: there are callbacks, and they say so");

static char *trap_in = "";
module_param(trap_in, charp, 0644);
MODULE_PARM_DESC(trap_in, "name of the callback that traps, for the first object");

static int refuse;
module_param(refuse, int, 0644);
MODULE_PARM_DESC(refuse, "what pre_patch of the last object returns");

static int spoil;
module_param(spoil, int, 0444);
MODULE_PARM_DESC(spoil, "1: pre_patch spoils fix_any_inner's call site (translation off)");

/* A frame of its own under the replacement's, for the back trace. */
static noinline __noclone long fix_any_inner(long value)
{
	if (trap)
		__builtin_trap();
	return value;
}

/* Traps before it has a frame; not traced, so that nothing comes before. */
static notrace long fix_any_leaf(void)
{
	__builtin_trap();
}

/* Takes and ignores what the function that it replaces was given. */
static long fix_any_new(void)
{
	long value = fix_any_inner(99);

	barrier();
	return value;
}

static struct klp_func funcs[] = {
	{ .new_func = fix_any_new },
	{}
};

static struct klp_func funcs2[] = {
	{ .new_func = fix_any_new },
	{}
};

static struct klp_object objs[] = {
	{ .funcs = funcs },
	{},
	{}
};

/* The callbacks, not traced: tests count the sites. */
static notrace void say(const char *callback, struct klp_object *obj)
{
	pr_info("%s of %s\n", callback, obj->name);
	if (obj == objs && !strcmp(trap_in, callback))
		__builtin_trap();
}

static notrace int pre_patch(struct klp_object *obj)
{
	say("pre_patch", obj);
	if (spoil) /* behind two words for r2, and mflr */
		((volatile unsigned int *)fix_any_inner)[3] = 0x7c0802a6;
	return obj[1].name ? 0 : refuse;
}

static notrace void post_patch(struct klp_object *obj)
{
	say("post_patch", obj);
}

static notrace void pre_unpatch(struct klp_object *obj)
{
	say("pre_unpatch", obj);
}

static notrace void post_unpatch(struct klp_object *obj)
{
	say("post_unpatch", obj);
}

static const struct klp_callbacks callbacks = {
	.pre_patch = pre_patch,
	.post_patch = post_patch,
	.pre_unpatch = pre_unpatch,
	.post_unpatch = post_unpatch,
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init fix_any_init(void)
{
	int error;

	funcs[0].old_name = function;
	funcs[0].old_sympos = sympos;
	if (trap == 2)
		funcs[0].new_func = fix_any_leaf;
	if (new_func)
		funcs[0].new_func = (void *)new_func;
	objs[0].name = object;
	if (object2) {
		funcs2[0].old_name = function2;
		objs[1].name = object2;
		objs[1].funcs = funcs2;
	}
	if (talk) {
		objs[0].callbacks = callbacks;
		if (object2)
			objs[1].callbacks = callbacks;
	}
	error = klp_enable_patch(&patch);
	if (error)
		return error;
	if (fail == 2)
		__builtin_trap();
	return fail ? -EBUSY : 0;
}
module_init(fix_any_init);

static void __exit fix_any_exit(void)
{
}
module_exit(fix_any_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("Replaces a function that its parameters name");
