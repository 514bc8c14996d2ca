/*
 * Tables that a module leaves to its kernel: warnings, an instruction that may
 * fault, static branches, code for one processor or another (tables_fixups.S).
 *
 *   call tables_warn 1            prints a warning; = 0x8
 *   call tables_warn_once 1       prints one the first time only; = 0x1
 *   ! call tables_bug 1           an oops that says file and line
 *   call tables_read 0            reads address 0, goes on elsewhere; = 0xfffffffffffffff2
 *   call tables_key; call tables_turn 1; call tables_key     = 0x1, then = 0x2
 *   call tables_init_ran          = 0x1; its init code is no longer there
 */
#include <linux/bug.h>
#include <linux/jump_label.h>
#include <linux/module.h>

#define EFAULT 14

static DEFINE_STATIC_KEY_FALSE(off_key);
static DEFINE_STATIC_KEY_TRUE(on_key);

long tables_warn(long value)
{
	return WARN_ON(value == 1) ? 8 : value;
}

long tables_warn_once(long value)
{
	return WARN_ON_ONCE(value == 1);
}

long tables_bug(long value)
{
	BUG_ON(value == 1);
	return value;
}

/* What is at an address, or -EFAULT. */
long tables_read(const long *from)
{
	long value, error;

	asm volatile("	li	%1, 0\n"
		     "1:	ld	%0, 0(%2)\n"
		     "2:\n"
		     "	.pushsection .text.fixup, \"ax\"\n"
		     "3:	li	%1, %3\n"
		     "	b	2b\n"
		     "	.popsection\n"
		     "	.pushsection __ex_table, \"a\"\n"
		     "	.balign	4\n"
		     "	.long	1b - ., 3b - .\n"
		     "	.popsection\n"
		     : "=&r"(value), "=&r"(error) : "b"(from), "i"(-EFAULT));
	return error ? error : value;
}

/* A bit for each branch that is not as compiled, and 1. */
noinline long tables_key(void)
{
	long result = 1;

	if (static_branch_unlikely(&off_key))
		result += 1;
	if (!static_branch_likely(&on_key))
		result += 2;
	return result;
}

long tables_turn(long on)
{
	if (on)
		static_branch_enable(&off_key);
	else
		static_branch_disable(&off_key);
	return static_key_count(&off_key.key);
}

long tables_turn_other(long on)
{
	if (on)
		static_branch_enable(&on_key);
	else
		static_branch_disable(&on_key);
	return static_key_count(&on_key.key);
}

static long init_ran;

long tables_init_ran(void)
{
	return READ_ONCE(init_ran);
}

/* 8 KiB that nobody needs afterwards. */
static char __initdata scratch[4096] = "only for init";

static noinline long __init tables_init_step(long value)
{
	asm volatile("	b	1f\n	.skip	4096\n1:\n");
	return value + 1;
}

static int __init tables_init(void)
{
	init_ran = tables_init_step(scratch[0] == 'o' ? 0 : 5);
	return 0;
}
module_init(tables_init);

static void __exit tables_exit(void)
{
}
module_exit(tables_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("BUG, WARN, faults that are expected, static keys, fixups");
