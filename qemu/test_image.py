#!/usr/bin/env python3
"""Looks at the words of the built kernel, target/tocsin.

What a traced call runs through must not meet a traced function before it can tell
that it is traced already. Here that is so because it calls nothing at all: proven
from the machine code, by walking every way that leads on from the hooks and from
the exception vectors.
"""

import os
import re
import subprocess
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
IMAGE = os.path.join(ROOT, "target", "tocsin")
TOOL = "powerpc64le-linux-gnu-"

# Instructions that go on elsewhere, with the address they name.
DIRECT = re.compile(r"^(b|bl|bc|bcl|b(?:eq|ne|lt|gt|le|ge|so|ns|un|nu|dnz|dz)l?[-+]?)\s+(?:[^ ]*,)?([0-9a-f]+)\b")
ENDS = {"b", "blr", "bctr", "rfid", "trap"}


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Image:
    def __init__(self, path):
        self.symbols = {}
        for line in run(TOOL + "nm", path).splitlines():
            value, _, name = line.split(maxsplit=2)
            self.symbols[name] = int(value, 16)
        self.words = {}
        for line in run(TOOL + "objdump", "-d", "-j", ".text", "--no-show-raw-insn", path).splitlines():
            found = re.match(r"^\s*([0-9a-f]+):\s+(.*)$", line)
            if found:
                self.words[int(found[1], 16)] = found[2].strip()
        table = run(TOOL + "readelf", "-sW", path).splitlines()
        rows = [line.split() for line in table if " FUNC " in line]
        self.functions = {int(row[1], 16) for row in rows}
        self.patchable = self.patchable_sites(path)

    def patchable_sites(self, path):
        """Addresses of the nops that tracing turns into branches."""
        dump = run(TOOL + "objdump", "-s", "-j", "__patchable_function_entries", path)
        text = "".join("".join(line[1:].split("  ")[0].split()[1:5]) for line in dump.splitlines()
                       if re.match(r"^ [0-9a-f]+ ", line))
        data = bytes.fromhex(text)
        entries = range(0, len(data), 8)
        return {self.local_entry(int.from_bytes(data[at:at + 8], "little")) for at in entries}

    def local_entry(self, entry):
        toc = self.words.get(entry, "").startswith("addis   r2,r12")
        return entry + (8 if toc else 0)

    def reached(self, roots, stop=()):
        """Every address that code at `roots` can run by branches that name their
        target, calls included; not beyond `stop`."""
        seen, todo = set(), list(roots)
        while todo:
            at = todo.pop()
            if at in seen or at in stop or at not in self.words:
                continue
            seen.add(at)
            text = self.words[at]
            found = DIRECT.match(text)
            if found:
                todo.append(int(found[2], 16))
            if text.split()[0] not in ENDS:
                todo.append(at + 4)
        return seen


@unittest.skipUnless(os.path.exists(IMAGE), "target/tocsin is not built")
class Rights(unittest.TestCase):
    def test_constants_are_not_among_what_can_be_written(self):
        # The compiler puts nearly all of them beside those with addresses in them.
        rows = [line.split() for line in run(TOOL + "objdump", "-h", IMAGE).splitlines()]
        sizes = {row[1]: int(row[2], 16) for row in rows if len(row) == 7}
        self.assertGreater(sizes[".rodata"], 64 << 10)
        self.assertLess(sizes[".data"], 16 << 10)


@unittest.skipUnless(os.path.exists(IMAGE), "target/tocsin is not built")
class Tracing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.image = Image(IMAGE)

    def traceable(self, reached):
        return sorted(hex(at) for at in reached & self.image.patchable)

    def test_the_kernel_has_functions_that_can_be_traced(self):
        nops = [at for at in self.image.patchable if self.image.words.get(at) == "nop"]
        self.assertGreater(len(nops), 1000)
        self.assertEqual(len(nops), len(self.image.patchable))

    def test_what_begins_with_a_nop_is_what_the_compiler_lists(self):
        # The kernel goes by the nops (machine::own).
        entries = [self.image.local_entry(at) for at in self.image.functions]
        nops = {at for at in entries if self.image.words.get(at) == "nop"}
        self.assertEqual(nops, self.image.patchable)
        self.assertGreater(len(set(entries) - nops), 100)  # those of core, and assembly

    def test_hooks_reach_nothing_that_can_be_traced(self):
        symbols = self.image.symbols
        start, end = symbols["hook_text_start"], symbols["hook_text_end"]
        # Probes that the kernel serves leave them on purpose, by two ways out, and come
        # back by two; what they reach before they have taken the ring away is below.
        out = {symbols["probe_slow"], symbols["probe_return_slow"]}
        reached = self.image.reached([at for at in self.image.words if start <= at < end], stop=out)
        self.assertEqual(self.traceable(reached), [])
        # What is more, they do not leave their own words but by the registers that
        # say where the call came from.
        self.assertEqual([hex(at) for at in sorted(reached) if not start <= at < end], [])
        calls = [self.image.words[at] for at in sorted(reached)
                 if re.match(r"(bl|bctrl|bcl|blrl)\b", self.image.words[at])]
        self.assertEqual(calls, ["bctrl"])  # sibling_call's: the module's own callee

    def test_probes_take_the_ring_away_before_anything_that_can_be_traced(self):
        symbols = self.image.symbols
        roots = [symbols["probe_slow"], symbols["probe_return_slow"]]
        back = {symbols["hook_many_next"], symbols["probe_return_out"]}
        guard = symbols["probe_guarded"]
        before = self.image.reached(roots, stop={guard} | back)
        self.assertEqual(self.traceable(before), [])
        # The word before the guard is the one that takes it away.
        self.assertRegex(self.image.words[guard - 4], r"^std\s+r0,\d+\(r13\)$")
        self.assertRegex(self.image.words[guard - 8], r"^li\s+r0,0$")
        self.assertIn(guard - 4, before)
        # The test can fail: behind the guard there is plenty.
        self.assertNotEqual(self.traceable(self.image.reached([guard], stop=back)), [])

    def test_triggers_take_the_ring_away_before_anything_that_can_be_traced(self):
        symbols = self.image.symbols
        guard = symbols["trigger_guarded"]
        before = self.image.reached([symbols["trigger_hook"]], stop={guard})
        self.assertEqual(self.traceable(before), [])
        self.assertRegex(self.image.words[guard - 4], r"^std\s+r3,\d+\(r13\)$")
        self.assertRegex(self.image.words[guard - 8], r"^li\s+r3,0$")
        self.assertIn(guard - 4, before)
        # The test can fail: behind the guard there is plenty.
        behind = self.image.reached([guard], stop={symbols["_mcount"]})
        self.assertNotEqual(self.traceable(behind), [])

    def test_exceptions_reach_the_guard_before_anything_that_can_be_traced(self):
        symbols = self.image.symbols
        roots = [symbols[name] for name in ("trap_vector", "trap_low", "trap_entry")]
        guard = symbols["trap_guarded"]
        before = self.image.reached(roots, stop={guard})
        self.assertEqual(self.traceable(before), [])
        self.assertNotIn("bl", {self.image.words[at].split()[0] for at in before})
        # The test can fail: behind the guard there is plenty.
        self.assertNotEqual(self.traceable(self.image.reached([guard])), [])


if __name__ == "__main__":
    unittest.main()
