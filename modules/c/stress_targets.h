/* The functions under test, and what they and their replacements answer. */
#ifndef STRESS_TARGETS_H
#define STRESS_TARGETS_H

#include <linux/types.h>

#include "stress.h"

struct ten {
	long v[10];
};

extern u64 stress_now[STRESS_CPUS];
long stress_answer(void);
long stress_nine(long a, long b, long c, long d, long e, long f, long g, long h, long i);
long stress_deep(long level);
long stress_far_mix(long a);

#define OLD_ANSWER 41L
#define NEW_ANSWER 42L
/* fix_any's, which may be patched on top. */
#define TOP_ANSWER 99L

#define FAR_OLD(a) (3 * (u64)(a) + 1)
#define FAR_NEW(a) (5 * (u64)(a) + 2)
#define FAR_NEXT   1000

#endif
