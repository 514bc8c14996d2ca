/*
 * Variables and functions that are easily taken for others: statics of one name in two
 * functions, several in one section, names that mean something to the assembler, a
 * function whose address is kept. patch/names_new.c is this file with other answers; the
 * patch klp_names_fix is made of both.
 *
 *   insmod klp_names; call names_first   = 0x1; call names_second   = 0x3e8
 */
#include <linux/module.h>

static long first __section(".data..read_mostly") = 5;
static long second __section(".data..read_mostly") = 6;

static long nop = 3;

long names_first(void);
long names_second(void);
long names_mostly(long x);
long names_add(long x);
long names_left(long x);
long names_hook(long x);
long names_reset(void);

noinline long names_first(void)
{
	static long count;

	return ++count;
}

noinline long names_second(void)
{
	static long count;

	count += 1000;
	return count;
}

noinline long names_mostly(long x)
{
	second += x;
	return first++ * 100 + second;
}

static noinline long add(long a, long b)
{
	barrier();
	return a + b;
}

noinline long names_add(long x)
{
	return add(x, nop++);
}

/* Assembly that fills another section, and comes back. */
noinline long names_left(long x)
{
	asm volatile("1:	nop\n"
		     "	.section names_table, \"a\"\n"
		     "	.balign	4\n"
		     "	.long	1b - .\n"
		     "	.previous");
	return x * 3;
}

static noinline long called(long x)
{
	barrier();
	return x;
}

static long (*hook)(long);

noinline long names_hook(long x)
{
	return READ_ONCE(hook) ? READ_ONCE(hook)(x) : -1;
}

noinline long names_reset(void)
{
	WRITE_ONCE(hook, called);
	return 0;
}

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Names that are easily taken for others");
