#!/bin/sh
# Makes modules that must be refused: target/modules/bad/FAULT.ko, each with one
# fault and named after it. target/modules/bad/LIST has a line for each: the
# name, a tab, what is wrong with it. Run `make -C modules` first.
#
# Those that a compiler can make are made by one; the others are hello.ko or
# seed_ibmvscsi.ko with a few bytes changed (bad.py).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
good=$here/../target/modules
bad=$good/bad
cross=${CROSS:-powerpc64le-linux-gnu-}
rm -rf "$bad"
mkdir -p "$bad"

note() { printf '%s\t%s\n' "$1" "$2" >> "$bad/LIST"; }

# assemble NAME WHAT [FLAGS]: a module from the assembly text on stdin.
assemble() {
	{
		echo '.section .modinfo, "a"; .asciz "license=Dual MIT/GPL"'
		echo ".asciz \"name=$(echo "$1" | tr - _)\"; .text"
		cat
	} | "${cross}gcc" -c -x assembler ${3-} -o "$bad/$1.ko" -
	note "$1" "$2"
}

# The word after a call that leaves must be a nop, for `ld r2,24(r1)`.
assemble missing-nop 'call of _printk at .text+0x18 without a nop behind it' <<'END'
	.global	missing_nop
	.type	missing_nop, @function
missing_nop:
0:	addis	2, 12, (.TOC. - 0b)@ha
	addi	2, 2, (.TOC. - 0b)@l
	.localentry missing_nop, . - missing_nop
	mflr	0
	std	0, 16(1)
	stdu	1, -32(1)
	li	3, 0
	bl	_printk
	addi	1, 1, 32
	ld	0, 16(1)
	mtlr	0
	blr
	.size	missing_nop, . - missing_nop
END

# A relocation type that nobody uses in a module: a thread-local offset.
assemble reloc-thread-local 'relocation R_PPC64_TPREL16_HA: there are no threads' <<'END'
	addis	3, 13, somewhere@tprel@ha
	blr
END

assemble symbol-common 'a common symbol: nobody has given it a place' <<'END'
	.comm	shared_by_chance, 8, 8
	blr
END

# Function descriptors and e_flags 1.
assemble elfv1 'the ELFv1 ABI (function descriptors)' -mabi=elfv1 <<'END'
	.abiversion 1
	.section ".opd", "aw"
	.align	3
descriptor:
	.quad	.Lcode, .TOC.@tocbase, 0
	.text
.Lcode:	blr
END

"${cross}gcc" -c -x assembler -mbig-endian -o "$bad/big-endian.ko" - <<'END'
	.abiversion 2
	blr
END
note big-endian 'data in big-endian order'

"${cross}gcc" -c -x assembler -m32 -mbig-endian -o "$bad/class-32-bit.ko" - <<'END'
	blr
END
note class-32-bit 'a 32-bit object'

# The host's own object, where the host is another machine and has a compiler.
if echo 'int init_module(void) { return 0; }' |
	gcc -c -x c -o "$bad/foreign-machine.ko" - 2> /dev/null &&
	! cmp -s -n 2 -i 18 "$bad/foreign-machine.ko" "$good/hello.ko"; then
	note foreign-machine "an object of the host's own machine"
else
	rm -f "$bad/foreign-machine.ko"
fi

echo 'This is not a module.' > "$bad/not-elf.ko"
note not-elf 'text, not ELF'
: > "$bad/empty.ko"
note empty 'no byte at all'

python3 "$here/bad.py" "$good" "$bad" >> "$bad/LIST"
sort -o "$bad/LIST" "$bad/LIST"
echo "  BAD  $(wc -l < "$bad/LIST") files"
