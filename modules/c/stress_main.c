/*
 * The functions under test, and the job that calls them all the time. stress.h
 * has the picture.
 *
 *   insmod stress_far; insmod stress
 *   call -c 1 -b stress:stress_run 0 0         until stress_stop, or COUNT rounds
 *   livepatch enable stress_fix              and whatever else may disturb it
 *   call stress:stress_stop; wait
 *   call stress:stress_report                a line a CPU; = 0x0 if all was well
 *   call stress:stress_settled 0             bit n: the n-th function is not the
 *                                            old one (1: the new one) on this CPU
 */
#include <linux/module.h>

#include "stress_probe.h"
#include "stress_targets.h"

static ulong seed;
module_param(seed, ulong, 0444);
MODULE_PARM_DESC(seed, "which arguments and canaries");

static int stop;
static struct tally tallies[STRESS_CPUS];

/* --- the functions under test -------------------------------------------- */

/* A leaf without arguments and without TOC. */
noinline long stress_answer(void)
{
	return OLD_ANSWER;
}
EXPORT_SYMBOL_GPL(stress_answer);

/* One argument more than there are registers. */
noinline long stress_nine(long a, long b, long c, long d, long e, long f, long g, long h, long i)
{
	return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i;
}
EXPORT_SYMBOL_GPL(stress_nine);

static long weight[12] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };

/* Four on the stack, and data of its own. */
noinline long stress_twelve(long a, long b, long c, long d, long e, long f, long g, long h,
			    long i, long j, long k, long l)
{
	const long *w = weight;

	return READ_ONCE(w[0]) * a + w[1] * b + w[2] * c + w[3] * d + w[4] * e + w[5] * f +
	       w[6] * g + w[7] * h + w[8] * i + w[9] * j + w[10] * k + w[11] * l;
}

/* Stores its registers into the caller's frame. */
noinline long stress_sum_of(int count, ...)
{
	va_list list;
	long sum = 0;
	int i;

	va_start(list, count);
	for (i = 0; i < count; i++)
		sum += (i + 1) * va_arg(list, long);
	va_end(list);
	return sum;
}

/* The result goes where the hidden r3 points. */
noinline struct ten stress_make_ten(long first, long step)
{
	struct ten t;
	int i;

	for (i = 0; i < 10; i++)
		t.v[i] = first + i * step;
	return t;
}

static noinline long tail_end(long a, long b)
{
	return READ_ONCE(weight[2]) * a - b;
}

/* Goes on in its neighbour, by `b`. */
noinline long stress_tail(long a, long b)
{
	return tail_end(b, a);
}

/* Calls itself: a digit a level, 1 from here, 2 from its replacement. */
noinline long stress_deep(long level)
{
	long below = level ? stress_deep(level - 1) : 0;

	barrier();
	return below << 4 | 1;
}
EXPORT_SYMBOL_GPL(stress_deep);

/* Calls another module. */
noinline long stress_far(long a)
{
	long far = stress_far_mix(a);

	return far ^ READ_ONCE(weight[11]);
}

/* --- one call of each, judged --------------------------------------------- */

long stress_profile(void), stress_gcc5(void), stress_nop(void), stress_late(void), stress_leap(void);

enum target {
	ANSWER, NINE, TWELVE, SUM_OF, MAKE_TEN, TAIL, DEEP, FAR, PROFILE, GCC5, NOP, LATE, LEAP_OFF,
	TARGETS
};

static const struct {
	const char *name;
	void *entry;
} target[TARGETS] = {
	{ "stress_answer", stress_answer },
	{ "stress_nine", stress_nine },
	{ "stress_twelve", stress_twelve },
	{ "stress_sum_of", stress_sum_of },
	{ "stress_make_ten", stress_make_ten },
	{ "stress_tail", stress_tail },
	{ "stress_deep", stress_deep },
	{ "stress_far", stress_far },
	{ "stress_profile", stress_profile },
	{ "stress_gcc5", stress_gcc5 },
	{ "stress_nop", stress_nop },
	{ "stress_late", stress_late },
	{ "stress_leap", stress_leap },
};

static notrace int either(u64 got, u64 old, u64 new)
{
	return got == old ? OLD : got == new ? NEW : WRONG;
}

