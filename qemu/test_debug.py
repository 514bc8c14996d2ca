#!/usr/bin/env python3
"""`make debug`: one session of gdb, without a person, against a machine in QEMU.

A module is loaded, called, traced, and unloaded; gdb has to know its functions and the
lines of its source from before its init on, and to have forgotten them afterwards. What
the printers say is compared with what the machine's own commands say.
"""

import os
import re
import shlex
import shutil
import socket
import subprocess
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
FOLDER = os.path.join(ROOT, "target", "test", "debug")

SOURCE = """#include <linux/module.h>

long traced_twice(long n);
noinline long traced_twice(long n)
{
\tlong twice = n * 2;

\treturn twice;
}

static int __init traced_begin(void)
{
\tpr_info("answers %ld\\n", traced_twice(21));
\treturn 0;
}
module_init(traced_begin);

static void __exit traced_end(void)
{
}
module_exit(traced_end);
MODULE_LICENSE("GPL");
"""

COMMANDS = """insmod traced
stubs traced
trace on traced_twice
sites traced:*
call traced_twice 4
trace off
rmmod traced
insmod demo
"""

# Said between the answers, so that the test can tell them apart.
SESSION = [
    "break traced_twice",
    "continue",  # kernel_main
    "echo ==arguments\\n", "continue", "info args",
    "echo ==line\\n", "info line",
    "echo ==there\\n", "info functions ^traced_twice$",
    "echo ==stubs\\n", "stubs traced",
    "echo ==sites\\n", "sites traced",
    "echo ==low\\n", "info symbol 0x0", "info symbol 0x30", "info symbol traced_twice",
    "echo ==usage\\n", "stubs", "sites",
    "continue",  # the shell's call
    "echo ==traced\\n", "sites traced",
    "echo ==backtrace\\n", "backtrace 2",
    "echo ==paca\\n", "paca 0",
    "delete",
    "break answer",
    "continue",
    "echo ==gone\\n", "info functions ^traced_twice$", "lsmod",
    "kill",
]


def free_port():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


