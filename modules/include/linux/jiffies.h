/* Ticks since boot. */
#ifndef _LINUX_JIFFIES_H
#define _LINUX_JIFFIES_H

#include <linux/types.h>

/* In a second, as in Debian's kernel. */
#define HZ 250

/* As it was when the shell's command began. */
extern unsigned long volatile jiffies;

/* Rounded up. */
static inline unsigned long msecs_to_jiffies(unsigned int milliseconds)
{
	return ((unsigned long)milliseconds * HZ + 999) / 1000;
}

static inline unsigned int jiffies_to_msecs(unsigned long ticks)
{
	return ticks * (1000 / HZ);
}

/* Right also where the count has begun again from 0. */
#define time_after(a, b)     ((long)((b) - (a)) < 0)
#define time_before(a, b)    time_after(b, a)
#define time_after_eq(a, b)  ((long)((a) - (b)) >= 0)
#define time_before_eq(a, b) time_after_eq(b, a)

#endif
