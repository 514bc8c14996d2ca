/*
 * A live patch for a function of the kernel's own: what /proc/cmdline shows. Linux's
 * samples begin with a patch of the same function; the words here are ours.
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int new_cmdline_show(struct seq_file *m, void *v)
{
	seq_printf(m, "%s\n", "patched while it ran");
	return 0;
}

static struct klp_func funcs[] = {
	{
		.old_name = "cmdline_proc_show",
		.new_func = new_cmdline_show,
	}, { }
};

static struct klp_object objs[] = {
	{
		/* no name: the kernel itself */
		.funcs = funcs,
	}, { }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int patch_begin(void)
{
	return klp_enable_patch(&patch);
}

static void patch_end(void)
{
}

module_init(patch_begin);
module_exit(patch_end);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
