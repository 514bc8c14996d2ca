/*
 * Uses data of others: the kernel's jiffies, dataonly's table. Their addresses
 * are 64-bit words in this module's .toc, which the code loads through r2; the
 * samples that have only data of their own need no .toc at all.
 *
 *   insmod dataonly; insmod data_user; call data_user_square 5     = 0x19
 */
#include <linux/jiffies.h>
#include <linux/module.h>

extern unsigned char dataonly_squares[8];

unsigned long data_user_square(unsigned long n)
{
	return dataonly_squares[n % 8];
}

/* Ticks since boot; grows from call to call. */
unsigned long data_user_ticks(void)
{
	return jiffies;
}

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Uses data of the kernel and of another module");
