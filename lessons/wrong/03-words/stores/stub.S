/*
 * Lesson 3, wrong: it stores below r1, which is the function's.
 *
 *   In     %r13       the PACA; PACATOC(%r13) holds the kernel's TOC pointer
 *          DISTANCE   from that pointer to a doubleword with the target's address
 *   Out    at the target, with its address in %r12
 *   Uses   %r12 and CTR, nothing else: no other register, no memory
 *
 * DISTANCE@ha and DISTANCE@l are its halves.
 */
	.set	PACATOC, 16

stub:
	std	%r14, -8(%r1)
	ld	%r12, PACATOC(%r13)
	addis	%r12, %r12, DISTANCE@ha
	ld	%r12, DISTANCE@l(%r12)
	mtctr	%r12
	bctr
