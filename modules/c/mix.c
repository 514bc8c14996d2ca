/*
 * The functions that mix_one and mix_two replace, and calls of them from their own
 * module; mix_user.c calls them from another.
 */
#include "mix.h"

noinline __noclone long mix_inner(void)
{
	barrier();
	return 0;
}
EXPORT_SYMBOL_GPL(mix_inner);

noinline __noclone long mix_outer(void)
{
	return mix_answer(0);
}
EXPORT_SYMBOL_GPL(mix_outer);

noinline __noclone notrace long mix_near(void)
{
	long answer = mix_outer();

	barrier();
	return answer;
}
EXPORT_SYMBOL_GPL(mix_near);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Functions that belong together, to be replaced together");
