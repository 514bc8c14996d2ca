/*
 * Built with -Os: r14 to r31 are saved and restored by _savegpr0_N and
 * _restgpr0_N, which take r0, r11 or r12 specially and so cannot be called
 * through a stub; the link puts them into the module (section .sfpr).
 *
 *   call os_regs_mix 1     = 0x1b5
 */
#include <linux/module.h>

static noinline long os_regs_step(long value)
{
	return value + 1;
}

/* Keeps ten values across calls: more than the volatile registers can hold. */
long os_regs_mix(long value)
{
	long a = os_regs_step(value), b = os_regs_step(a), c = os_regs_step(b);
	long d = os_regs_step(c), e = os_regs_step(d), f = os_regs_step(e);
	long g = os_regs_step(f), h = os_regs_step(g), i = os_regs_step(h);
	long j = os_regs_step(i);

	return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h +
	       9 * i + 10 * j - 3;
}
EXPORT_SYMBOL_GPL(os_regs_mix);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Registers saved by helper functions");
