/*
 * Probes: one call, what it is made with, and whether all came back as it must.
 * stress.h has the picture. Included by each module that makes such calls; none
 * of this is traced, for then the counts of the functions under test are exact.
 */
#ifndef STRESS_PROBE_H
#define STRESS_PROBE_H

#include <linux/kernel.h>

#include "stress.h"

struct probe {
	u64 entry, r12, r11, args[STRESS_ARGS], keep[18], cr;
	u64 slot16, slot24, frame[4];
	u64 own[3], back;
	u64 result, own_after[3], keep_after[18], cr_after;
	u64 slot16_after, slot24_after, frame_after[4];
	u64 seen[32], seen_lr, seen_cr;
	u64 xer, seen_xer, xer_after, seen_ctr, ctr_after;
};

#define PROBE_AT(field, offset) _Static_assert(offsetof(struct probe, field) == (offset), #field)
PROBE_AT(entry, PROBE_ENTRY);
PROBE_AT(r12, PROBE_R12);
PROBE_AT(r11, PROBE_R11);
PROBE_AT(args, PROBE_ARGS);
PROBE_AT(keep, PROBE_KEEP);
PROBE_AT(cr, PROBE_CR);
PROBE_AT(slot16, PROBE_SLOT16);
PROBE_AT(slot24, PROBE_SLOT24);
PROBE_AT(frame, PROBE_FRAME);
PROBE_AT(own, PROBE_OWN);
PROBE_AT(back, PROBE_RETURN);
PROBE_AT(result, PROBE_RESULT);
PROBE_AT(own_after, PROBE_OWN_AFTER);
PROBE_AT(keep_after, PROBE_KEEP_AFTER);
PROBE_AT(cr_after, PROBE_CR_AFTER);
PROBE_AT(slot16_after, PROBE_SLOT16_AFTER);
PROBE_AT(slot24_after, PROBE_SLOT24_AFTER);
PROBE_AT(frame_after, PROBE_FRAME_AFTER);
PROBE_AT(seen, PROBE_SEEN);
PROBE_AT(seen_lr, PROBE_SEEN_LR);
PROBE_AT(seen_cr, PROBE_SEEN_CR);
PROBE_AT(xer, PROBE_XER);
PROBE_AT(seen_xer, PROBE_SEEN_XER);
PROBE_AT(xer_after, PROBE_XER_AFTER);
PROBE_AT(seen_ctr, PROBE_SEEN_CTR);
PROBE_AT(ctr_after, PROBE_CTR_AFTER);
_Static_assert(sizeof(struct probe) == PROBE_BYTES, "probes lie in an array");

/* What one CPU has done. `lost` is calls - returned. */
struct tally {
	struct probe probe;
	u64 random, turn;
	u64 calls, returned, old, new;
	u64 wrong; /* answers that are neither the old nor the new one */
	u64 torn;  /* registers or stack words that were not kept */
	/* The first of them. */
	const char *what, *where;
	u64 got, want;
} __aligned(128);

void stress_call(struct probe *probe);

/* CR fields 2 to 4, which a function keeps; and cr0's eq, the callee's own finding. */
#define CR_KEPT 0x00fff000UL
#define CR0_EQ  0x20000000UL
/* All but cr0: what hooks keep, on the way in and out. And what XER has on every CPU. */
#define CR_HOOK  0x0fffffffUL
#define XER_BITS 0xe000007fUL

/* How an answer was judged. */
enum { WRONG = -1, OLD, NEW };

static inline notrace unsigned int this_cpu(void)
{
	u16 cpu;

	asm volatile("lhz %0,8(13)" : "=r"(cpu));
	return cpu;
}

/* Marsaglia's xorshift64*. */
static inline notrace u64 random(struct tally *t)
{
	u64 x = t->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	t->random = x;
	return x * 0x2545f4914f6cdd1dUL;
}

