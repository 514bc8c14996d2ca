/*
 * A live patch of klp_stack: whoever has called stack_data knows where its data lie.
 *
 *   insmod klp_busy; insmod klp_stack; insmod klp_stack_fix; call -b -c 1 stack_keep
 *   livepatch disable klp_stack_fix; rmmod klp_stack_fix
 */
#include <linux/livepatch.h>
#include <linux/module.h>

long *fix_data(void);

noinline long *fix_data(void)
{
	static long data[2] = { 1, 2 };

	barrier();
	return data;
}

static struct klp_func funcs[] = {
	{ .old_name = "stack_data", .new_func = fix_data },
	{}
};

static struct klp_object objs[] = {
	{ .name = "klp_stack", .funcs = funcs },
	{}
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

/* Pages that are given back after init, where another module has room. */
asm(".pushsection .init.text,\"ax\",@progbits\n\t.space 0x8000\n\t.popsection");

static int __init fix_init(void)
{
	return klp_enable_patch(&patch);
}
module_init(fix_init);

static void __exit fix_exit(void)
{
}
module_exit(fix_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("Replaces stack_data by a function that has data of its own");
