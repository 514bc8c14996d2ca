/* Ticks since boot. */
#ifndef _LINUX_JIFFIES_H
#define _LINUX_JIFFIES_H

extern unsigned long volatile jiffies;

#endif
