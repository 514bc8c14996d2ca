/*
 * Lesson 3, wrong: it starts from another word of the PACA.
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
	ld	%r12, 24(%r13)
	addis	%r12, %r12, DISTANCE@ha
	ld	%r12, DISTANCE@l(%r12)
	mtctr	%r12
	bctr
