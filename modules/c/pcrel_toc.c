/*
 * The half of `pcrel` that has a TOC pointer: called by code without one, and
 * calling it.
 */
#include <linux/module.h>

long pcrel_local(long value);

static long factor = 2;

long toc_twice(long value)
{
	long sum = pcrel_local(value) + pcrel_local(-value); /* 2 * own, and r2 lost twice */

	return sum / 2 * READ_ONCE(factor) - value;
}
