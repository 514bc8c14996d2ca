/*
 * A module that comes in the middle of a transition, and is run by a CPU that has not
 * changed over: klp_busy's busy_run calls late_twice when it has left busy_hold. Both of
 * its answers are of one side: 0, or what a patch of late_one says, twice.
 *
 *   insmod klp_comes; echo 1 > /sys/module/klp_busy/parameters/go
 *   echo 1 > /sys/module/klp_comes/parameters/go_on
 */
#include <linux/module.h>

static int go_on;
module_param(go_on, int, 0644);
MODULE_PARM_DESC(go_on, "1: late_twice goes on");

extern long (*busy_then)(void);
long late_one(void);
long late_twice(void);

noinline __noclone long late_one(void)
{
	barrier();
	return 0;
}
EXPORT_SYMBOL_GPL(late_one);

noinline __noclone long late_twice(void)
{
	long first = late_one();

	while (!READ_ONCE(go_on))
		cpu_relax();
	return first << 8 | late_one();
}
EXPORT_SYMBOL_GPL(late_twice);

static int __init late_init(void)
{
	busy_then = late_twice;
	return 0;
}
module_init(late_init);

static void __exit late_exit(void)
{
	busy_then = NULL;
}
module_exit(late_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Comes late, and is in use at once");
