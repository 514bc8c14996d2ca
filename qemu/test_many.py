#!/usr/bin/env python3
"""Modules with a hundred thousand of everything: four times as many cost four times.

Wherever two counts of a file are multiplied (names by entries, parameters by symbols),
a hundred thousand of each would take minutes on a real machine. So the same module is
made with N and with 4 N of each, and instructions are counted (`ICOUNT=1`): the larger
may take no more than five times as many. Loaded, looked at, unloaded; refused by
`insmod`, with all that is searched for a hint, and by `modprobe`.
"""

import os
import re
import subprocess
import unittest

import test_kernel

FEW, MANY = 25_000, 100_000
GROWTH = 5

# Of each: a function that is traced and patchable, exported, in a namespace; a call of
# what may be missing; a parameter; a word for each table; a line of .modinfo; a version.
EVERYTHING = r"""
    .macro section name, flags, what:vararg
        .section \name, "\flags"
        \what
    .endm
    .macro one
        .text
        .global f\@
        .type f\@, @function
        .weak w\@
    f\@: mflr 0
        bl _mcount
    p\@: bl w\@
        nop
        sync
        blr
        .size f\@, . - f\@
        section __ksymtab_strings, a, n\@: .asciz "f\@"
        section __ksymtab, a, .quad f\@, n\@, s
        section __param, aw, .quad n\@, 0, 0, 0, f\@
        section __jump_table, aw, .long f\@ - ., f\@ - .
        .quad key - .
        section __bug_table, aw, .long f\@ - ., f\@ - ., 0
        section __ex_table, a, .long f\@ - ., f\@ - .
        section __lwsync_fixup, a, .quad p\@ + 8 - .
        section __patchable_function_entries, aw, .quad p\@ + 4
        section .modinfo, a, .asciz "import_ns=N\@"
        section __versions, a, .quad 1
        .asciz "w\@"
        .balign 64
    .endm
    .section .modinfo, "a"
    .asciz "license=GPL"
    .asciz "name=NAME"
    .section __ksymtab_strings, "a"
s:  .asciz "A_NAMESPACE"
    .data
key: .quad 0
    .rept COUNT
    one
    .endr
"""

# Wants names that nobody has, and depends on as many modules that are not there.
REFUSED = r"""
    .macro one
        .quad nobody\@
    .endm
    .macro dependency
        .ascii "d\@,"
    .endm
    .data
    .rept COUNT
    one
    .endr
    .section .modinfo, "a"
    .asciz "license=GPL"
    .asciz "name=NAME"
    .ascii "depends="
    .rept COUNT
    dependency
    .endr
    .byte 0
"""


class Many(test_kernel.Booted):
    def make(self, name, text, count):
        path = os.path.join(self.dir, name + ".ko")
        text = text.replace("NAME", name, 1).replace("COUNT", str(count))
        subprocess.run(["powerpc64le-linux-gnu-as", "-o", path, "-"], input=text, check=True,
                       encoding="utf-8")

    def cost(self, first, *commands):
        """Instructions of each command; what else was printed. One that fails is the last,
        unless `first` says otherwise."""
        lines = self.boot(first + "; ".join("time " + it for it in commands) + "; true",
                          MODULES=self.dir, ICOUNT="1", CPU="power9", TIMEOUT="300")[2]
        costs = [int(found[1]) for found in (re.match(r"time: (\d+) ns", it) for it in lines) if found]
        self.assertEqual(len(costs), len(commands), lines[-9:])
        return costs, lines

    def compare(self, text, *commands, first=""):
        self.make("few", text, FEW)
        self.make("many", text, MANY)
        few, _ = self.cost(first, *(it.format("few") for it in commands))
        many, lines = self.cost(first, *(it.format("many") for it in commands))
        for command, less, more in zip(commands, few, many):
            with self.subTest(command):
                print(f"{command.format('many')}: {less} of {FEW}, {more} of {MANY}")
                self.assertLess(more, less * GROWTH)
        return lines

    def test_what_loads(self):
        lines = self.compare(EVERYTHING, "insmod {} --link-only", "audit", "relocs {} 300000",
                             "stubs {}", "sym f11", "trace on f22", "trace off", "rmmod {}",
                             "insmod {}", "rmmod {}")
        self.assertIn("1 sites traced", lines)

    def test_what_is_refused(self):
        lines = self.compare(REFUSED, "insmod {}", "modprobe {}", "insmod {} --link-only",
                             first="set +e; ")
        refused, = [line for line in lines if line.startswith("insmod: many: unresolved: ")]
        self.assertIn(f" and {MANY - 8} more; no module here exports them", refused)


if __name__ == "__main__":
    os.chdir(test_kernel.HERE)
    unittest.main()