static inline notrace void seed_tally(struct tally *t, u64 seed)
{
	t->random = (seed + 1) * 0x9e3779b97f4a7c15UL ^ (this_cpu() + 1) * 0xbf58476d1ce4e5b9UL;
	if (!t->random)
		t->random = 1;
}

static notrace __maybe_unused void fault(struct tally *t, u64 *count, const char *what,
					 const char *where, u64 got, u64 want)
{
	if (!t->wrong && !t->torn) {
		t->what = what;
		t->where = where;
		t->got = got;
		t->want = want;
	}
	++*count;
}

/* Where the function's local entry is: behind the two words that set up r2. */
static inline notrace u64 local_entry(u64 entry)
{
	return entry + (*(const u32 *)entry >> 16 == 0x3c4c ? 8 : 0);
}

/*
 * Canaries and arguments for one call, and the call: through the global entry
 * with r12, as a pointer is called, or through the local one, as a neighbour is.
 */
static notrace __maybe_unused void call_probe(struct tally *t, u64 entry)
{
	struct probe *p = &t->probe;
	u64 x = random(t);
	int i;

	for (i = 0; i < 18; i++)
		p->keep[i] = x + i * 0x0101010101010101UL;
	p->r11 = ~x;
	p->cr = x & 0xffffffff;
	p->xer = x >> 24 & XER_BITS;
	p->slot16 = x ^ 0x1616161616161616UL;
	p->slot24 = x ^ 0x2424242424242424UL;
	for (i = 0; i < 4; i++)
		p->frame[i] = x - i;
	if (x & 1) {
		p->entry = p->r12 = entry;
	} else {
		p->entry = local_entry(entry);
		/* A function without TOC set-up may be reached with anything in r12. */
		p->r12 = x;
	}
	t->calls++;
	stress_call(p);
	t->returned++;
}

/*
 * What else may be found in LR and its slot: where the kernel has calls return to that
 * it has seen begin, redirected, for the graph tracer or for a probe (boot/mcount.S
 * has eleven).
 */
static u64 takes[11];

static inline notrace bool is_kernels(u64 value)
{
	int i;

	for (i = 0; i < 11; i++) {
		if (!READ_ONCE(takes[i]) && value)
			WRITE_ONCE(takes[i], value);
		if (value == READ_ONCE(takes[i]))
			return true;
	}
	return false;
}

/* Everything that a callee must leave as it was. */
static notrace __maybe_unused void check_kept(struct tally *t, const char *what)
{
	static const char *const own[] = { "r1", "r2", "r13" };
	struct probe *p = &t->probe;
	u64 x = p->keep[0];
	int i;

	for (i = 0; i < 3; i++)
		if (p->own_after[i] != p->own[i])
			fault(t, &t->torn, what, own[i], p->own_after[i], p->own[i]);
	for (i = 0; i < 18; i++)
		if (p->keep_after[i] != x + i * 0x0101010101010101UL)
			fault(t, &t->torn, what, "one of r14-r31", p->keep_after[i], p->keep[i]);
	if ((p->cr_after ^ p->cr) & CR_KEPT)
		fault(t, &t->torn, what, "cr2-cr4", p->cr_after, p->cr);
	if (p->slot24_after != p->slot24)
		fault(t, &t->torn, what, "24(r1)", p->slot24_after, p->slot24);
	for (i = 0; i < 4; i++)
		if (p->frame_after[i] != x - i)
			fault(t, &t->torn, what, "the caller's frame", p->frame_after[i], x - i);
	if (p->slot16_after != p->slot16 && p->slot16_after != p->back &&
	    !is_kernels(p->slot16_after))
		fault(t, &t->torn, what, "16(r1)", p->slot16_after, p->back);
}

