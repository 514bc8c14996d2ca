/*
 * Calls a function that may be missing, as weak symbols allow: demo's `answer`.
 *
 *   call weak_careful   = 0x0 without demo, 0x29 if demo came first
 *   call weak_careless  an oops without demo: the stub names what is missing
 */
#include <linux/module.h>

long answer(void) __attribute__((weak));

/* weak_careful - looks first. */
long weak_careful(void)
{
	return answer ? answer() : 0;
}

/* weak_careless - does not. */
long weak_careless(void)
{
	return answer() + 1;
}

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Calls a function that may be missing");
