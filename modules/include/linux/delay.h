/* Waiting. Nothing sleeps here: the CPU counts the time, and the call can be ended. */
#ifndef _LINUX_DELAY_H
#define _LINUX_DELAY_H

#include <linux/types.h>

void udelay(unsigned long microseconds);
void msleep(unsigned int milliseconds);
unsigned long msleep_interruptible(unsigned int milliseconds);

static inline void mdelay(unsigned long milliseconds)
{
	while (milliseconds--)
		udelay(1000);
}

static inline void ssleep(unsigned int seconds)
{
	msleep(seconds * 1000);
}

#endif
