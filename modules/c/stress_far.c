/* What the stress calls in another module: through a stub, or by a tail call. */
#include <linux/module.h>

#include "stress_targets.h"

static long by = 3;

/* Not a leaf, so it saves LR, whatever that is. */
static noinline notrace long times(long a, long b)
{
	return a * b;
}

noinline long stress_far_mix(long a)
{
	long product = times(a, READ_ONCE(by));

	return product + 1;
}
EXPORT_SYMBOL_GPL(stress_far_mix);

static int __init notrace stress_far_init(void)
{
	return 0;
}
module_init(stress_far_init);

static void __exit notrace stress_far_exit(void)
{
}
module_exit(stress_far_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Called by the stress from another module");
