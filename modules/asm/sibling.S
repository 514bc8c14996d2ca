/*
 * Calls that leave the module by `b` and not by `bl`: the callee returns to
 * somebody who does not know that another module has run.
 *
 *   sibling_outer  --bl-->  sibling_middle  --b-->  pair_a_add (another module)
 *        ^                                               |
 *        +------------------- blr -----------------------+
 *
 * sibling_outer made a local call: there is no word behind its `bl` that could
 * bring r2 back, and r2 is pair_a's when it goes on. An ordinary stub behind
 * the `b` also writes r2 into 24(r1), and r1 is not sibling_middle's frame: it
 * has none. sibling_entry shows that end: called from a third module, whose
 * frame has its own r2 there, it would replace it by this module's.
 *
 * So the stub for such a branch keeps r2 and the return address elsewhere,
 * calls, and restores both. Compilers do not write this; people do.
 *
 *   call sibling_outer 5     = 0x3f1
 *   call sibling_entry 5     = 0x12
 */
#include <linux/export.h>

	.section .modinfo, "a"
	.asciz	"license=Dual MIT/GPL"
	.asciz	"description=Branches that leave the module"

	.data
	.balign	8
.Lthousand:
	.8byte	1000
.Lten:
	.8byte	10

/*
 * sibling_outer - value + 1 + 3 + 1000, the last from own data after the call.
 *
 *   In        r3  the value
 *   Out       r3  the sum
 *   Clobbers  what a call may
 *   Stack     32 bytes
 */
	.text
	.balign	16
	.global	sibling_outer
	.type	sibling_outer, @function
sibling_outer:
0:	addis	%r2, %r12, (.TOC. - 0b)@ha
	addi	%r2, %r2, (.TOC. - 0b)@l
	.localentry sibling_outer, . - sibling_outer
	mflr	%r0
	bl	_mcount
	mflr	%r0
	std	%r0, 16(%r1)
	stdu	%r1, -32(%r1)
	bl	sibling_middle
	addis	%r9, %r2, .Lthousand@toc@ha
	ld	%r9, .Lthousand@toc@l(%r9)
	add	%r3, %r3, %r9
	addi	%r1, %r1, 32
	ld	%r0, 16(%r1)
	mtlr	%r0
	blr
	.size	sibling_outer, . - sibling_outer
EXPORT_SYMBOL_GPL(sibling_outer)

/*
 * sibling_middle - adds 1 and goes on in another module. No TOC set-up.
 *
 *   In        r3  the value
 *   Out       r3  what pair_a_add answers
 */
	.balign	16
	.type	sibling_middle, @function
sibling_middle:
	addi	%r3, %r3, 1
	b	pair_a_add
	.size	sibling_middle, . - sibling_middle

/*
 * sibling_entry - adds 10 from own data and goes on in another module.
 *
 *   In        r3  the value
 *   Out       r3  what pair_a_add answers
 */
	.balign	16
	.global	sibling_entry
	.type	sibling_entry, @function
sibling_entry:
0:	addis	%r2, %r12, (.TOC. - 0b)@ha
	addi	%r2, %r2, (.TOC. - 0b)@l
	.localentry sibling_entry, . - sibling_entry
	mflr	%r0
	bl	_mcount
	addis	%r9, %r2, .Lten@toc@ha
	ld	%r9, .Lten@toc@l(%r9)
	add	%r3, %r3, %r9
	b	pair_a_add
	.size	sibling_entry, . - sibling_entry
EXPORT_SYMBOL_GPL(sibling_entry)
