/*
 * demo.c as it might be after a repair: `answer` asks more of its neighbours. What
 * differs becomes the patch klp_made; what is the same is borrowed from demo.
 *
 *   make patch OLD=modules/c/demo.c NEW=modules/patch/demo_new.c OUT=klp_made.ko
 *   insmod demo; insmod klp_made; call demo:answer    = 0x67, then 0x68
 */
#include <linux/module.h>

#include "demo.h"

#define CANARY 0x0de10de10de10de1L

static long canary = CANARY;

static long asked = 5;
long nine(long a, long b, long c, long d, long e, long f, long g, long h, long i);
static noinline long helper(long x)
{
	return x * 2;
}

noinline long answer(void)
{
	return 7 + (canary == CANARY) + helper(nine(1, 1, 1, 1, 1, 1, 1, 1, 1)) + asked++;
}
EXPORT_SYMBOL_GPL(answer);

/* One argument more than there are registers; no data, so no TOC set-up. */
noinline long nine(long a, long b, long c, long d, long e, long f, long g,
		   long h, long i)
{
	return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i;
}
EXPORT_SYMBOL_GPL(nine);

static long position[12] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };

/* Four on the caller's stack; uses data, so it sets up its TOC. */
noinline long twelve(long a, long b, long c, long d, long e, long f, long g,
		     long h, long i, long j, long k, long l)
{
	const long *at = position;

	return at[0] * a + at[1] * b + at[2] * c + at[3] * d + at[4] * e +
	       at[5] * f + at[6] * g + at[7] * h + at[8] * i + at[9] * j +
	       at[10] * k + at[11] * l;
}
EXPORT_SYMBOL_GPL(twelve);

/* Stores its registers into the caller's frame, beside those on the stack. */
noinline long sum_of(int count, ...)
{
	va_list list;
	long sum = 0;

	va_start(list, count);
	while (count-- > 0)
		sum += va_arg(list, long);
	va_end(list);
	return sum;
}
EXPORT_SYMBOL_GPL(sum_of);

/* Eighty bytes come back where the caller's hidden r3 points. */
noinline struct ten make_ten(long first, long step)
{
	struct ten t;
	int i;

	for (i = 0; i < 10; i++)
		t.v[i] = first + i * step;
	return t;
}
EXPORT_SYMBOL_GPL(make_ten);

/* Seen through the local entry: right only if r2 is this module's. */
static noinline notrace long keep(long value)
{
	return READ_ONCE(canary) == CANARY ? value : (long)TOC_LOST;
}

noinline long call_answer(void)
{
	return keep(answer());
}

noinline long call_nine(void)
{
	return keep(nine(1, 2, 3, 4, 5, 6, 7, 8, 9));
}

noinline long call_twelve(void)
{
	return keep(twelve(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
}

noinline long call_sum_of(void)
{
	return keep(sum_of(10, 1L, 2L, 3L, 4L, 5L, 6L, 7L, 8L, 9L, 10L));
}

noinline long call_make_ten(void)
{
	struct ten t = make_ten(30, 10);

	return keep(fold_ten(&t));
}

/* A pointer holds the global entry; a redirect has to work behind that too. */
static long (*pointer)(void) = answer;

noinline long call_pointer(void)
{
	return keep(READ_ONCE(pointer)());
}

/* All of them: 0x3f before, 0x3f0000 after, anything else is a fault. */
unsigned long selfcheck(void)
{
	unsigned long seen = 0;

	seen |= verdict(0, call_answer(), OLD_ANSWER, NEW_ANSWER);
	seen |= verdict(1, call_nine(), OLD_NINE, NEW_NINE);
	seen |= verdict(2, call_twelve(), OLD_TWELVE, NEW_TWELVE);
	seen |= verdict(3, call_sum_of(), OLD_SUM, NEW_SUM);
	seen |= verdict(4, call_make_ten(), OLD_TEN, NEW_TEN);
	seen |= verdict(5, call_pointer(), OLD_ANSWER, NEW_ANSWER);
	return seen | (keep(0) & TOC_LOST);
}

static int __init demo_init(void)
{
	pr_info("demo: the answer is %ld\n", answer());
	return 0;
}
module_init(demo_init);

static void __exit demo_exit(void)
{
}
module_exit(demo_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Functions to be traced and live-patched");