/* Calls one function; what its answer was. */
static notrace int probe_one(struct tally *t, enum target which)
{
	const char *name = target[which].name;
	struct probe *p = &t->probe;
	u64 *a = p->args, old = 0, new = 0, x = random(t);
	struct ten ten;
	int i, verdict;

	for (i = 0; i < STRESS_ARGS; i++)
		a[i] = x * (2 * i + 3);
	if (which == SUM_OF)
		a[0] = 11;
	else if (which == MAKE_TEN)
		a[0] = (u64)&ten;
	else if (which == DEEP)
		a[0] = 5;
	call_probe(t, (u64)target[which].entry);

	switch (which) {
	case ANSWER:
		old = OLD_ANSWER;
		new = p->result == TOP_ANSWER ? TOP_ANSWER : NEW_ANSWER;
		break;
	case NINE:
	case TWELVE:
		for (i = 0; i < (which == NINE ? 9 : 12); i++) {
			old += (i + 1) * a[i];
			new += (i + 1) * (i + 1) * a[i];
		}
		break;
	case SUM_OF:
		for (i = 1; i < 12; i++) {
			old += i * a[i];
			new += i * i * a[i];
		}
		break;
	case MAKE_TEN:
		for (i = 0; i < 10; i++)
			old |= ten.v[i] ^ (a[1] + i * a[2]);
		for (i = 0; i < 10; i++)
			new |= ten.v[i] ^ (a[1] + i * i * a[2]);
		verdict = p->result != a[0] ? WRONG : either(0, old, new);
		goto judged;
	case TAIL:
		old = 3 * a[1] - a[0];
		new = 5 * a[1] - a[0];
		break;
	case DEEP:
		/* Six digits, each 1 or 2; new if any is. */
		verdict = OLD;
		for (i = 0, x = p->result; i < 6; i++, x >>= 4) {
			if ((x & 15) == 2)
				verdict = NEW;
			else if ((x & 15) != 1)
				break;
		}
		if (i < 6 || x)
			verdict = WRONG;
		goto judged;
	case FAR:
		/* The function called may have changed as well. */
		verdict = either(p->result, FAR_OLD(a[0]) ^ 12, FAR_OLD(a[0]) + FAR_NEXT);
		if (verdict == WRONG)
			verdict = either(p->result, FAR_NEW(a[0]) ^ 12, FAR_NEW(a[0]) + FAR_NEXT);
		goto judged;
	case LEAP_OFF:
		verdict = either(p->result, FAR_OLD(a[0] + LEAP), FAR_OLD(a[0]) - LEAP);
		if (verdict == WRONG)
			verdict = either(p->result, FAR_NEW(a[0] + LEAP), FAR_NEW(a[0]) - LEAP);
		goto judged;
	default:
		old = OLD_REGS;
		new = NEW_REGS;
	}
	verdict = either(p->result, old, new);
judged:
	count(t, name, verdict, old);
	check_kept(t, name);
	if (which >= PROFILE && which <= LATE && verdict != WRONG)
		check_seen(t, name, verdict, which == LATE ? 48 : 0);
	return verdict;
}

/* --- what the shell calls ------------------------------------------------- */

/*
 * Rounds of calls of all functions, or of one, numbered from 1: so many, or until
 * stress_stop if 0.
 */
notrace u64 stress_run(u64 rounds, u64 only)
{
	struct tally *t = &tallies[this_cpu()];
	u64 round = 0;
	int i;

	seed_tally(t, seed);
	while (rounds ? round < rounds : !READ_ONCE(stop)) {
		for (i = 0; i < TARGETS; i++) {
			probe_one(t, only ? (only - 1) % TARGETS : (u64)i);
			take_turns(t);
		}
		round++;
	}
	return round;
}

notrace int stress_stop(void)
{
	WRITE_ONCE(stop, 1);
	return 0;
}

notrace int stress_go(void)
{
	WRITE_ONCE(stop, 0);
	return 0;
}

/* For other modules' jobs. */
notrace int stress_stopped(void)
{
	return READ_ONCE(stop);
}
EXPORT_SYMBOL_GPL(stress_stopped);

/* Which functions do not answer as they should by now: 0 the old, 1 the new. */
notrace u64 stress_settled(int new)
{
	struct tally *t = &tallies[this_cpu()];
	u64 others = 0;
	int i, times;

	if (!t->random)
		seed_tally(t, seed);
	for (i = 0; i < TARGETS; i++)
		for (times = 0; times < 16; times++)
			if (probe_one(t, i) != (i == LATE ? OLD : new))
				others |= 1UL << i;
	return others;
}

/* What registers held: an address in a patch would keep it from being unloaded. */
notrace int stress_forget(void)
{
	int cpu;

	for (cpu = 0; cpu < STRESS_CPUS; cpu++)
		memset(&tallies[cpu].probe, 0, sizeof(tallies[cpu].probe));
	return 0;
}

notrace u64 stress_report(void)
{
	return report(KBUILD_MODNAME, tallies);
}

EXPORT_SYMBOL_GPL(stress_now);

static int __init notrace stress_init(void)
{
	return 0;
}
module_init(stress_init);

static void __exit notrace stress_exit(void)
{
}
module_exit(stress_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Calls functions with canaries in every register");
