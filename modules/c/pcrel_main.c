/*
 * POWER10 code: data is reached from the place of the instruction, r2 is no TOC
 * and may be anything. Linked with pcrel_toc.c, which is compiled as ever, so that
 * calls cross between the two in both directions. Needs CPU=power10.
 *
 *   call pcrel_sum 5      = 0x3f0
 *   call pcrel_tail 5     = 0x8
 *   call pcrel_hello      prints a line; = 0x10
 */
#include <linux/kernel.h>
#include <linux/jiffies.h>
#include <linux/module.h>

long pair_a_add(long value);	/* of a module with a TOC */
long toc_twice(long value);	/* of this one, with a TOC */

static long own = 1000;

noinline long pcrel_local(long value)
{
	return value + READ_ONCE(own);
}

long pcrel_sum(long value)
{
	return toc_twice(pcrel_local(value) - value) + pair_a_add(value);
}
EXPORT_SYMBOL_GPL(pcrel_sum);

long pcrel_tail(long value)
{
	return pair_a_add(value);
}

int pcrel_hello(void)
{
	return printk("pcrel: jiffies %d\n", jiffies != 0 && &jiffies != NULL) - 1;
}

static int __init pcrel_init(void)
{
	return 0;
}
module_init(pcrel_init);

static void __exit pcrel_exit(void)
{
}
module_exit(pcrel_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("PC-relative code, for POWER10");
