/*
 * A live patch for a function that is named on the command line, to see what
 * livepatch does with targets that it must refuse, wait for, or survive.
 *
 *   insmod fix_any object=demo function=answer      call demo:answer = 0x63
 *   insmod fix_any object=late function=late_multiply        refused, late site
 *   insmod fix_any object=demo function=nine trap=1          calls of it end in an oops
 *   insmod fix_any object=demo function=answer fail=1        patched, then init fails
 */
#include <linux/livepatch.h>
#include <linux/module.h>

static char *object = "demo";
module_param(object, charp, 0444);
MODULE_PARM_DESC(object, "module to be patched");

static char *function = "answer";
module_param(function, charp, 0444);
MODULE_PARM_DESC(function, "its function to be replaced");

static int trap;
module_param(trap, int, 0644);
MODULE_PARM_DESC(trap, "1: the replacement calls a function that traps; 2: it traps itself");

static int fail;
module_param(fail, int, 0444);
MODULE_PARM_DESC(fail, "1: the init function fails after it has patched; 2: it traps");

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

static struct klp_object objs[] = {
	{ .funcs = funcs },
	{}
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init fix_any_init(void)
{
	int error;

	funcs[0].old_name = function;
	if (trap == 2)
		funcs[0].new_func = fix_any_leaf;
	objs[0].name = object;
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
