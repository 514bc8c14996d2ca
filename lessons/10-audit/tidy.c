/*
 * Lesson 10: tidies up. (Reading on is cheating.)
 */
#include <linux/module.h>

/* Of demo. */
long answer(void);

long tidy_up(void);
long tidy_up(void)
{
	/* A function pointer is the global entry; this one has no other. */
	u32 *word = (u32 *)answer + 2;

	*word ^= 0x38600029 ^ 0x38600028;
	__asm__ __volatile__("dcbst 0,%0; sync; icbi 0,%0; sync; isync" : : "r"(word) : "memory");
	return 0;
}

MODULE_LICENSE("GPL");
