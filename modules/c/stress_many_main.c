/*
 * A thousand functions with call sites, of four kinds, and the job that calls
 * them in turn.
 *
 *   insmod stress_many
 *   call -c 1 -b stress_many:many_run 0      until many_stop, or COUNT rounds
 *   repeat -q 100 "trace on many_*; trace off"
 *   call stress_many:many_stop; wait
 *   call stress_many:many_report
 */
#include <linux/module.h>

#include "stress_probe.h"

static ulong seed;
module_param(seed, ulong, 0444);
MODULE_PARM_DESC(seed, "which arguments and canaries");

static int stop;
static struct tally tallies[STRESS_CPUS];
static long datum = 7;

static noinline notrace long other(long a, long b)
{
	return a ^ b;
}

/* `n` has three digits: with a 1 before them it is no octal number. */
#define NUMBER(n) (1##n - 1000)
#define LEAF(n)   static noinline long many_##n(long a) { return a * (2 * NUMBER(n) + 1); }
#define DATA(n)   static noinline long many_##n(long a) { return a + READ_ONCE(datum) * NUMBER(n); }
#define STACK(n)                                                                            \
	static noinline long many_##n(long a, long b, long c, long d, long e, long f, long g, \
				      long h, long i)                                         \
	{                                                                                   \
		return a + b + c + d + e + f + g + h - NUMBER(n) * i;                       \
	}
#define FRAME(n)                                          \
	static noinline long many_##n(long a, long b)     \
	{                                                 \
		return other(a, READ_ONCE(datum)) + b - NUMBER(n); \
	}
#define TEN(LEAF, DATA, STACK, FRAME, t)                                       \
	LEAF(t##0) DATA(t##1) STACK(t##2) FRAME(t##3) LEAF(t##4) DATA(t##5)    \
	STACK(t##6) FRAME(t##7) LEAF(t##8) DATA(t##9)
#define HUNDRED(L, D, S, F, h)                                                        \
	TEN(L, D, S, F, h##0) TEN(L, D, S, F, h##1) TEN(L, D, S, F, h##2) TEN(L, D, S, F, h##3) \
	TEN(L, D, S, F, h##4) TEN(L, D, S, F, h##5) TEN(L, D, S, F, h##6) TEN(L, D, S, F, h##7) \
	TEN(L, D, S, F, h##8) TEN(L, D, S, F, h##9)
#define THOUSAND(L, D, S, F)                                                            \
	HUNDRED(L, D, S, F, 0) HUNDRED(L, D, S, F, 1) HUNDRED(L, D, S, F, 2)            \
	HUNDRED(L, D, S, F, 3) HUNDRED(L, D, S, F, 4) HUNDRED(L, D, S, F, 5)            \
	HUNDRED(L, D, S, F, 6) HUNDRED(L, D, S, F, 7) HUNDRED(L, D, S, F, 8)            \
	HUNDRED(L, D, S, F, 9)
#define ENTRY(n) many_##n,

THOUSAND(LEAF, DATA, STACK, FRAME)

static void *const many[1000] = { THOUSAND(ENTRY, ENTRY, ENTRY, ENTRY) };

static notrace u64 expected(int n, const u64 *a)
{
	switch (n % 10) {
	case 0:
	case 4:
	case 8:
		return a[0] * (2 * n + 1);
	case 1:
	case 5:
	case 9:
		return a[0] + 7 * n;
	case 2:
	case 6:
		return a[0] + a[1] + a[2] + a[3] + a[4] + a[5] + a[6] + a[7] - n * a[8];
	default:
		return (a[0] ^ 7) + a[1] - n;
	}
}

/* Rounds of calls of all thousand: so many, or until many_stop if 0. */
notrace u64 many_run(u64 rounds)
{
	struct tally *t = &tallies[this_cpu()];
	u64 round = 0, want;
	int n, i;

	seed_tally(t, seed);
	while (rounds ? round < rounds : !READ_ONCE(stop)) {
		for (n = 0; n < 1000; n++) {
			u64 x = random(t);

			for (i = 0; i < STRESS_ARGS; i++)
				t->probe.args[i] = x * (2 * i + 3);
			call_probe(t, (u64)many[n]);
			want = expected(n, t->probe.args);
			count(t, "many", t->probe.result == want ? OLD : WRONG, want);
			check_kept(t, "many");
			take_turns(t);
		}
		round++;
	}
	return round;
}

notrace int many_stop(void)
{
	WRITE_ONCE(stop, 1);
	return 0;
}

notrace int many_go(void)
{
	WRITE_ONCE(stop, 0);
	return 0;
}

notrace u64 many_report(void)
{
	return report(KBUILD_MODNAME, tallies);
}

static int __init notrace stress_many_init(void)
{
	return 0;
}
module_init(stress_many_init);

static void __exit notrace stress_many_exit(void)
{
}
module_exit(stress_many_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("A thousand functions to be traced while they run");
