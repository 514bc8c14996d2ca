/*
 * Lesson 6, wrong: r2 is kept below r1, and the right words are in a comment.
 */
	.text
	.globl	borrow_call
	.type	borrow_call, @function
borrow_call:
0:	addis	%r2, %r12, .TOC.-0b@ha
	addi	%r2, %r2, .TOC.-0b@l
	.localentry borrow_call, .-borrow_call
	mflr	%r0
	std	%r0, 16(%r1)
	stdu	%r1, -32(%r1)

	/* std %r2, 24(%r1) and ld %r2, 24(%r1) */
	std	%r2, -40(%r1)
	mr	%r12, %r3		/* a global entry wants its own address here */
	mtctr	%r12
	mr	%r3, %r4
	bctrl				/* f(n) */
	ld	%r2, -40(%r1)

	addis	%r9, %r2, extra@toc@ha
	ld	%r9, extra@toc@l(%r9)
	add	%r3, %r3, %r9

	addi	%r1, %r1, 32
	ld	%r0, 16(%r1)
	mtlr	%r0
	blr
	.size	borrow_call, .-borrow_call

	.data
	.balign	8
extra:	.quad	1000
