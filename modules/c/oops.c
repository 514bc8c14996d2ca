/*
 * Faults on purpose, one function each. Every call ends with an oops and a back
 * trace; the shell goes on, and lsmod shows this module as faulty.
 *
 *   call oops_trap; call oops_deep 6; insmod oops at_init=1; rmmod oops after at_exit=1
 */
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>

/* Higher than any memory of the machine. */
#define NOWHERE 0x0000600000000000UL

static int at_init;
module_param(at_init, int, 0444);
MODULE_PARM_DESC(at_init, "1: trap in the init function");

static int at_exit;
module_param(at_exit, int, 0644);
MODULE_PARM_DESC(at_exit, "1: trap in the exit function");

/* As words they are instructions (nop; blr); as data they may not be executed. */
static unsigned int words[] = { 0x60000000, 0x4e800020 };
static DEFINE_MUTEX(held);
static void *pointer;
/* The compiler must not see where these lead. */
static unsigned long nowhere = NOWHERE;

/* Program interrupt, trap. */
noinline void oops_trap(void)
{
	__builtin_trap();
}

/* Program interrupt, illegal: a word of zeros is no instruction. */
noinline void oops_illegal(void)
{
	__asm__ __volatile__(".long 0");
}

/* Program interrupt, privileged only for user code: none here, so not a fault.
 * Division by zero is no fault either; a compiler that checks emits a trap. */
noinline long oops_divide(long value, long by)
{
	__asm__ __volatile__("tdeqi %0,0" : : "r"(by));
	return value / by;
}

/* Instruction fetch where there is no memory. */
noinline void oops_jump(void)
{
	((void (*)(void))READ_ONCE(nowhere))();
	barrier();
}

/* Instruction fetch from data: stopped where translation is on (no-execute). */
noinline void oops_jump_data(void)
{
	((void (*)(void))(unsigned long)words)();
	barrier();
}

/* Instruction fetch from NULL: page 0 is never mapped. */
noinline void oops_jump_null(void)
{
	((void (*)(void))(READ_ONCE(nowhere) - NOWHERE))();
	barrier();
}

noinline long oops_load(void)
{
	return *(volatile long *)READ_ONCE(nowhere);
}

noinline void oops_store(void)
{
	*(volatile long *)READ_ONCE(nowhere) = 1;
}

noinline long oops_load_null(void)
{
	return *(volatile long *)(READ_ONCE(nowhere) - NOWHERE);
}

/* Stores into its own text: stopped where translation is on (read-only). */
noinline void oops_store_text(void)
{
	*(volatile unsigned int *)oops_trap = 0x60000000;
}

/* Two pointers that the loader has relocated: nobody may write to the first, the
   module itself to the second. */
static void (*const constant)(void) = oops_store_text;
static void (*variable)(void) = oops_store_text;

/* Changes the constant behind the compiler's back. */
noinline notrace void oops_store_constant(void)
{
	void (*volatile *at)(void) = (void (*volatile *)(void))&constant;

	*at = oops_store;
}

noinline notrace void oops_store_variable(void)
{
	*(void (*volatile *)(void))&variable = oops_store;
}

/* Spoils a call site where translation is off: the word behind `mflr r0`. */
noinline notrace void oops_store_site(void)
{
	((volatile unsigned int *)oops_trap)[1] = 0x7c0802a6;
}

/* An address that no memory access may have: the lwarx must be aligned. */
noinline unsigned int oops_align(void)
{
	unsigned int value;

	__asm__ __volatile__("lwarx %0,0,%1"
			     : "=r"(value)
			     : "r"((unsigned long)words + 1)
			     : "memory");
	return value;
}

/* Traps while it holds a lock and memory: both must come back. */
noinline void oops_holding(void)
{
	mutex_lock(&held);
	pointer = kmalloc(100, GFP_KERNEL);
	oops_trap();
	kfree(pointer);
	mutex_unlock(&held);
}

static noinline __noclone long oops_inner(long depth);

static noinline __noclone long oops_outer(long depth)
{
	long inner = oops_inner(depth - 1);

	barrier();
	return inner + 1;
}

static noinline __noclone long oops_inner(long depth)
{
	long outer;

	if (depth <= 0)
		oops_trap();
	outer = oops_outer(depth - 1);
	barrier();
	return outer + 1;
}

/* Traps under `depth` frames, for a back trace with several names. */
noinline long oops_deep(long depth)
{
	long result = oops_outer(depth);

	barrier();
	return result;
}

/* Never ends: stopped by the time-out of the command. */
noinline void oops_loop(void)
{
	for (;;)
		barrier();
}

static int __init oops_init(void)
{
	if (at_init)
		oops_trap();
	return 0;
}
module_init(oops_init);

static void __exit oops_exit(void)
{
	if (at_exit)
		oops_trap();
}
module_exit(oops_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Faults on purpose");
