/*
 * What a module might try against the kernel, by mistake or not. Each call is
 * answered with an oops and the shell goes on; docs/faults.md has the table, and
 * what cannot be caught.
 *
 *   maps; call attack_store 0x4400000; buf code hex:2000804e; call attack_jump &code
 */
#include <linux/module.h>
#include <linux/slab.h>

/* blr: does no harm where it may be executed. */
#define BLR 0x4e800020

static const unsigned int constant = BLR;
static unsigned int variable = BLR;

/* Stores what is there already, so nothing is lost where the store is allowed. */
noinline void attack_store(unsigned int *at)
{
	unsigned int word;

	__asm__ __volatile__("lwz %0,0(%1)\n\tstw %0,0(%1)" : "=&r"(word) : "b"(at) : "memory");
}

/* As above, where loads are refused too. */
noinline void attack_store_blind(unsigned int *at)
{
	*(volatile unsigned int *)at = BLR;
}

noinline void attack_store_constant(void)
{
	attack_store((unsigned int *)&constant);
}

noinline void attack_jump(unsigned long at)
{
	((void (*)(void))at)();
	barrier();
}

/* r12 = 0, then into a stub behind the words that set it: ...; mtctr r12; bctr. */
noinline void attack_jump_bare(unsigned long at)
{
	__asm__ __volatile__("mtctr %0\n\tli 12,0\n\tbctrl"
			     : : "r"(at) : "ctr", "lr", "r12", "r0", "memory");
}

noinline void attack_jump_variable(void)
{
	attack_jump((unsigned long)&variable);
}

noinline void attack_jump_constant(void)
{
	attack_jump((unsigned long)&constant);
}

noinline void attack_jump_stack(void)
{
	volatile unsigned int words[4] = { BLR, BLR, BLR, BLR };

	attack_jump((unsigned long)words);
}

noinline void attack_jump_heap(void)
{
	unsigned int *words = kmalloc(16, GFP_KERNEL);

	if (words) {
		words[0] = BLR;
		attack_jump((unsigned long)words);
	}
}

/* One frame of `bytes`, made at once, as gcc makes a large array. */
noinline void attack_frame(unsigned long bytes)
{
	__asm__ __volatile__("mr 31,1\n\tneg 0,%0\n\tstdux 1,1,0\n\tstd 0,16(1)\n\tmr 1,31"
			     : : "r"(bytes) : "r0", "r31", "memory");
}

static noinline long attack_deeper(long left)
{
	volatile long room[32] = { left };

	if (left)
		room[1] = attack_deeper(left - 1);
	return room[0] + room[1];
}

noinline long attack_recurse(long depth)
{
	return attack_deeper(depth);
}

/* Traps with a register lost. */
noinline void attack_r1(unsigned long value)
{
	__asm__ __volatile__("mr 1,%0\n\ttrap" : : "r"(value) : "memory");
}

noinline void attack_r2(unsigned long value)
{
	__asm__ __volatile__("mr 2,%0\n\ttrap" : : "r"(value) : "memory");
}

noinline void attack_r13(unsigned long value)
{
	__asm__ __volatile__("mr 13,%0\n\ttrap" : : "r"(value) : "memory");
}

/* Loses all of them and waits for a tick. */
noinline void attack_lose_all(unsigned long value)
{
	__asm__ __volatile__("mr 1,%0\n\tmr 2,%0\n\tmr 13,%0\n0:\tb 0b" : : "r"(value) : "memory");
}

/* Returns with r13 and r2 lost: the kernel has its own. */
noinline long attack_keep_lost(unsigned long value)
{
	__asm__ __volatile__("mr 2,%0\n\tmr 13,%0" : : "r"(value) : "memory");
	return 0x17;
}

/* Traps with this for a back chain; 1 is a frame that calls itself. */
noinline void attack_chain(unsigned long chain)
{
	unsigned long self = chain == 1;

	__asm__ __volatile__("cmpdi %1,0\n\tbeq 1f\n\tmr %0,1\n1:\tstd %0,0(1)\n\tli 0,0\n\tmtlr 0\n\ttrap"
			     : "+r"(chain) : "r"(self) : "memory", "cr0", "r0");
}

/* Returns by an address that it has overwritten on the stack. */
noinline void attack_return(unsigned long at)
{
	__asm__ __volatile__("std %0,16(1)\n\tld 0,16(1)\n\tmtlr 0\n\tblr"
			     : : "r"(at) : "r0", "memory");
}

/* An address that no reservation may have. */
noinline void attack_ldarx(void)
{
	__asm__ __volatile__("ldarx 0,0,%0" : : "r"((unsigned long)&variable | 1) : "r0", "memory");
}

noinline void attack_stwcx(void)
{
	__asm__ __volatile__("lwarx 0,0,%0\n\tstwcx. 0,0,%1"
			     : : "r"(&variable), "r"((unsigned long)&variable | 1)
			     : "r0", "cr0", "memory");
}

/* fadd f0,f0,f0; vxor v0,v0,v0; xxlor vs0,vs0,vs0 */
noinline void attack_float(void)
{
	__asm__ __volatile__(".long 0xfc00002a");
}

noinline void attack_vector(void)
{
	__asm__ __volatile__(".long 0x100004c4");
}

noinline void attack_vsx(void)
{
	__asm__ __volatile__(".long 0xf0000490");
}

noinline void attack_illegal(void)
{
	__asm__ __volatile__(".long 0");
}

/* sc: there is no kernel below this one to call. */
noinline void attack_system_call(void)
{
	__asm__ __volatile__("sc" : : : "r0", "memory");
}

/* hrfid, for hypervisors only. */
noinline void attack_hypervisor(void)
{
	__asm__ __volatile__(".long 0x4c000224");
}

/* Never ends, and takes no interrupt (MSR[EE] = 0). */
noinline void attack_deaf(void)
{
	__asm__ __volatile__("li 0,2\n\tmtmsrd 0,1\n0:\tb 0b" : : : "r0", "memory");
}

/* Returns without translation (MSR[IR, DR] = 0), so without rights. */
noinline long attack_real(void)
{
	unsigned long msr;

	__asm__ __volatile__("mfmsr %0\n\tori %0,%0,0x30\n\txori %0,%0,0x30\n\tmtmsrd %0\n\tisync"
			     : "=&r"(msr) : : "memory");
	return 0x18;
}

/* A reservation that must not outlive the call. */
noinline void attack_reserve(void)
{
	__asm__ __volatile__("lwarx 0,0,%0\n\ttrap" : : "r"(&variable) : "r0", "memory");
}

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("What a module might try against the kernel");
