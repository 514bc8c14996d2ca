/*
 * A module that is in its functions for as long as one likes.
 *
 *   call -b -c 1 klp_busy:busy_hold     in busy_hold until go is 1
 *   call -b -c 1 klp_busy:busy_outer    calls busy_inner, which returns at once; a
 *                                       patch's replacement of it waits (klp_hold)
 *   call -b -c 1 klp_busy:busy_run      in busy_hold, then in what busy_then points to
 *   echo 1 > /sys/module/klp_busy/parameters/go
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/module.h>

static int go;
module_param(go, int, 0644);
MODULE_PARM_DESC(go, "1: whoever waits goes on");

static int at_init;
module_param(at_init, int, 0444);
MODULE_PARM_DESC(at_init, "1: says when it comes and goes");

void busy_wait(void);
long busy_hold(void);
long busy_run(void);
long busy_inner(long a);
long busy_outer(long a);
long busy_spin(long n);
long busy_step(long n);

/* Not to be inlined: a frame of its own on the stack. */
noinline __noclone void busy_wait(void)
{
	while (!READ_ONCE(go))
		cpu_relax();
}
EXPORT_SYMBOL_GPL(busy_wait);

noinline __noclone long busy_hold(void)
{
	busy_wait();
	barrier();
	return 1;
}
EXPORT_SYMBOL_GPL(busy_hold);

/* What busy_run calls after busy_hold; for others to set. */
extern long (*busy_then)(void);
long (*busy_then)(void);
EXPORT_SYMBOL_GPL(busy_then);

notrace long busy_run(void)
{
	long then;

	busy_hold();
	then = busy_then ? busy_then() : 0;
	barrier();
	return then;
}
EXPORT_SYMBOL_GPL(busy_run);

noinline __noclone long busy_inner(long a)
{
	barrier();
	return a + 1;
}
EXPORT_SYMBOL_GPL(busy_inner);

noinline __noclone long busy_outer(long a)
{
	long b = busy_inner(a);

	barrier();
	return b + 100;
}
EXPORT_SYMBOL_GPL(busy_outer);

noinline __noclone long busy_step(long n)
{
	barrier();
	return n & 0;
}
EXPORT_SYMBOL_GPL(busy_step);

/* Calls busy_step all the time; how often its answer went back to an older one. */
noinline __noclone long busy_spin(long n)
{
	long last = busy_step(n), turns = 0;

	while (!READ_ONCE(go)) {
		long now = busy_step(n);

		turns += now < last;
		last = now;
	}
	return turns;
}
EXPORT_SYMBOL_GPL(busy_spin);

static int __init busy_init(void)
{
	if (at_init)
		pr_info("init\n");
	return 0;
}
module_init(busy_init);

static void __exit busy_exit(void)
{
	if (at_init)
		pr_info("exit\n");
}
module_exit(busy_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Functions that take as long as one likes");
