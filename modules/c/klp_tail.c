/*
 * A patch whose replacement of busy_inner jumps to a function that waits: whoever is in
 * that is in no replacement any more, and in the patch all the same.
 *
 *   insmod klp_tail                     its own init leaves it disabled
 *   insmod klp_tail at_init=1           enables it; fails when somebody waits in it
 *   insmod klp_tail at_exit=1           tries to enable it when it goes
 *   insmod klp_tail at_init=2           enables it; the first call leaves its address in
 *                                       klp_busy, whose busy_run calls it
 *   insmod klp_tail at_init=3           calls klp_enable_patch twice
 *   insmod klp_tail at_init=4           calls it with a null pointer
 *   echo 1 > /sys/module/klp_tail/parameters/leave
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/livepatch.h>
#include <linux/module.h>

static int at_init;
module_param(at_init, int, 0444);
MODULE_PARM_DESC(at_init, "1: enables and fails, 2: leaves its address, 3: twice, 4: null");

static int at_exit;
module_param(at_exit, int, 0444);
MODULE_PARM_DESC(at_exit, "1: enables");

static int leave;
module_param(leave, int, 0644);
MODULE_PARM_DESC(leave, "1: whoever waits goes on");

static int inside;

extern long (*busy_then)(void);
int klp_tail_enable(void);

static noinline __noclone notrace long linger(long a)
{
	WRITE_ONCE(inside, 1);
	while (!READ_ONCE(leave))
		cpu_relax();
	return a;
}

static noinline notrace long then(void)
{
	barrier();
	return 0x99;
}

static long tail_inner(long a)
{
	if (at_init == 2) {
		busy_then = then;
		return a;
	}
	return linger(a + 2000);
}

static struct klp_func funcs[] = {
	{ .old_name = "busy_inner", .new_func = tail_inner },
	{}
};

static struct klp_object objs[] = {
	{ .name = "klp_busy", .funcs = funcs },
	{}
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

int klp_tail_enable(void)
{
	return klp_enable_patch(&patch);
}
EXPORT_SYMBOL_GPL(klp_tail_enable);

static int __init tail_init(void)
{
	int error;

	if (!at_init)
		return 0;
	error = klp_enable_patch(at_init == 4 ? NULL : &patch);
	if (error || at_init == 2)
		return error;
	if (at_init == 3)
		return klp_enable_patch(&patch);
	while (!READ_ONCE(inside))
		cpu_relax();
	return -EBUSY;
}
module_init(tail_init);

static void __exit tail_exit(void)
{
	if (at_exit)
		pr_info("exit: %d\n", klp_enable_patch(&patch));
}
module_exit(tail_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("A live patch that is hard to leave");
