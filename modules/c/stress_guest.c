/*
 * A module that comes and goes while others run: a job in it calls the functions
 * of `stress` from outside, and it may go only when the job has ended.
 */
#include <linux/module.h>

#include "stress_targets.h"

int stress_stopped(void);

static int stop;
static long own = 1000;

noinline long guest_step(long a)
{
	long answer = stress_answer();
	long nine = stress_nine(a, a, a, a, a, a, a, a, a);

	if (answer != OLD_ANSWER && answer != NEW_ANSWER && answer != TOP_ANSWER)
		return -1;
	if (nine != 45 * a && nine != 285 * a)
		return -2;
	return READ_ONCE(own) + a;
}

/* fix_any may replace guest_step. Until guest_stop; how often the answer was wrong. */
notrace long guest_run(void)
{
	long a = 0, wrong = 0, answer;

	while (!READ_ONCE(stop) && !stress_stopped()) {
		a++;
		answer = guest_step(a);
		if (answer != own + a && answer != TOP_ANSWER)
			wrong++;
		asm volatile("or 1,1,1" : : : "memory"); /* as take_turns */
	}
	return wrong;
}

notrace int guest_stop(void)
{
	WRITE_ONCE(stop, 1);
	return 0;
}

static int __init notrace stress_guest_init(void)
{
	return 0;
}
module_init(stress_guest_init);

static void __exit notrace stress_guest_exit(void)
{
}
module_exit(stress_guest_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Loaded and unloaded while the stress runs");
