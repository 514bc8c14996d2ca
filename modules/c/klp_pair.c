/*
 * A patch of klp_busy's `busy_step` that also borrows a variable of demo, which comes and
 * goes while the replacement runs: an address, made by two instructions, is seen whole.
 *
 *   insmod klp_busy; insmod klp_pair; call -b -c 1 busy_spin 1; insmod demo
 *   echo 1 > /sys/module/klp_pair/parameters/stop; wait 1; call pair_mixed     = 0x0
 */
#include <linux/livepatch.h>
#include <linux/module.h>

#define THEIRS ".klp.sym.demo.canary,0"

static int stop;
module_param(stop, int, 0644);
MODULE_PARM_DESC(stop, "1: whoever looks goes on");

static int steady;
module_param(steady, int, 0644);
MODULE_PARM_DESC(steady, "1: stays in the replacement until stop is 1");

static unsigned long first;
static long mixed;

long pair_mixed(void);

static noinline long pair_step(long a)
{
	unsigned long there;

	do {
		asm volatile("addis %0,2,\"" THEIRS "\"@toc@ha\n\t"
			     "nop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\t"
			     "addi %0,%0,\"" THEIRS "\"@toc@l" : "=b" (there));
		if (there && !first)
			first = there;
		/* Memory that is free again is given to the next demo. */
		mixed += there && there != first;
	} while (READ_ONCE(steady) && !READ_ONCE(stop));
	return READ_ONCE(stop);
}

long pair_mixed(void)
{
	return mixed;
}

static struct klp_func funcs[] = {
	{ .old_name = "busy_step", .new_func = pair_step }, { }
};
static struct klp_object objs[] = {
	{ .name = "klp_busy", .funcs = funcs }, { }
};
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objs };

static int pair_init(void)
{
	return klp_enable_patch(&patch);
}
module_init(pair_init);

static void pair_exit(void)
{
}
module_exit(pair_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("Runs all the time, and borrows from a module that comes and goes");
