/*
 * Functions with each kind of call site, which say what they were called with:
 * whoever runs at a site must leave the arguments as they are.
 *
 * Each answers OLD_REGS and keeps what a function must.
 */
#include <linux/export.h>
#include "../c/stress.h"
#include "stress_seen.h"

/*
 * FIND_PROBE - r12 = this CPU's probe; without r2, and with nothing but r0, r12
 * and ctr, which are free at a call site.
 */
	.macro	FIND_PROBE
	mflr	%r12
	mtctr	%r12
	mfspr	%r12, 272		/* SPRG0: the PACA */
	lhz	%r0, 8(%r12)
	sldi	%r0, %r0, 3
	bcl	20, 31, 1f
1:	mflr	%r12
	addis	%r12, %r12, (stress_now - 1b)@ha
	addi	%r12, %r12, (stress_now - 1b)@l
	ldx	%r12, %r12, %r0
	mfctr	%r0
	mtlr	%r0
	.endm

	.macro	ANSWER
	lis	%r3, OLD_REGS >> 48
	ori	%r3, %r3, OLD_REGS >> 32 & 0xffff
	sldi	%r3, %r3, 32
	oris	%r3, %r3, OLD_REGS >> 16 & 0xffff
	ori	%r3, %r3, OLD_REGS & 0xffff
	.endm

	.macro	BEGIN name
	.text
	.balign	16
	.global	\name
	.type	\name, @function
\name:
	.endm

/* Since gcc 6. A leaf without TOC: runs with its caller's r2. */
	BEGIN	stress_profile
	mflr	%r0
	bl	_mcount
	mflr	%r12
	cmpd	%r0, %r12		/* eq: r0 is as it was, too */
	FIND_PROBE
	SEEN
	ANSWER
	blr
	.size	stress_profile, . - stress_profile

/* gcc 5: with a store before the call. Sets up r2, so it has two entries. */
	BEGIN	stress_gcc5
0:	addis	%r2, %r12, (.TOC. - 0b)@ha
	addi	%r2, %r2, (.TOC. - 0b)@l
	.localentry stress_gcc5, . - stress_gcc5
	mflr	%r0
	std	%r0, 16(%r1)
	bl	_mcount
	mflr	%r12
	cmpd	%r0, %r12
	FIND_PROBE
	SEEN
	ANSWER
	blr
	.size	stress_gcc5, . - stress_gcc5

/* rustc, gcc 14: one nop, and LR still holds the return address. */
	BEGIN	stress_nop
0:	addis	%r2, %r12, (.TOC. - 0b)@ha
	addi	%r2, %r2, (.TOC. - 0b)@l
	.localentry stress_nop, . - stress_nop
.Lnop:	nop
	cmpd	%r12, %r12		/* eq: nobody promises r0 here */
	FIND_PROBE
	SEEN
	ANSWER
	blr
	.size	stress_nop, . - stress_nop
	.section __patchable_function_entries, "awo", @progbits, stress_nop
	.balign	8
	.8byte	.Lnop

/* gcc -pg alone: behind the prologue, as any call. Cannot be replaced. */
	BEGIN	stress_late
	mflr	%r0
	std	%r0, 16(%r1)
	stdu	%r1, -48(%r1)
	bl	_mcount
	nop
	cmpd	%r12, %r12		/* eq: r0 is anybody's */
	FIND_PROBE
	SEEN
	ANSWER
	addi	%r1, %r1, 48
	ld	%r0, 16(%r1)
	mtlr	%r0
	blr
	.size	stress_late, . - stress_late

/*
 * Leaves the module by `b`: a tail call whose caller may be a local one.
 *
 *   In        r3  the value
 *   Out       r3  stress_far_mix of the value + LEAP
 */
	BEGIN	stress_leap
	mflr	%r0
	bl	_mcount
	addi	%r3, %r3, LEAP
	b	stress_far_mix
	.size	stress_leap, . - stress_leap
