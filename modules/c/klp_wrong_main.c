/*
 * A live patch with a mistake of one's choice, to see that it is refused, and what is
 * said. Its own functions are what it patches: two of them are called `twin`.
 *
 *   insmod klp_wrong wrong=twin sympos=2     not wrong: call wrong_twins = 0x131
 *   insmod klp_wrong wrong=twin              refused: which of the two?
 */
#include <linux/livepatch.h>
#include <linux/module.h>

static char *wrong = "";
module_param(wrong, charp, 0444);
MODULE_PARM_DESC(wrong, "the mistake: twin, itself, inside, object, name, nothing, null or mod");

static ulong sympos;
module_param(sympos, ulong, 0444);
MODULE_PARM_DESC(sympos, "which of the functions that are called twin");

long other_twin(void);
long wrong_old(void);
long wrong_twins(void);

/* klp_wrong_twin.c has another of that name. */
static noinline __noclone long twin(void)
{
	barrier();
	return 1;
}

noinline __noclone long wrong_old(void)
{
	barrier();
	return 3;
}

long wrong_twins(void)
{
	return twin() + 0x100 * other_twin();
}

static long wrong_new(void)
{
	return 0x31;
}

static struct klp_func funcs[] = {
	{ .old_name = "wrong_old", .new_func = wrong_new },
	{}
};

static struct klp_object objs[] = {
	{ .name = KBUILD_MODNAME, .funcs = funcs },
	{},
	{}
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init wrong_init(void)
{
	if (!strcmp(wrong, "twin")) {
		funcs[0].old_name = "twin";
		funcs[0].old_sympos = sympos;
	}
	if (!strcmp(wrong, "itself"))
		funcs[0].new_func = wrong_old;
	if (!strcmp(wrong, "inside"))
		funcs[0].new_func = (char *)wrong_new + 4;
	if (!strcmp(wrong, "object"))
		objs[1] = objs[0];
	if (!strcmp(wrong, "name"))
		funcs[0].old_name = "";
	if (!strcmp(wrong, "nothing"))
		memset(objs, 0, sizeof(objs));
	if (!strcmp(wrong, "null"))
		funcs[0].new_func = NULL;
	if (!strcmp(wrong, "mod"))
		patch.mod = (struct module *)&patch;
	return klp_enable_patch(&patch);
}
module_init(wrong_init);

static void __exit wrong_exit(void)
{
}
module_exit(wrong_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("A live patch with a mistake");
