/*
 * A `nop` behind `bl _mcount` that is not a place for `ld r2,24(r1)`.
 *
 * The compiler may move any instruction there, also a nop of its own (Linux's
 * jump labels are nops: 97 functions of Debian's modules have this shape). A
 * loader that puts the TOC restore there loads r2 from the frame of whoever
 * called, and the data access below goes astray.
 *
 *   call nop_after 1     = 0xabce
 */
#include <linux/export.h>

	.section .modinfo, "a"
	.asciz	"license=Dual MIT/GPL"
	.asciz	"description=A nop behind the call of _mcount"

	.data
	.balign	8
.Lown:
	.8byte	0xabcd

/*
 * nop_after - adds 0xabcd from the module's own data.
 *
 *   In        r3  the value
 *   Out       r3  the sum
 *   Clobbers  r0 r9 (and what _mcount's tracer may change: r11 r12 ctr)
 */
	.text
	.balign	16
	.global	nop_after
	.type	nop_after, @function
nop_after:
0:	addis	%r2, %r12, (.TOC. - 0b)@ha
	addi	%r2, %r2, (.TOC. - 0b)@l
	.localentry nop_after, . - nop_after
	mflr	%r0
	bl	_mcount
	nop
	addis	%r9, %r2, .Lown@toc@ha
	ld	%r9, .Lown@toc@l(%r9)
	add	%r3, %r3, %r9
	blr
	.size	nop_after, . - nop_after
EXPORT_SYMBOL_GPL(nop_after)
