#!/usr/bin/env python3
"""Every command's help has an example: each of them is typed, and works.

The examples are asked of the machine (`help NAME`), so none can be left out. Some need
something to be there first; some end the machine and have a run of their own.
"""

import os
import unittest

import cases
from test_kernel import Booted

# What is typed before an example, by its command.
BEFORE = {
    "rmmod": ["insmod demo"],
    "step": ["insmod demo"], "stubs": ["insmod demo"], "sections": ["insmod demo"],
    "relocs": ["insmod demo"], "sites": ["insmod demo"], "livepatch": ["insmod demo"],
    "trace": ["insmod demo_user"],
    "sym": ["insmod crc7"],
    "wait": ["insmod klp_busy", "call -b -c 1 klp_busy:busy_hold", "stop 1"],
    "stop": ["insmod klp_busy", "call -b -c 1 klp_busy:busy_hold"],
    "hash": ["modprobe sha512_generic"],
    "cipher": ["modprobe twofish_generic"],
    "compress": ["modprobe lz4"],
    "nls": ["modprobe nls_cp437"],
    "keymap": ["modprobe rc-hauppauge"],
    "search": ["modprobe ts_kmp"],
    "match": ["modprobe xt_length"],
    "target": ["modprobe xt_mark"],
}
# The end of the machine, and how it says so.
ENDS = {
    "reboot": "tocsin: ok", "exit": "tocsin: ok", "quit": "tocsin: ok", "poweroff": "tocsin: ok",
    "selftest": "tocsin: panic",
}
DEBIAN = ("crc7", "sha512_generic", "twofish_generic", "twofish_common", "lz4", "lz4_compress",
          "nls_cp437", "rc-hauppauge", "ts_kmp", "xt_length", "xt_mark")


@unittest.skipUnless(os.environ.get("TOCSIN_MODULES_DIR"), "TOCSIN_MODULES_DIR is not set")
class Examples(Booted):
    """What `help` says can be typed."""

    EXAMPLES = {}

    def examples(self):
        """By command, asked once."""
        if not self.EXAMPLES:
            listed = [line.split()[0] for line in self.boot("help")[2][1:-1]]
            for line in self.boot("; ".join(f"help {name}" for name in listed))[2]:
                if line.startswith("example: "):
                    self.EXAMPLES[line.split()[1]] = line.removeprefix("example: ")
            self.assertEqual(list(self.EXAMPLES), listed)
        return self.EXAMPLES

    def test_each_works(self):
        script, seen = ["set +e", "set -x"], set()
        for name, example in self.examples().items():
            if name in ENDS:
                continue
            for command in BEFORE.get(name, []):
                if command not in seen or command.startswith("call -b"):
                    script.append(command)
                if command.startswith(("insmod", "modprobe")):
                    seen.add(command)
            script.append(example)
            if name == "rmmod":
                seen.discard("insmod demo")
            if name in ("trace", "time", "repeat"):
                script.append("trace off")
        modules = " ".join(cases.find_module(name) for name in DEBIAN)
        _, _, lines = self.boot("\n".join(script), MODULES=modules, SMP="2", TIMEOUT="60")
        wrong = []
        for name, example in self.examples().items():
            if name not in ENDS:
                self.assertIn("> " + example, lines)
                said = lines[lines.index("> " + example) + 1]
                if said.startswith(f"{name}: ") and name != "time":
                    wrong.append((example, said))
        self.assertEqual(wrong, [])
        self.assertEqual(lines[-1], "tocsin: ok")

    def test_those_that_end_the_machine_end_it(self):
        for name, verdict in ENDS.items():
            lines = self.boot(self.examples()[name] + "\necho on")[2]
            self.assertTrue(lines[-1].startswith(verdict), (name, lines[-1]))
            self.assertNotIn("on", lines)


if __name__ == "__main__":
    unittest.main()
