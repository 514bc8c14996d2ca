/*
 * A patch as Linux's documentation shows it first: /proc/cmdline says something
 * else. The function that is replaced is the kernel's own.
 *
 *   livepatch enable klp_sample; cat /proc/cmdline
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int sample_cmdline_show(struct seq_file *m, void *v)
{
	seq_printf(m, "%s: %d words were here\n", "patched", 2);
	return 0;
}

static struct klp_func funcs[] = {
	{
		.old_name = "cmdline_proc_show",
		.new_func = sample_cmdline_show,
	}, { }
};

static struct klp_object objs[] = {
	{
		/* no name: the kernel */
		.funcs = funcs,
	}, { }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int sample_init(void)
{
	return klp_enable_patch(&patch);
}

static void sample_exit(void)
{
}

module_init(sample_init);
module_exit(sample_exit);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("Replaces what /proc/cmdline says");
