/*
 * The assembly half of `tables`: code that is to be changed before it runs.
 *
 * tables_processor - which instructions this processor has.
 *   Out       r3  31 with those of Power ISA 3.1 (POWER10), else 30
 *   Clobbers  nothing else
 */
#define ARCH_31 0x0004000000000000	/* Linux's CPU_FTR_ARCH_31 */
	.text
	.balign	16
	.global	tables_processor
	.type	tables_processor, @function
tables_processor:
1:	li	%r3, 30
2:	blr
	.size	tables_processor, . - tables_processor

	/* Instead of 1b to 2b where the feature is there. */
	.section __ftr_alt_97, "a"
3:	li	%r3, 31
4:
	.section __ftr_fixup, "a"
	.balign	8
	/* Stays as it is if (features & mask) == value. */
5:	.quad	ARCH_31, 0, 1b - 5b, 2b - 5b, 3b - 5b, 4b - 5b
	/* A feature that nobody knows here. */
6:	.quad	1, 0, 1b - 6b, 2b - 6b, 3b - 6b, 3b - 6b

/*
 * tables_publish - stores a value, ordered behind what was stored before.
 *   In        r3  where, r4  what
 *   Clobbers  nothing
 */
	.text
	.balign	16
	.global	tables_publish
	.type	tables_publish, @function
tables_publish:
7:	sync				/* becomes lwsync */
	std	%r4, 0(%r3)
8:	nop				/* stays: a barrier against speculation */
	blr
	.size	tables_publish, . - tables_publish
	.section __lwsync_fixup, "a"
	.balign	8
9:	.quad	7b - 9b
	.section __barrier_nospec_fixup, "a"
	.balign	8
10:	.quad	8b - 10b
