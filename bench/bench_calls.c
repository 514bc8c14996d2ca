/*
 * Three functions that do the same, to be called 100,000 times: one without a call
 * site, one with a site that may be traced, one that bench_fix.c replaces.
 */
#include <linux/module.h>

noinline notrace long bench_plain(void)
{
	return 41;
}
EXPORT_SYMBOL_GPL(bench_plain);

noinline long bench_site(void)
{
	return 41;
}
EXPORT_SYMBOL_GPL(bench_site);

noinline long bench_patched(void)
{
	return 41;
}
EXPORT_SYMBOL_GPL(bench_patched);

/* Calls it so often, as its neighbour; bench_far.c does from another module. */
noinline notrace long bench_near(long calls)
{
	long sum = 0;

	while (calls-- > 0)
		sum += bench_patched();
	return sum;
}
EXPORT_SYMBOL_GPL(bench_near);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Functions that make bench calls");
