#!/usr/bin/env python3
"""Five hundred spoiled modules, linked by the machine (`insmod --link-only`).

`tocsin-spoil` (tools/spoil/) makes them from our modules and from Debian's, always
the same ones, and says what the library makes of each on the host. The machine has
to say the same: loaded, or refused for the same reason, in one line. What it has
loaded is audited, and goes again; in the end as much memory is free as before.
"""

import glob
import os
import re
import subprocess
import unittest

import cases
import test_kernel

SPOIL = os.path.join(test_kernel.ROOT, "target", "debug", "tocsin-spoil")
COUNT = 250  # of ours, and of Debian's
SMALL = 16 << 10


def small(paths):
    return sorted(path for path in paths if os.path.getsize(path) <= SMALL)


def quoted(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def kind(reason):
    """A reason without the numbers: addresses are others on the machine."""
    return re.sub(r"0x[0-9a-f]+|\d+", "#", reason)


class LinkOnly(test_kernel.Booted):
    def spoil(self, files, seed):
        self.assertTrue(files)
        done = subprocess.run([SPOIL, self.dir, str(COUNT), str(seed), *files],
                              stdout=subprocess.PIPE, check=True, encoding="utf-8")
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        self.assertEqual(len(lines), COUNT)
        return lines

    def check(self, files, seed):
        told = self.spoil(files, seed)
        commands = ["set -x", "set +e", "mem", "lsmod"]
        for file, name, *_ in told:
            commands += [f"insmod {file[:-3]} --link-only", "audit -v", f"rmmod {quoted(name)}"]
        commands += ["audit", "lsmod", "mem"]
        _, _, lines = self.boot("\n".join(commands), MODULES=self.dir, TIMEOUT="300")
        self.assertEqual(lines[-1], "tocsin: ok", lines[-3:])
        blocks = []
        for line in lines[1:-1]:
            if line.startswith("> "):
                blocks.append([])
            blocks[-1].append(line)
        self.assertEqual([block[0][2:] for block in blocks], commands[1:])
        memory, before, *loads, audit, after, memory_after = blocks[1:]
        loaded = 0
        for (file, name, verdict, source), insmod, audited, rmmod in zip(
                told, loads[0::3], loads[1::3], loads[2::3]):
            with self.subTest(file, source=source):
                said = insmod[1:]
                self.assertLessEqual(len(said), 1, said)
                if verdict == "ok":
                    self.assertEqual(said, [])
                    # Text, stubs and data are as linked, and it goes without a word.
                    self.assertEqual(rmmod[1:], [])
                    self.assertRegex(audited[1], r": \d+ words as linked, 0 patched$")
                    self.assertRegex(audited[2], r", 0 written since$")
                    self.assertEqual(len(audited), 3, audited)
                    loaded += 1
                else:
                    start = f"insmod: {file[:-3]}: "
                    self.assertEqual(said[0][:len(start)], start)
                    self.assertEqual(kind(said[0][len(start):]), kind(verdict))
        self.assertEqual((audit[1:], after), ([], before))
        self.assertEqual(cases.memory(memory_after), cases.memory(memory))
        self.assertIn(loaded, range(COUNT // 5, COUNT * 4 // 5))

    def test_our_modules_spoiled(self):
        self.check(small(glob.glob(os.path.join(test_kernel.ROOT, "target/modules/*.ko"))), 1)

    def test_debians_modules_spoiled(self):
        tree = os.environ.get("TOCSIN_MODULES_DIR")
        if not tree:
            self.skipTest("TOCSIN_MODULES_DIR is not set")
        every = small(glob.glob(os.path.join(tree, "**/*.ko"), recursive=True))
        self.check(every[::max(1, len(every) // COUNT)], 2)


class Deep(test_kernel.Booted):
    """What leads the kernel into itself again and again must not take its stack."""

    def assemble(self, name, text):
        path = os.path.join(self.dir, name + ".ko")
        subprocess.run(["powerpc64le-linux-gnu-as", "-o", path, "-"], input=text, check=True,
                       encoding="utf-8")
        return path

    # Exports e0000 and wants e1111, which is in c1111.
    LINK = """
        .section .modinfo, "a"
        .asciz "license=GPL"
        .asciz "name=c0000"
        .asciz "depends=c1111"
        .text
        .global e0000
        .type   e0000, @function
    e0000: blr
        .size   e0000, . - e0000
        .data
        .quad   e1111
        .section __ksymtab_strings, "a"
    0:  .asciz  "e0000"
        .section __ksymtab, "a"
        .quad   e0000, 0b, 0
    """

    def test_a_row_of_modules(self):
        template = read(self.assemble("c0000", self.LINK))
        for number in range(40):
            file = template
            for letter in b"c", b"e":
                file = file.replace(letter + b"0000", b"%c%04d" % (letter, number))
                file = file.replace(letter + b"1111", b"%c%04d" % (letter, number + 1))
            # The last one wants a function that the kernel has.
            file = file.replace(b"depends=c0040", b"depends=\0\0\0\0\0").replace(b"e0040", b"kfree")
            with open(os.path.join(self.dir, f"c{number:04}.ko"), "wb") as out:
                out.write(file)
        status, _, lines = self.boot("mem; ! modprobe c0007; mem; modprobe c0008", MODULES=self.dir)
        refused, = [line for line in lines if line.startswith("modprobe")]
        self.assertEqual(refused, "modprobe: c0007: needs c0039: more than 32 modules in a row, "
                                  "from c0007 on; modprobe c0039 first")
        at = lines.index(refused)
        self.assertEqual(cases.memory(lines[1:at]), cases.memory(lines[at + 1:-1]))
        self.assertEqual((status, lines[-1]), (0, "tocsin: ok"))

    def test_a_name_within_itself(self):
        self.assemble("within", """
            .section .modinfo, "a"
            .asciz "license=GPL"
            .text
            .global _RNvB_1a
            .type   _RNvB_1a, @function
        _RNvB_1a: mflr 0
            bl      _mcount
            blr
            .size   _RNvB_1a, . - _RNvB_1a
        """)
        _, _, lines = self.boot("insmod within; trace on *B_*; call _RNvB_1a; sites *B_*; "
                                "dis _RNvB_1a 4", MODULES=self.dir)
        self.assertEqual(lines[-1], "tocsin: ok")
        self.assertIn("_RNvB_1a", "".join(lines))


def read(path):
    with open(path, "rb") as file:
        return file.read()


if __name__ == "__main__":
    os.chdir(test_kernel.HERE)
    unittest.main()
