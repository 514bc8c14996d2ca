/*
 * Calls bench_calls' function from another module, through a stub; bench_near does the
 * same from its own. What a replaced function takes more is then its call's alone.
 */
#include <linux/module.h>

long bench_patched(void);

noinline notrace long bench_far(long calls)
{
	long sum = 0;

	while (calls-- > 0)
		sum += bench_patched();
	return sum;
}
EXPORT_SYMBOL_GPL(bench_far);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Calls a function of bench_calls from another module");
