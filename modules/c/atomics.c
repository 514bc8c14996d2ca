/*
 * Load-and-reserve, store-conditional: what must run as one when it is stepped,
 * since an exception in between takes the reservation away.
 *
 *   step atomics_add 3        the loop of a counter: one line, then `bne` not taken
 *   step atomics_claim        a way out before the store; the second call takes it
 *   step atomics_length "ab"  calls the kernel and this module's own data
 *
 * Many CPUs at once: call -b -c 1 atomics_hammer 1000000 ...; atomics_total has every
 * one of them.
 */
#include <linux/module.h>
#include <linux/string.h>

static u64 total;
static unsigned int owner;

/* A counter: the loop comes again if another CPU was quicker. */
noinline void atomics_add(u64 value)
{
	u64 sum;

	__asm__ __volatile__("1:	ldarx	%0,0,%1\n"
			     "	add	%0,%0,%2\n"
			     "	stdcx.	%0,0,%1\n"
			     "	bne-	1b\n"
			     : "=&r"(sum)
			     : "b"(&total), "r"(value)
			     : "cr0", "memory");
}

/* Other CPUs in the way, as much as can be. */
noinline void atomics_hammer(u64 times)
{
	while (times--)
		__atomic_fetch_add(&total, 1, __ATOMIC_RELAXED);
}

noinline u64 atomics_total(void)
{
	return READ_ONCE(total);
}

/* A lock that is tried once: 1 if it was free, 0 if not; then nothing is stored. */
noinline unsigned int atomics_claim(void)
{
	unsigned int seen;

	__asm__ __volatile__("1:	lwarx	%0,0,%1\n"
			     "	cmpwi	%0,0\n"
			     "	bne-	2f\n"
			     "	stwcx.	%2,0,%1\n"
			     "	bne-	1b\n"
			     "	isync\n"
			     "2:\n"
			     : "=&r"(seen)
			     : "b"(&owner), "r"(1)
			     : "cr0", "memory");
	return seen == 0;
}

/* Bytes and halfwords have their own. */
noinline unsigned int atomics_narrow(unsigned char *byte, unsigned short *half)
{
	unsigned int old, both;

	__asm__ __volatile__("1:	lbarx	%0,0,%2\n"
			     "	stbcx.	%4,0,%2\n"
			     "	bne-	1b\n"
			     "2:	lharx	%1,0,%3\n"
			     "	add	%1,%1,%0\n"
			     "	sthcx.	%4,0,%3\n"
			     "	bne-	2b\n"
			     : "=&r"(old), "=&r"(both)
			     : "b"(byte), "b"(half), "r"(7)
			     : "cr0", "memory");
	return both;
}

/* The store meets text, which may not be written: a fault in the middle. */
noinline void atomics_protected(void)
{
	unsigned int word;

	__asm__ __volatile__("1:	lwarx	%0,0,%1\n"
			     "	nop\n"
			     "	stwcx.	%0,0,%1\n"
			     "	bne-	1b\n"
			     : "=&r"(word)
			     : "b"(atomics_total)
			     : "cr0", "memory");
}

/* Waits for what never comes, between load and store: ended by a time limit. */
noinline void atomics_stuck(void)
{
	u64 seen;

	__asm__ __volatile__("1:	ldarx	%0,0,%1\n"
			     "	cmpdi	%0,-1\n"
			     "	bne-	1b\n"
			     "	stdcx.	%0,0,%1\n"
			     : "=&r"(seen)
			     : "b"(&total)
			     : "cr0", "memory");
}

/* A load with no store behind it is an instruction like any other. */
noinline u64 atomics_alone(void)
{
	u64 seen;

	__asm__ __volatile__("ldarx	%0,0,%1" : "=r"(seen) : "b"(&total) : "memory");
	return seen;
}

static u64 added = 40;

/* Out to the kernel and back to own data. */
noinline u64 atomics_length(const char *text)
{
	return strlen(text) + READ_ONCE(added);
}

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Atomic sequences, to be stepped");