@unittest.skipUnless(shutil.which("gdb-multiarch"), "needs gdb-multiarch")
class Debugger(unittest.TestCase):
    """What one session printed, cut at its headings."""

    @classmethod
    def setUpClass(cls):
        os.makedirs(FOLDER, exist_ok=True)
        source, module = (os.path.join(FOLDER, "traced" + end) for end in (".c", ".ko"))
        with open(source, "w", encoding="utf-8") as file:
            file.write(SOURCE)
        subprocess.run(
            ["make", "-s", "-C", os.path.join(ROOT, "modules"), "module",
             f"SRC={source}", f"OUT={module}", "MODULE_FLAGS=-g"],
            check=True,
        )
        words = " ".join(f'-ex "{command}"' for command in SESSION)
        env = {
            **os.environ, "GDB": str(free_port()), "GDBFLAGS": f"-batch {words}", "CMD": COMMANDS,
            "MODULES": module, "FIRMWARE": "vof", "TIMEOUT": "60",
        }
        done = subprocess.run(
            [os.path.join(ROOT, "tools", "debug.sh")], env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
        )
        cls.text = done.stdout.decode("utf-8", "replace")
        cls.parts = dict(
            part.split("\n", 1) for part in re.split(r"^==", cls.text, flags=re.M)[1:]
        )
        with open(os.path.join(ROOT, "target", "debug-console.log"), encoding="utf-8") as file:
            cls.console = file.read()

    def part(self, name):
        self.assertIn(name, self.parts, self.text)
        return self.parts[name]

    def test_a_breakpoint_set_before_the_module_came_stops_in_its_init(self):
        self.assertRegex(self.part("arguments"), r"Breakpoint \d, traced_twice \(n=(n@entry=)?21\)")
        self.assertIn("n = 21", self.part("arguments"))

    def test_a_module_built_with_g_has_the_lines_of_its_source(self):
        self.assertRegex(self.part("line"), r'Line \d+ of ".*traced\.c"')

    def test_stubs_lead_where_the_kernel_says_that_they_lead(self):
        kernel = dict(re.findall(r"^(0x\w+) \w+ -> (?:\w+:)?(\w+)$", self.console, re.M))
        gdb = dict(re.findall(r"^(0x\w+) \w+: .*to (\w+)$", self.part("stubs"), re.M))
        self.assertEqual(set(gdb.values()), {"_printk", "_mcount"}, self.part("stubs"))
        self.assertEqual(gdb, kernel)

    def test_small_numbers_are_not_named_after_what_the_loader_left_out(self):
        # .modinfo, for one, is nowhere in memory.
        self.assertEqual(self.part("low").splitlines(), [
            "No symbol matches 0x0.", "No symbol matches 0x30.", "traced_twice in section .text of "
            + os.path.join(ROOT, "target", "gdb", "traced.ko")])

    def test_a_command_without_its_module_says_how_it_is_used(self):
        self.assertIn("use: stubs MODULE (lsmod lists them)\nuse: sites MODULE (lsmod lists them)\n",
                      self.part("usage"))

    def test_sites_are_those_of_the_module_and_say_when_they_are_traced(self):
        at = re.search(r"^(0x\w+) traced_twice\+4: early; .*; now 60000000: off$", self.part("sites"), re.M)
        self.assertTrue(at, self.part("sites"))
        line = re.search(rf"^{at[1]} .*bl Profile stub \d of traced; now (\w+): traced$", self.part("traced"), re.M)
        self.assertTrue(line, self.part("traced"))
        self.assertNotEqual(line[1], "60000000")

    def test_the_stack_goes_from_the_module_back_into_the_kernel(self):
        self.assertRegex(self.part("backtrace"), r"#0 +traced_twice \(n=4\)[^\n]*\n#1 .* guarded_call")

    def test_the_paca_says_which_call_runs_and_how_large_the_ring_is(self):
        paca = self.part("paca")
        self.assertRegex(paca, r"(?m)^PACA of CPU 0 at 0x\w+ = \{")
        self.assertRegex(paca, r"call = number 2, traced_twice")
        self.assertRegex(paca, r"ring = 0 records ever, room for \d+")
        self.assertRegex(paca, r"trap_depth = 0")

    def test_a_module_that_has_gone_has_no_symbols_left(self):
        self.assertIn("long traced_twice(long);", self.part("there"))
        gone = self.part("gone")
        self.assertNotIn("traced_twice(", gone)
        self.assertRegex(gone, r"(?m)^demo at 0x")
        self.assertNotRegex(gone, r"(?m)^traced at")


@unittest.skipUnless(shutil.which("gdb-multiarch"), "needs gdb-multiarch")
class Page(unittest.TestCase):
    """The session in docs/testing.md; addresses are any, `...` is any text."""

    def test_the_session_of_the_page_is_what_gdb_prints(self):
        with open(os.path.join(ROOT, "docs", "testing.md"), encoding="utf-8") as file:
            page = file.read()
        commands = re.search(r"^make debug CMD='(.*)'$", page, re.M)[1]
        session = re.search(r"^```text\n(\(gdb\) .*?)^```$", page, re.M | re.S)[1]
        steps = [step.split("\n", 1) for step in re.split(r"^\(gdb\) ", session, flags=re.M)[1:]]
        self.assertGreater(len(steps), 3)
        typed = [word for command, _ in steps for word in ("echo ==step\\n", command)]
        env = {
            **os.environ, "GDB": str(free_port()), "CMD": commands, "FIRMWARE": "vof", "TIMEOUT": "60",
            "GDBFLAGS": "-batch " + " ".join("-ex " + shlex.quote(word) for word in [*typed, "kill"]),
        }
        done = subprocess.run([os.path.join(ROOT, "tools", "debug.sh")], env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        parts = done.stdout.decode("utf-8", "replace").split("==step\n")[1:]
        for (command, shown), printed in zip(steps, parts, strict=True):
            pieces = re.split(r"(\.\.\.\n?|0x[0-9a-f]{7,16})", shown.strip())
            regex = "".join(re.escape(piece) if n % 2 == 0 else r"[\s\S]*" if "..." in piece else "0x[0-9a-f]+"
                            for n, piece in enumerate(pieces))
            self.assertRegex(printed.replace("[Inferior 1 (process 1) killed]", "").strip(), f"^{regex}$", command)


if __name__ == "__main__":
    unittest.main()