/* What a function of stress_sites.S saw of the call; it has a frame of so many bytes. */
static notrace __maybe_unused void check_seen(struct tally *t, const char *what, int verdict,
					      u64 frame)
{
	struct probe *p = &t->probe;
	int i;

	if (p->seen[1] != p->own[0] - frame)
		fault(t, &t->torn, what, "r1 seen", p->seen[1], p->own[0] - frame);
	if (verdict == OLD && p->seen[2] != p->own[1])
		fault(t, &t->torn, what, "r2 seen", p->seen[2], p->own[1]);
	for (i = 0; i < 8; i++)
		if (p->seen[3 + i] != p->args[i])
			fault(t, &t->torn, what, "one of r3-r10 seen", p->seen[3 + i], p->args[i]);
	if (p->seen[11] != p->r11)
		fault(t, &t->torn, what, "r11 seen", p->seen[11], p->r11);
	if (p->seen[13] != p->own[2])
		fault(t, &t->torn, what, "r13 seen", p->seen[13], p->own[2]);
	for (i = 0; i < 18; i++)
		if (p->seen[14 + i] != p->keep[i])
			fault(t, &t->torn, what, "one of r14-r31 seen", p->seen[14 + i], p->keep[i]);
	if ((p->seen_cr ^ p->cr) & CR_HOOK)
		fault(t, &t->torn, what, "cr1-cr7 seen", p->seen_cr, p->cr);
	if (p->seen_xer != p->xer)
		fault(t, &t->torn, what, "xer seen", p->seen_xer, p->xer);
	/* The function changes none of these any more: who does is what it returns through. */
	if ((p->cr_after ^ p->cr) & CR_HOOK)
		fault(t, &t->torn, what, "cr1-cr7", p->cr_after, p->cr);
	if (p->xer_after != p->xer)
		fault(t, &t->torn, what, "xer", p->xer_after, p->xer);
	if (p->ctr_after != p->seen_ctr)
		fault(t, &t->torn, what, "ctr", p->ctr_after, p->seen_ctr);
	if (!(p->seen_cr & CR0_EQ))
		fault(t, &t->torn, what, "r0 seen, which is not lr", p->seen_lr, p->back);
	if ((verdict != OLD || p->seen_lr != p->back) && !is_kernels(p->seen_lr))
		fault(t, &t->torn, what, "lr seen", p->seen_lr, p->back);
}

/*
 * After some calls, others go first. Where CPUs take turns (ICOUNT=fine), a turn ends
 * by `or 1,1,1`, or when the decrementer of any CPU runs out: set to anything, it
 * interrupts CPU 0 between any two instructions of a change, and then each of the
 * others makes a few calls. The kernel sets it to its usual period again.
 */
static notrace __maybe_unused void take_turns(struct tally *t)
{
	if (t->turn--)
		return;
	t->turn = random(t) >> 63;
	asm volatile("mtdec %0; or 1,1,1" : : "r"(random(t) >> 44) : "memory");
}

/* Counts the answer. */
static notrace __maybe_unused void count(struct tally *t, const char *what, int verdict, u64 want)
{
	if (verdict == WRONG)
		fault(t, &t->wrong, what, "the answer", t->probe.result, want);
	else if (verdict == NEW)
		t->new++;
	else
		t->old++;
}

/* One line a CPU; the number of faults, lost calls among them. */
static notrace __maybe_unused u64 report(const char *module, const struct tally *tallies)
{
	u64 faults = 0;
	int cpu;

	for (cpu = 0; cpu < STRESS_CPUS; cpu++) {
		const struct tally *t = &tallies[cpu];
		u64 lost = t->calls - t->returned;

		if (!t->calls)
			continue;
		printk("%s: cpu %d calls %llu old %llu new %llu wrong %llu torn %llu lost %llu\n",
		       module, cpu, t->calls, t->old, t->new, t->wrong, t->torn, lost);
		if (t->what)
			printk("%s: cpu %d first: %s: %s is %#llx, not %#llx\n", module, cpu,
			       t->what, t->where, t->got, t->want);
		faults += t->wrong + t->torn + lost;
	}
	return faults;
}

#endif
