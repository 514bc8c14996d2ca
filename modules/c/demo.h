/*
 * The functions that demo_fix replaces, and what each answers before and after.
 * They stand for the ways in which arguments and results travel: in registers,
 * on the caller's stack, through a hidden pointer.
 */
#ifndef DEMO_H
#define DEMO_H

#include <linux/types.h>

struct ten {
	long v[10];
};

long answer(void);
long nine(long a, long b, long c, long d, long e, long f, long g, long h, long i);
long twelve(long a, long b, long c, long d, long e, long f, long g, long h,
	    long i, long j, long k, long l);
long sum_of(int count, ...);
struct ten make_ten(long first, long step);

/* Stack and registers, one weight each: an exchanged argument changes the sum. */
#define OLD_ANSWER 41L
#define NEW_ANSWER 42L
#define OLD_NINE   285L  /* of 1..9: each times its position */
#define NEW_NINE   2025L /* times its position's square */
#define OLD_TWELVE 650L
#define NEW_TWELVE 6084L
#define OLD_SUM    55L /* of 1..10 */
#define NEW_SUM    3025L
#define OLD_TEN    4950L /* fold_ten(make_ten(30, 10)): 30 40 .. 120 */
#define NEW_TEN    31900L /* 40 70 .. 1030: first + step * square */

/* One number for ten, each times its position. */
static inline long fold_ten(const struct ten *t)
{
	long fold = 0;
	int i;

	for (i = 0; i < 10; i++)
		fold += (i + 1) * t->v[i];
	return fold;
}

/* Bit n if `value` is what the n-th function answers unpatched, bit 16 + n if
 * patched, bit 32 + n if it is neither. */
static inline unsigned long verdict(int n, long value, long before, long after)
{
	return 1UL << (n + (value == before ? 0 : value == after ? 16 : 32));
}
#define TOC_LOST (1UL << 63)

#endif
