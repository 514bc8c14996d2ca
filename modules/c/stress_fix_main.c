/*
 * The live patch of the stress: twelve functions of two modules. Each takes its
 * numbers from data of its own, so a call that comes with another r2 is seen.
 */
#include <linux/livepatch.h>
#include <linux/module.h>

#include "stress_targets.h"

static long answer = NEW_ANSWER;
static long square[12] = { 1, 4, 9, 16, 25, 36, 49, 64, 81, 100, 121, 144 };
static long five = 5, next = FAR_NEXT, leap = LEAP, two = 2;

static long fix_answer(void)
{
	return READ_ONCE(answer);
}

static long fix_nine(long a, long b, long c, long d, long e, long f, long g, long h, long i)
{
	const long *w = square;

	return READ_ONCE(w[0]) * a + w[1] * b + w[2] * c + w[3] * d + w[4] * e + w[5] * f +
	       w[6] * g + w[7] * h + w[8] * i;
}

static long fix_twelve(long a, long b, long c, long d, long e, long f, long g, long h, long i,
		       long j, long k, long l)
{
	return fix_nine(a, b, c, d, e, f, g, h, i) + square[9] * j + square[10] * k +
	       square[11] * l;
}

static long fix_sum_of(int count, ...)
{
	va_list list;
	long sum = 0;
	int i;

	va_start(list, count);
	for (i = 0; i < count; i++)
		sum += READ_ONCE(square[i % 12]) * va_arg(list, long);
	va_end(list);
	return sum;
}

static struct ten fix_make_ten(long first, long step)
{
	struct ten t;
	int i;

	t.v[0] = first;
	for (i = 1; i < 10; i++)
		t.v[i] = first + READ_ONCE(square[i - 1]) * step;
	return t;
}

static long fix_tail(long a, long b)
{
	return READ_ONCE(five) * b - a;
}

/* Calls what it replaces: so itself, through the other module. */
static long fix_deep(long level)
{
	long below = level ? stress_deep(level - 1) : 0;

	barrier();
	return below << 4 | READ_ONCE(two);
}

static long fix_far(long a)
{
	return stress_far_mix(a) + READ_ONCE(next);
}

static long fix_far_mix(long a)
{
	return READ_ONCE(five) * a + READ_ONCE(two);
}

static long fix_leap(long a)
{
	return stress_far_mix(a) - READ_ONCE(leap);
}

long stress_new_regs(void);

static struct klp_func funcs[] = {
	{ .old_name = "stress_answer", .new_func = fix_answer },
	{ .old_name = "stress_nine", .new_func = fix_nine },
	{ .old_name = "stress_twelve", .new_func = fix_twelve },
	{ .old_name = "stress_sum_of", .new_func = fix_sum_of },
	{ .old_name = "stress_make_ten", .new_func = fix_make_ten },
	{ .old_name = "stress_tail", .new_func = fix_tail },
	{ .old_name = "stress_deep", .new_func = fix_deep },
	{ .old_name = "stress_far", .new_func = fix_far },
	{ .old_name = "stress_profile", .new_func = stress_new_regs },
	{ .old_name = "stress_gcc5", .new_func = stress_new_regs },
	{ .old_name = "stress_nop", .new_func = stress_new_regs },
	{ .old_name = "stress_leap", .new_func = fix_leap },
	{}
};

static struct klp_func far_funcs[] = {
	{ .old_name = "stress_far_mix", .new_func = fix_far_mix },
	{}
};

static struct klp_object objs[] = {
	{ .name = "stress", .funcs = funcs },
	{ .name = "stress_far", .funcs = far_funcs },
	{}
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init notrace stress_fix_init(void)
{
	return klp_enable_patch(&patch);
}
module_init(stress_fix_init);

static void __exit notrace stress_fix_exit(void)
{
}
module_exit(stress_fix_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("Replaces the functions that the stress calls");
