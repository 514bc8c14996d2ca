/*
 * A live patch for demo: other answers from the very next call on.
 *
 * The replacements take their weights from data of their own, so a call that
 * arrives here without this module's r2 gives a wrong sum; and their formulas
 * differ from the old ones, so a call that never arrives is seen too.
 */
#include <linux/livepatch.h>
#include <linux/module.h>

#include "demo.h"

static long fixed = NEW_ANSWER;
static long square[12] = { 1, 4, 9, 16, 25, 36, 49, 64, 81, 100, 121, 144 };

static long fix_answer(void)
{
	return READ_ONCE(fixed);
}

static long fix_nine(long a, long b, long c, long d, long e, long f, long g,
		     long h, long i)
{
	const long *at = square;

	return at[0] * a + at[1] * b + at[2] * c + at[3] * d + at[4] * e +
	       at[5] * f + at[6] * g + at[7] * h + at[8] * i;
}

static long fix_twelve(long a, long b, long c, long d, long e, long f, long g,
		       long h, long i, long j, long k, long l)
{
	const long *at = square;

	return at[0] * a + at[1] * b + at[2] * c + at[3] * d + at[4] * e +
	       at[5] * f + at[6] * g + at[7] * h + at[8] * i + at[9] * j +
	       at[10] * k + at[11] * l;
}

static long fix_sum_of(int count, ...)
{
	va_list list;
	long sum = 0;
	int i;

	va_start(list, count);
	for (i = 0; i < count; i++)
		sum += square[i % 12] * va_arg(list, long);
	va_end(list);
	return sum;
}

static struct ten fix_make_ten(long first, long step)
{
	struct ten t;
	int i;

	for (i = 0; i < 10; i++)
		t.v[i] = first + square[i] * step;
	return t;
}

static struct klp_func funcs[] = {
	{ .old_name = "answer", .new_func = fix_answer },
	{ .old_name = "nine", .new_func = fix_nine },
	{ .old_name = "twelve", .new_func = fix_twelve },
	{ .old_name = "sum_of", .new_func = fix_sum_of },
	{ .old_name = "make_ten", .new_func = fix_make_ten },
	{}
};

static struct klp_object objs[] = {
	{ .name = "demo", .funcs = funcs },
	{}
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init demo_fix_init(void)
{
	return klp_enable_patch(&patch);
}
module_init(demo_fix_init);

static void __exit demo_fix_exit(void)
{
}
module_exit(demo_fix_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("Replaces five functions of demo");
