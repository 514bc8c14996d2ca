/*
 * What gcc 5 made of a function with -mprofile-kernel: it stores the return
 * address before the call to _mcount and not only before its own frame.
 *
 *   gcc 5                         since gcc 6
 *     mflr r0                       mflr r0
 *     std  r0,16(r1)                bl   _mcount
 *     bl   _mcount
 *
 * So the word before the `bl` is a real store, and a check that wants `mflr`
 * there refuses a good module. Calls: `call gcc5_scale 6` is 0x43.
 */
#include <linux/export.h>

	.section .modinfo, "a"
	.asciz	"license=Dual MIT/GPL"
	.asciz	"description=Call sites as gcc 5 wrote them"

	.data
	.balign	8
.Lfactor:
	.8byte	11

/*
 * gcc5_scale - 11 times a value, plus 1; with a frame and own data.
 *
 *   In        r3  the value
 *   Out       r3  the result
 *   Clobbers  r0 r9 r12 lr (and what _mcount's tracer may change: r11 ctr)
 *   Stack     32 bytes
 */
	.text
	.balign	16
	.global	gcc5_scale
	.type	gcc5_scale, @function
gcc5_scale:
0:	addis	%r2, %r12, (.TOC. - 0b)@ha
	addi	%r2, %r2, (.TOC. - 0b)@l
	.localentry gcc5_scale, . - gcc5_scale
	mflr	%r0
	std	%r0, 16(%r1)
	bl	_mcount
	mflr	%r0
	std	%r0, 16(%r1)
	stdu	%r1, -32(%r1)
	addis	%r9, %r2, .Lfactor@toc@ha
	ld	%r9, .Lfactor@toc@l(%r9)
	mulld	%r3, %r3, %r9
	bl	gcc5_leaf
	addi	%r1, %r1, 32
	ld	%r0, 16(%r1)
	mtlr	%r0
	blr
	.size	gcc5_scale, . - gcc5_scale
EXPORT_SYMBOL_GPL(gcc5_scale)

/*
 * gcc5_leaf - adds 1. A leaf without TOC set-up; it has a site all the same.
 *
 *   In        r3  the value
 *   Out       r3  the value + 1
 *   Clobbers  r0
 */
	.balign	16
	.global	gcc5_leaf
	.type	gcc5_leaf, @function
gcc5_leaf:
	mflr	%r0
	std	%r0, 16(%r1)
	bl	_mcount
	addi	%r3, %r3, 1
	blr
	.size	gcc5_leaf, . - gcc5_leaf
