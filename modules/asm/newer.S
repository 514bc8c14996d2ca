/*
 * Exports as Linux 7 has them: one table, entries of three distances, and beside it
 * a table of flags and one of checksums. There is no __ksymtab_gpl any more.
 *
 *   newer_gpl   r3 = 2r3   for GPL-compatible modules only (flag 1)
 *   newer_open  r3 = r3+1  for everybody
 *   newer_kept  r3 = r3-1  for who imports the namespace NEWER
 *   newer_named r3 = r3    for the modules called newer_u... and none else
 */
	.macro	function name
	.text
	.balign	16
	.global	\name
	.type	\name, @function
\name:
	.endm

	.macro	export name, flags, checksum, namespace=
	.section __ksymtab_strings, "aMS", @progbits, 1
.Lname_\name:
	.asciz	"\name"
.Lspace_\name:
	.asciz	"\namespace"
	.section ___ksymtab+\name, "a"
	.balign	4
	.global	__ksymtab_\name
__ksymtab_\name:
	.long	\name - ., .Lname_\name - ., .Lspace_\name - .
	.section ___kflagstab+\name, "a"
	.byte	\flags
	.section ___kcrctab+\name, "a"
	.balign	4
	.long	\checksum
	.endm

	function newer_gpl
	add	%r3, %r3, %r3
	blr
	.size	newer_gpl, . - newer_gpl
	function newer_open
	addi	%r3, %r3, 1
	blr
	.size	newer_open, . - newer_open
	function newer_kept
	addi	%r3, %r3, -1
	blr
	.size	newer_kept, . - newer_kept
	function newer_named
	blr
	.size	newer_named, . - newer_named

	export	newer_gpl, 1, 0x11111111
	export	newer_open, 0, 0x22222222
	export	newer_kept, 0, 0x44444444, "NEWER"
	export	newer_named, 0, 0x55555555, "module:pair,newer_u*"

	.section .modinfo, "a"
	.asciz	"license=Dual MIT/GPL"
	.asciz	"description=Exports as Linux 7 has them"
