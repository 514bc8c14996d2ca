/*
 * stress_call - calls a function with a canary in every register that it must
 * keep, and writes down what came back.
 *
 *   In        r3      struct probe (stress.h)
 *             r13     PACA; the CPU's number is at 8
 *   Out       the probe's second half
 *   Clobbers  what a call may
 *   Keeps     what a call must, also when the function called did not
 *   Stack     320 bytes: header, 12 arguments, at 128 four words of our own,
 *             at 176 r14-r31
 *   Context   not traced: the sites under test are the callee's
 *   Spec      ELFv2 ABI, "Register Roles", "The Stack Frame"
 *
 * Afterwards nothing is believed but the address we are at and SPRG0.
 */
#include <linux/export.h>
#include "../c/stress.h"

	.bss
	.balign	8
/* The probe in use, by CPU. */
	.global	stress_now
	.type	stress_now, @object
stress_now:
	.skip	8 * STRESS_CPUS
	.size	stress_now, . - stress_now

	.text
	.balign	16
	.global	stress_call
	.type	stress_call, @function
stress_call:
	mflr	%r0
	std	%r0, 16(%r1)
	mfcr	%r0
	stw	%r0, 8(%r1)
	.set	n, 14
	.rept	18
	std	n, (n - 32) * 8(%r1)
	.set	n, n + 1
	.endr
	stdu	%r1, -320(%r1)

	lhz	%r4, 8(%r13)
	sldi	%r4, %r4, 3
	bcl	20, 31, 1f
1:	mflr	%r5
	addi	%r6, %r5, stress_return - 1b
	std	%r6, PROBE_RETURN(%r3)
	addis	%r5, %r5, (stress_now - 1b)@ha
	addi	%r5, %r5, (stress_now - 1b)@l
	stdx	%r3, %r5, %r4
	std	%r1, PROBE_OWN(%r3)
	std	%r2, PROBE_OWN + 8(%r3)
	std	%r13, PROBE_OWN + 16(%r3)

	ld	%r0, PROBE_SLOT16(%r3)
	std	%r0, 16(%r1)
	ld	%r0, PROBE_SLOT24(%r3)
	std	%r0, 24(%r1)
	.set	n, 8
	.rept	4
	ld	%r0, PROBE_ARGS + n * 8(%r3)
	std	%r0, 32 + n * 8(%r1)
	ld	%r0, PROBE_FRAME + (n - 8) * 8(%r3)
	std	%r0, 128 + (n - 8) * 8(%r1)
	.set	n, n + 1
	.endr
	ld	%r0, PROBE_CR(%r3)
	mtcrf	0xff, %r0
	ld	%r0, PROBE_XER(%r3)
	mtxer	%r0
	ld	%r0, PROBE_ENTRY(%r3)
	mtctr	%r0
	.set	n, 14
	.rept	18
	ld	n, PROBE_KEEP + (n - 14) * 8(%r3)
	.set	n, n + 1
	.endr
	ld	%r11, PROBE_R11(%r3)
	ld	%r12, PROBE_R12(%r3)
	.set	n, 10
	.rept	8			/* r3 last: it is the base */
	ld	n, PROBE_ARGS + (n - 3) * 8(%r3)
	.set	n, n - 1
	.endr
	bctrl
stress_return:
	mfctr	%r9
	mfspr	%r11, 272		/* SPRG0: the PACA */
	lhz	%r12, 8(%r11)
	sldi	%r12, %r12, 3
	bcl	20, 31, 1f
1:	mflr	%r10
	addis	%r10, %r10, (stress_now - 1b)@ha
	addi	%r10, %r10, (stress_now - 1b)@l
	ldx	%r12, %r10, %r12
	std	%r3, PROBE_RESULT(%r12)
	std	%r1, PROBE_OWN_AFTER(%r12)
	std	%r2, PROBE_OWN_AFTER + 8(%r12)
	std	%r13, PROBE_OWN_AFTER + 16(%r12)
	mfcr	%r0
	std	%r0, PROBE_CR_AFTER(%r12)
	mfxer	%r0
	std	%r0, PROBE_XER_AFTER(%r12)
	std	%r9, PROBE_CTR_AFTER(%r12)
	.set	n, 14
	.rept	18
	std	n, PROBE_KEEP_AFTER + (n - 14) * 8(%r12)
	.set	n, n + 1
	.endr
	mr	%r13, %r11
	ld	%r1, PROBE_OWN(%r12)
	ld	%r2, PROBE_OWN + 8(%r12)
	ld	%r0, 16(%r1)
	std	%r0, PROBE_SLOT16_AFTER(%r12)
	ld	%r0, 24(%r1)
	std	%r0, PROBE_SLOT24_AFTER(%r12)
	.set	n, 0
	.rept	4
	ld	%r0, 128 + n * 8(%r1)
	std	%r0, PROBE_FRAME_AFTER + n * 8(%r12)
	.set	n, n + 1
	.endr
	addi	%r1, %r1, 320
	.set	n, 14
	.rept	18
	ld	n, (n - 32) * 8(%r1)
	.set	n, n + 1
	.endr
	lwz	%r0, 8(%r1)
	mtcrf	0x38, %r0
	ld	%r0, 16(%r1)
	mtlr	%r0
	blr
	.size	stress_call, . - stress_call
