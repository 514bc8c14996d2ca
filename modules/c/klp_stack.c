/*
 * Stacks that are not easy to look at, each for as long as one likes (klp_busy's go).
 *
 *   call -b -c 1 stack_outer 300    a stack of 300 frames
 *   call -b -c 1 stack_cold -1      in the part that gcc has put elsewhere: stack_cold.cold
 *   call -b -c 1 stack_lost         whose frame leads nowhere
 *   call -b -c 1 stack_keep         with an address in a register that is no return address
 */
#include <linux/module.h>

void busy_wait(void);
long stack_deep(long depth);
long stack_outer(long depth);
long stack_cold(long a);
long stack_lost(void);
long *stack_data(void);
long stack_keep(void);

noinline __noclone long stack_deep(long depth)
{
	long below;

	if (!depth) {
		busy_wait();
		barrier();
		return 0;
	}
	below = stack_deep(depth - 1);
	barrier();
	return below + 1;
}

noinline __noclone long stack_outer(long depth)
{
	long below = stack_deep(depth);

	barrier();
	return below;
}

/* What calls a cold function is cold itself. */
static __attribute__((cold)) noinline __noclone void complain(void)
{
	busy_wait();
	barrier();
}

noinline __noclone long stack_cold(long a)
{
	if (unlikely(a < 0)) {
		complain();
		return a * 3;
	}
	return a + 1;
}

noinline __noclone long stack_lost(void)
{
	unsigned long chain;

	asm volatile("ld %0,0(1)\n\taddi 0,1,8\n\tstd 0,0(1)"
		     : "=&r"(chain) : : "r0", "memory");
	busy_wait();
	asm volatile("std %0,0(1)" : : "r"(chain) : "memory");
	return 0x57;
}

noinline __noclone long *stack_data(void)
{
	static long data;

	barrier();
	return &data;
}

/* busy_wait does not use r8. */
noinline __noclone long stack_keep(void)
{
	register long *data asm("r8") = stack_data();

	asm volatile("" : "+r"(data));
	busy_wait();
	return 0x58;
}

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Stacks that are not easy to look at");
