/*
 * Built with -pg alone: `bl _mcount; nop` stands behind the prologue, where r0
 * is no longer the return address and the frame is there already. Such a site
 * can be traced; a redirect from it is impossible, since the frame would have
 * to be undone first.
 *
 *   call late_scale 5     = 0x23
 */
#include <linux/module.h>

static long factor = 7;

static noinline long late_multiply(long value)
{
	return value * READ_ONCE(factor);
}

long late_scale(long value)
{
	long product = late_multiply(value);

	/* Not a tail call: the frame stays until here. */
	barrier();
	return product;
}
EXPORT_SYMBOL_GPL(late_scale);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Call sites behind the prologue");
