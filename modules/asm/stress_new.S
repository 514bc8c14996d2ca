/*
 * What replaces the functions of stress_sites.S: says what it was called with,
 * and answers NEW_REGS. It has no call site of its own.
 */
#include <linux/export.h>
#include "../c/stress.h"
#include "stress_seen.h"

	.section .toc, "aw"
.Lnow:	.8byte	stress_now

	.text
	.balign	16
	.global	stress_new_regs
	.type	stress_new_regs, @function
stress_new_regs:
0:	addis	%r2, %r12, (.TOC. - 0b)@ha
	addi	%r2, %r2, (.TOC. - 0b)@l
	.localentry stress_new_regs, . - stress_new_regs
	mfspr	%r12, 272		/* SPRG0: the PACA */
	lhz	%r0, 8(%r12)
	sldi	%r0, %r0, 3
	addis	%r12, %r2, .Lnow@toc@ha
	ld	%r12, .Lnow@toc@l(%r12)
	ldx	%r12, %r12, %r0
	cmpd	%r12, %r12
	SEEN
	lis	%r3, NEW_REGS >> 48
	ori	%r3, %r3, NEW_REGS >> 32 & 0xffff
	sldi	%r3, %r3, 32
	oris	%r3, %r3, NEW_REGS >> 16 & 0xffff
	ori	%r3, %r3, NEW_REGS & 0xffff
	blr
	.size	stress_new_regs, . - stress_new_regs
