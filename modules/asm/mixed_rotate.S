/*
 * The assembly half of `mixed`: a leaf without TOC set-up and call site.
 *
 *   In        r3  a value
 *   Out       r3  the value, rotated left by one bit
 *   Clobbers  nothing else
 */
	.text
	.balign	16
	.global	mixed_rotate
	.type	mixed_rotate, @function
mixed_rotate:
	rotldi	%r3, %r3, 1
	blr
	.size	mixed_rotate, . - mixed_rotate
