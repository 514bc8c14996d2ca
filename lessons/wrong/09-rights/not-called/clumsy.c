/*
 * Lesson 9, wrong: the words are where they should be, and nobody executes them.
 */
#include <linux/module.h>

/* The highest number seen so far; 10 to begin with. */
static long highest = 10;

/* Notes n if it is the highest so far; answers the highest. */
long clumsy_note(long n);
long clumsy_note(long n)
{
	long *place = &highest;

	if (n > READ_ONCE(*place))
		WRITE_ONCE(*place, n);
	return READ_ONCE(*place);
}

/*
 * Answers n + 1, by code of our own making: addi r3,r3,1; blr. (The words are to stay
 * words: an array of u32.)
 */
static const u32 code[] __section(".text") = { 0x38630001, 0x4e800020 };

long clumsy_next(long n);
long clumsy_next(long n)
{
	long (*function)(long) = (long (*)(long))code;

	(void)function;
	return n + 1;
}

MODULE_LICENSE("GPL");
