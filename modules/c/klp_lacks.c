/*
 * A live patch that borrows a variable which the module that runs does not have, as one
 * that was made of another source does.
 */
#include <linux/livepatch.h>
#include <linux/module.h>

extern long lacking asm("\".klp.sym.demo.nosuch,0\"");

static long new_answer(void)
{
	return lacking;
}

static struct klp_func funcs[] = {
	{ .old_name = "answer", .new_func = new_answer },
	{ }
};

static struct klp_object objs[] = {
	{ .name = "demo", .funcs = funcs },
	{ }
};

static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objs };

static int __init lacks_init(void)
{
	return klp_enable_patch(&patch);
}
module_init(lacks_init);

static void __exit lacks_exit(void)
{
}
module_exit(lacks_exit);

MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("A patch that borrows what is not there");
