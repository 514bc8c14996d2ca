/*
 * Two functions, one calling the other twice, in three generations: mix.c has the
 * first, the patches mix_one and mix_two replace both. Whoever has begun in one
 * generation has to end in it: 0x000000, 0x010101 or 0x020202, and nothing else.
 */
#pragma once
#include <linux/module.h>

long mix_inner(void);
long mix_outer(void);
long mix_near(void);

/* A while in which a change may well fall. */
#define MIX_LINGER(turns) \
	do { \
		int lingers = (turns); \
		while (lingers-- > 0) \
			barrier(); \
	} while (0)

static __always_inline long mix_answer(long generation)
{
	long first = mix_inner();

	MIX_LINGER(16);
	return generation << 16 | first << 8 | mix_inner();
}
