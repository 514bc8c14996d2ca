/*
 * SEEN - writes down what a function finds in its registers, into the probe
 * whose address is in r12.
 *
 *   Clobbers  r0
 */
	.macro	SEEN
	.set	n, 1
	.rept	31
	.if	n != 12
	std	n, PROBE_SEEN + n * 8(%r12)
	.endif
	.set	n, n + 1
	.endr
	mflr	%r0
	std	%r0, PROBE_SEEN_LR(%r12)
	mfcr	%r0
	std	%r0, PROBE_SEEN_CR(%r12)
	mfxer	%r0
	std	%r0, PROBE_SEEN_XER(%r12)
	mfctr	%r0
	std	%r0, PROBE_SEEN_CTR(%r12)
	.endm
