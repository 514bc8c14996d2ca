/*
 * Bits of an array of longs. Bit n is bit n % 64 of long n / 64. Those that begin
 * with two underscores are for callers that keep others away.
 */
#ifndef _LINUX_BITOPS_H
#define _LINUX_BITOPS_H

#include <linux/compiler.h>
#include <linux/types.h>

#define BITS_PER_BYTE 8
#define BITS_PER_LONG 64
#ifndef BIT
#define BIT(n) (1UL << (n))
#endif
#define BIT_MASK(n)      (1UL << ((n) % BITS_PER_LONG))
#define BIT_WORD(n)      ((n) / BITS_PER_LONG)
#define BITS_TO_LONGS(n) (((n) + BITS_PER_LONG - 1) / BITS_PER_LONG)

#define __BIT_OPERATION(name, op, invert)                                             \
	static inline void name##_bit(long n, volatile unsigned long *bits)           \
	{                                                                             \
		__atomic_fetch_##op(bits + BIT_WORD(n), invert BIT_MASK(n),           \
				    __ATOMIC_RELAXED);                                \
	}                                                                             \
	/* Whether it was set before. */                                              \
	static inline bool test_and_##name##_bit(long n, volatile unsigned long *bits) \
	{                                                                             \
		return __atomic_fetch_##op(bits + BIT_WORD(n), invert BIT_MASK(n),    \
					   __ATOMIC_SEQ_CST) & BIT_MASK(n);           \
	}

__BIT_OPERATION(set, or, )
__BIT_OPERATION(clear, and, ~)
__BIT_OPERATION(change, xor, )

static inline bool test_bit(long n, const volatile unsigned long *bits)
{
	return bits[BIT_WORD(n)] & BIT_MASK(n);
}

static inline void __set_bit(long n, volatile unsigned long *bits)
{
	bits[BIT_WORD(n)] |= BIT_MASK(n);
}

static inline void __clear_bit(long n, volatile unsigned long *bits)
{
	bits[BIT_WORD(n)] &= ~BIT_MASK(n);
}

/* From 0 up; `word` is not 0. */
static inline unsigned long __ffs(unsigned long word)
{
	return __builtin_ctzl(word);
}

static inline unsigned long __fls(unsigned long word)
{
	return BITS_PER_LONG - 1 - __builtin_clzl(word);
}

/* From 1 up; 0 if there is none. */
static inline int ffs(int word)
{
	return __builtin_ffs(word);
}

static inline int fls(unsigned int word)
{
	return word ? 32 - __builtin_clz(word) : 0;
}

/* How many bits are 1. */
static inline unsigned int hweight_long(unsigned long word)
{
	unsigned int bits = 0;

	for (; word; word &= word - 1)
		bits++;
	return bits;
}

#define hweight8(word)  hweight_long((u8)(word))
#define hweight16(word) hweight_long((u16)(word))
#define hweight32(word) hweight_long((u32)(word))
#define hweight64(word) ((unsigned long)hweight_long((u64)(word)))

#endif
