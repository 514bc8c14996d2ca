/*
 * As c/klp_names.c, but for what its functions answer, and for their order. names_reset keeps
 * the address of a function that is replaced: that of the old one.
 */
#include <linux/module.h>

static long first __section(".data..read_mostly") = 5;
static long third __section(".data..read_mostly") = 9;
static long second __section(".data..read_mostly") = 6;

static long nop = 3;

long names_first(void);
long names_second(void);
long names_mostly(long x);
long names_add(long x);
long names_left(long x);
long names_hook(long x);
long names_reset(void);

noinline long names_second(void)
{
	static long count;

	count += 2000;
	return count;
}

noinline long names_first(void)
{
	static long count;

	return ++count + 0x100;
}

noinline long names_mostly(long x)
{
	second += x;
	third++;
	return third * 10000 + first++ * 100 + second;
}

static noinline long add(long a, long b)
{
	barrier();
	return a + b;
}

noinline long names_add(long x)
{
	static long count = 0x1000;

	return add(x, nop++) + count++;
}

/* Assembly that fills another section, and comes back. */
noinline long names_left(long x)
{
	asm volatile("1:	nop\n"
		     "	.section names_table, \"a\"\n"
		     "	.balign	4\n"
		     "	.long	1b - .\n"
		     "	.previous");
	return x * 5;
}

static noinline long called(long x)
{
	barrier();
	return x + 0x10;
}

static long (*hook)(long);

noinline long names_hook(long x)
{
	return READ_ONCE(hook) ? READ_ONCE(hook)(x) : -1;
}

noinline long names_reset(void)
{
	WRITE_ONCE(hook, called);
	return READ_ONCE(hook) == called ? 1 : 2;
}

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Names that are easily taken for others");
