#!/usr/bin/env python3
"""Tests that boot the kernel and that no transcript can hold.

Verdicts and exit statuses, what reaches stdout, commands of great length, `make
run` itself, and module files spoiled by a program. Each test boots qemu/run.sh
once or a few times; with VOF that takes a quarter of a second.

The spoiled files come from a fixed seed: every run tries the same ones.
"""

import itertools
import os
import random
import re
import shutil
import struct
import subprocess
import tempfile
import unittest

import cases

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
# What cannot be built here, and what a test says itself, is not inherited.
OWN = {"CMD", "MODULES", "GDB", "CALLER", "KERNEL", "TIMEOUT"}


class Booted(unittest.TestCase):
    """A test with a folder of its own, which can boot the kernel."""

    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)

    def environment(self, **settings):
        # An empty variable is one that nobody set: `make` exports them so.
        env = {k: v for k, v in os.environ.items()
               if k not in OWN and (v or k not in cases.SETTINGS)}
        env.setdefault("FIRMWARE", "vof")
        env["AUDIT"] = "1"  # a drift is one more line, and a failure
        env["CONSOLE_LOG"] = os.path.join(self.dir, "console.log")
        return env | settings

    def boot(self, cmd, **settings):
        """Runs `cmd`; returns the status, stdout's bytes, and its lines."""
        done = subprocess.run(
            [os.path.join(HERE, "run.sh")],
            env=self.environment(CMD=cmd, **settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        lines = done.stdout.decode("utf-8", "replace").splitlines()
        self.assertTrue(lines, done.stderr.decode("utf-8", "replace"))
        return done.returncode, done.stdout, lines

    def debian(self, name):
        """The path of a module of Debian's."""
        try:
            return cases.find_module(name)
        except cases.Skipped as why:
            self.skipTest(str(why))


class ManyTools(Booted):
    """Tools at one function have their turns in one order (docs/tracing.md), whichever
    was switched on or off before which."""

    # Short and long forms of switching each tool on and off.
    TOOLS = {
        "in": ("trace probe :in demo:answer", "trace unprobe in"),
        "out": ("trace return :out demo:answer", "trace unprobe out"),
        "call": ("trace on demo:answer", "trace off"),
        "patch": ("livepatch enable demo_fix", "livepatch disable demo_fix"),
    }
    # What lines of `trace` tell of, in the order in which it happens.
    LINE = re.compile(r"\b(in): \(|\b(out): \(|\b(answer) (?:<-|\[demo\]\(\);)")

    def every_order(self, tracer):
        tools = self.TOOLS | {"call": (tracer, "trace off")}
        orders = list(itertools.permutations(tools))
        commands, wanted = ["insmod demo"], []
        # Each order of switching on with another one of switching off.
        for on, off in zip(orders, orders[7:] + orders[:7]):
            there = set()
            for step, tool in enumerate(on + off):
                commands.append(tools[tool][step >= len(on)])
                there ^= {tool}
                commands += ["trace clear", "call demo:call_answer", "trace show"]
                wanted.append("= 0x2a" if "patch" in there else "= 0x29")
                names = {"in": "in", "call": "answer", "out": "out"}
                wanted += [names[tool] for tool in names if tool in there]
        _, _, lines = self.boot("\n".join(commands), TIMEOUT="120")
        self.assertEqual(lines[-1], "tocsin: ok")
        found = []
        for line in lines:
            tells = self.LINE.search(line)
            if tells:
                found.append(next(filter(None, tells.groups())))
            elif line.startswith("= "):
                found.append(line)
        self.assertEqual(len(orders), 24)
        self.assertEqual(found, wanted)

    def test_every_order_with_the_function_tracer(self):
        self.every_order("trace on demo:answer")

    def test_every_order_with_the_graph_tracer(self):
        self.every_order("trace graph demo:answer")


class FullRings(Booted):
    """Rings that stop when they are full, while three CPUs write and one reads."""

    def test_what_was_read_and_what_was_dropped_are_all(self):
        calls = 100000
        jobs = [f"call -c {cpu} -b -n {calls} demo:nine 1 2 3 4 5 6 7 8 9" for cpu in (1, 2, 3)]
        pipes = ["cat /sys/kernel/tracing/trace_pipe"] * 8
        stats = [f"cat /sys/kernel/tracing/per_cpu/cpu{cpu}/stats" for cpu in (1, 2, 3)]
        for tracer in ("trace on", "trace graph"):
            commands = ["insmod demo", "echo 64 > /sys/kernel/tracing/buffer_size_kb",
                        "trace set nooverwrite", f"{tracer} demo:nine", *jobs, *pipes, "wait",
                        "trace show", "set -x", *stats]
            _, _, lines = self.boot("\n".join(commands), SMP="4", TIMEOUT="120")
            self.assertEqual(lines[-1], "tocsin: ok")
            found, end = {}, lines.index("> " + stats[0])
            text = "\n".join(lines[:end])
            for line in lines[end:]:
                name, _, count = line.partition(": ")
                if count.isdigit():
                    found.setdefault(name, []).append(int(count))
            self.assertEqual(found["overrun"], [0, 0, 0])
            for cpu in range(3):
                there, read, dropped = (found[name][cpu] for name in
                                        ("entries", "read events", "dropped events"))
                self.assertGreater(dropped, 0)
                self.assertLessEqual(there, 2048)
                if tracer == "trace on":
                    shown = len(re.findall(rf"\[00{cpu + 1}\] .*: nine <-", text))
                    self.assertEqual(there + read, shown)
                    self.assertEqual(there + read + dropped, calls)
                else:
                    # A call whose beginning was dropped has no end; one that began may
                    # find the ring full at its end. So each has its end, or a drop.
                    of_cpu = re.findall(rf"^ {cpu + 1}\) .*", text, re.M)
                    whole = sum(line.endswith("();") for line in of_cpu)
                    begun = whole + sum(line.endswith("() {") for line in of_cpu)
                    ended = whole + sum("|  }" in line for line in of_cpu)
                    self.assertEqual(there + read, begun + ended)
                    self.assertEqual(ended + dropped, calls)
            self.assertGreater(sum(found["read events"]), 0)


class Verdicts(Booted):
    """How a run ends is said by its last line and by its status, alike."""

    def verdict(self, cmd, **settings):
        status, _, lines = self.boot(cmd, **settings)
        self.assertEqual(status, 0 if lines[-1] == "tocsin: ok" else 1, lines)
        return lines[1:-1], lines[-1]

    def test_success(self):
        self.assertEqual(self.verdict("echo a;; echo b ;\n;echo c"), (["a", "b", "c"], "tocsin: ok"))
        self.assertEqual(self.verdict(";"), ([], "tocsin: ok"))

    def test_the_first_failure_ends_the_run(self):
        refusal = "foo: unknown command (see help)"
        self.assertEqual(
            self.verdict("echo a; foo; echo b"), (["a", refusal], f"tocsin: failed: {refusal}")
        )

    def test_a_fault_in_the_words_swallows_the_rest_of_its_line_only(self):
        fault = 'echo: column 14: quote is never closed (end it with " on the same line)'
        self.assertEqual(
            self.verdict('echo a; echo "b; echo c\necho d'), (["a", fault], f"tocsin: failed: {fault}")
        )
        self.assertEqual(
            self.verdict('set +e; echo "b; echo c\necho d')[0][-1:], ["d"]
        )

    def test_a_bang_turns_failure_round(self):
        self.assertEqual(self.verdict("! foo")[1], "tocsin: ok")
        self.assertEqual(
            self.verdict("! echo a; echo b"),
            (["a", "! echo a: it succeeded (and ! wants it to fail)"],
             "tocsin: failed: ! echo a: it succeeded (and ! wants it to fail)"),
        )
        nothing = "!: nothing here that can fail (write `! COMMAND`, not with reboot or poweroff)"
        for cmd in "!", "! poweroff", "! reboot":
            self.assertEqual(self.verdict(cmd), ([nothing], f"tocsin: failed: {nothing}"))

    def test_after_set_plus_e_the_last_command_counts(self):
        self.assertEqual(self.verdict("set +e; foo; echo b")[1], "tocsin: ok")
        self.assertEqual(self.verdict("set +e; echo b; foo")[1],
                         "tocsin: failed: foo: unknown command (see help)")
        self.assertEqual(self.verdict("set +e; foo; set -e; foo; echo b")[0],
                         ["foo: unknown command (see help)"] * 2)

    def test_set_x_prints_each_command(self):
        self.assertEqual(
            self.verdict('set -x; echo  a ;! foo ; set +x; echo b')[0],
            ["> echo  a", "a", "> ! foo", "foo: unknown command (see help)", "> set +x", "b"],
        )

    def test_poweroff_keeps_the_verdict(self):
        self.assertEqual(self.verdict("echo a; poweroff; foo"), (["a"], "tocsin: ok"))
        self.assertEqual(self.verdict("set +e; foo; poweroff; echo a")[1],
                         "tocsin: failed: foo: unknown command (see help)")
        self.assertEqual(self.verdict("echo a; reboot; foo"), (["a"], "tocsin: ok"))

    def test_an_oops_is_a_failure(self):
        self.assertRegex(self.verdict("insmod oops; call oops_trap; echo a")[1],
                         r"^tocsin: oops in call: oops_trap: ")
        lines, verdict = self.verdict("insmod oops; ! call oops_trap; echo a")
        self.assertEqual((lines[-1], verdict), ("a", "tocsin: ok"))

    def test_what_has_drifted_at_the_end_is_a_failure(self):
        spoil = "insmod oops; call oops_store_text"
        drift = r"audit: 0x[0-9a-f]+ oops: expected 7c0802a6, found 60000000"
        lines, verdict = self.verdict(spoil, MMU="off")
        self.assertRegex(lines[-1], drift)
        self.assertEqual(verdict, "tocsin: failed: audit at the end: "
                         "1 words differ and nobody planned it (see journal)")
        # A failure that came first stays the verdict; the line is there all the same.
        lines, verdict = self.verdict(f"{spoil}; foo", MMU="off")
        self.assertRegex(lines[-1], drift)
        self.assertEqual(verdict, "tocsin: failed: foo: unknown command (see help)")
        self.assertEqual(self.verdict(spoil, MMU="off", AUDIT="0")[1], "tocsin: ok")

    def test_what_never_ends_is_given_up(self):
        status, _, lines = self.boot("insmod oops; call oops_loop", TIMEOUT="2")
        self.assertEqual((status, lines[-1]), (1, "tocsin: timeout after 2 s"))

    def test_a_machine_that_is_too_small_is_a_panic(self):
        # A file without contents, so large that 16 MiB are not left.
        with open(os.path.join(self.dir, "large.ko"), "wb") as file:
            file.truncate(135 << 20)
        status, _, lines = self.boot("echo a", MEM="256M", MODULES=self.dir)
        self.assertEqual(status, 1)
        self.assertRegex(lines[-1], r"^tocsin: panic too little memory: .* \(src/.*\)$")


class Faults(Booted):
    """The kernel's own faults end in a report and one verdict, whatever else is up."""

    # (With a hash table, what is far away has no segment.)
    NOWHERE = "(load from|access to) 0x600000000000, (which is not mapped|outside every segment)"
    # What goes wrong, and the verdict's cause.
    KINDS = {
        "load": NOWHERE,
        "text": "store to 0x[0-9a-f]+, which is protected",
        "jump": "jump to 0x600000000000, which is not mapped",
        "illegal": "illegal instruction",
        "misaligned": "alignment: access to 0x[0-9a-f]+",
        "panic": "on purpose: 1",
        "heap": NOWHERE,
        "console": NOWHERE,
        "modules": NOWHERE,
        "locks": NOWHERE,
        "stack": "stack overflow: the guard page at 0x[0-9a-f]+ was reached",
        "frame": "stack overflow: .*",
        "r1": "(store to|access to) 0xfffffffffffffff8, .*",
        "r13": "load from 0x8, which is not mapped",
        "tick": NOWHERE,
        "report": NOWHERE + " at .* while another was reported",
        "reports": "its report faulted, and the shorter one too",
        "emergency": "stack overflow: .* while another was reported",
        "check": "machine check",
    }

    def fault(self, kind, **settings):
        status, _, lines = self.boot(f"insmod demo; selftest fault {kind}; echo on", **settings)
        text = "\n".join(lines)
        self.assertEqual(status, 1, text)
        self.assertEqual(sum(line.startswith("tocsin: ") for line in lines), 1, text)
        self.assertEqual("back trace:" in lines, kind != "reports", text)
        return lines, text

    def test_every_kind(self):
        listed = [line.split()[0] for line in self.boot("selftest fault")[2][1:-1]]
        self.assertEqual(set(listed), {*self.KINDS, "cpu", "stuck", "reset"})
        for kind, cause in self.KINDS.items():
            with self.subTest(kind):
                lines, text = self.fault(kind, TIMEOUT="20")
                self.assertRegex(lines[-1], f"^tocsin: panic {cause}( at .*| \\(src/.*)?$", text)
                if kind != "reports":
                    self.assertRegex(text, r"(?m)^  \[0x[0-9a-f]+\] 0x[0-9a-f]{16} .*(tocsin::|_)")
                self.assertRegex(text, r"(?m)^cpu \d, no call$")

    def test_on_hash_tables(self):
        for kind in "locks", "stack", "frame", "emergency":
            with self.subTest(kind):
                lines, text = self.fault(kind, TIMEOUT="20", MMU="hash")
                self.assertRegex(lines[-1], f"^tocsin: panic {self.KINDS[kind]}( at |$)", text)

    def test_other_cpus_stop(self):
        for smp in "2", "4":
            lines, text = self.fault("cpu", SMP=smp, TIMEOUT="20")
            report = lines.index(f"cpu {int(smp) - 1}, call 2")
            self.assertRegex(lines[report - 1], f"^oops: {self.NOWHERE} at ")
            # Not a line of another CPU's from here to the verdict.
            self.assertNotIn("prints", "\n".join(lines[report:]))
            self.assertRegex(text, r"(?m)^cpu 0 was at 0x[0-9a-f]+ ")

    def test_a_cpu_that_holds_everything_and_hangs(self):
        for smp in "2", "4":
            lines, text = self.fault("stuck", SMP=smp, TIMEOUT="20")
            self.assertIn("cpu 0, no call", lines)
            self.assertRegex(text, rf"(?m)^cpu {int(smp) - 1} was at .*hang_here")

    def test_a_system_reset_tells_where_each_cpu_is(self):
        status, _, lines = self.boot("selftest fault reset; call strlen \"abc\"", SMP="4")
        self.assertEqual((status, lines[-2:]), (0, ["= 0x3", "tocsin: ok"]))
        told = [line for line in lines if re.match(r"cpu \d: system reset at 0x", line)]
        self.assertEqual(sorted(line[4] for line in told), list("0123"))
        self.assertEqual(lines.count("back trace:"), 4)


class Bare(Booted):
    """Without a hypervisor a failure has no status of QEMU's: the verdict tells."""

    def test_a_fault_is_a_verdict_and_the_machine_goes_off(self):
        if {"CPU", "MMU", "ICOUNT", "MACHINE"}.intersection(self.environment()):
            self.skipTest("is for MACHINE=powernv9")
        status, _, lines = self.boot("selftest fault load; echo on", MACHINE="powernv9", TIMEOUT="60")
        self.assertEqual(status, 1, lines)
        self.assertRegex(lines[-1], f"^tocsin: panic {Faults.NOWHERE} at ")
        self.assertEqual(sum(line.startswith("tocsin: ") for line in lines), 1, lines)
        self.assertIn("back trace:", lines)


    def test_commands_in_the_archive_are_run(self):
        if {"CPU", "MMU", "ICOUNT", "MACHINE"}.intersection(self.environment()):
            self.skipTest("is for MACHINE=powernv9")
        archive, commands = (os.path.join(self.dir, name) for name in ("initrd.img", "commands"))
        with open(commands, "w") as file:
            file.write("mmu=off --\ninsmod demo\ncall demo:answer\n! maps\n")
        subprocess.run([os.path.join(HERE, "mkinitrd.py"), "--seal", "--commands", commands, archive,
                        os.path.join(ROOT, "target/modules/demo.ko")], check=True)
        status, _, lines = self.boot("echo", MACHINE="powernv9", TIMEOUT="60",
                                     QEMUFLAGS=f"-initrd {archive} -append unattended")
        self.assertEqual((status, lines[-1]), (0, "tocsin: ok"), lines)
        self.assertIn("= 0x29", lines)
        self.assertIn("maps: translation is off: everything may be done everywhere", lines)


class Words(Booted):
    """What stands in front of `--`."""

    def log(self, *flags):
        """What `dmesg` says of boot, and what was printed before the first command."""
        status, _, lines = self.boot("echo", QEMUFLAGS=" ".join(flags))
        self.assertEqual((status, lines[-1]), (0, "tocsin: ok"), lines)
        at = lines.index("commands")
        return [line for line in lines[at:] if line.startswith("boot: ")], lines[:at]

    def test_a_word_that_is_none_is_told_and_somebody_elses_is_logged(self):
        words = "rebot BOOT_IMAGE=/tocsin.elf mmu=radiks quiet audit"
        log, shown = self.log(f"-append '{words} -- echo commands; dmesg'")
        told = ["boot: rebot: did you mean reboot? there is no such word",
                "boot: mmu=radiks: did you mean mmu=radix? there is no such word"]
        self.assertEqual([line for line in shown if line.startswith("boot: ")], told)
        others = [f"boot: {word}: there is no such word" for word in ("BOOT_IMAGE=/tocsin.elf", "quiet")]
        self.assertEqual([line for line in log if "no such word" in line],
                         [told[0], others[0], told[1], others[1]])


class Attacks(Booted):
    """Addresses that only the machine knows: what must not be written or executed."""

    SETUP = "insmod attack; insmod demo; livepatch enable demo_fix"
    RIGHTS = re.compile(r"0x([0-9a-f]+)-0x([0-9a-f]+) (...) (.*)")

    def oopses(self, commands, **settings):
        """What is reported of each call, all in one boot."""
        script = ["set -x", "set +e", self.SETUP, *commands, "call selfcheck"]
        _, _, lines = self.boot("\n".join(script), TIMEOUT="60", **settings)
        blocks = "\n".join(lines).split("\n> ")[-len(commands) - 1:]
        self.assertEqual(blocks.pop().splitlines(),
                         ["call selfcheck", "= 0x3f0000", "tocsin: ok"], lines)
        for command, block in zip(commands, blocks):
            self.assertEqual(block.splitlines()[0], command)
        return [block.splitlines()[1:] for block in blocks]

    def check(self, call, **settings):
        lines = self.boot(self.SETUP + "; maps; stubs attack", **settings)[2]
        maps = [(int(m[1], 16), int(m[2], 16), m[3], m[4])
                for m in map(self.RIGHTS.fullmatch, lines) if m]
        rights = {name: right for _, _, right, name in maps}
        for name, right in {
            "kernel text": "r-x", "kernel rodata": "r--", "kernel data": "rw-", "heap": "rw-",
            "initrd": "r--", "attack text": "r-x", "attack rodata": "r--", "attack data": "rw-",
            "demo redirect stubs": "r-x", "demo redirect targets": "r--",
            "stacks of cpu 0": "rw-",
        }.items():
            self.assertEqual(rights.get(name), right, (name, maps))

        # The first and the last word of everything, and the holes between.
        wanted = []
        for start, end, right, _ in maps:
            for at in start, end - 4:
                if "w" not in right:
                    wanted.append((f"{call} attack_store {at:#x}",
                                   f"oops: store to {at:#x}, which is protected at "))
                if "x" not in right:
                    wanted.append((f"{call} attack_jump {at:#x}",
                                   f"oops: jump to {at:#x}, which may not be executed at "))
        for (_, end, *_), (start, *_) in zip(maps, maps[1:]):
            if end < start:
                for at in end, start - 4:
                    wanted.append((f"{call} attack_jump {at:#x}",
                                   f"oops: jump to {at:#x}, which is not mapped at "))
                    wanted.append((f"{call} attack_store_blind {at:#x}",
                                   f"oops: (store to|stack overflow: the guard page at) {at:#x}"))
        # A stub entered behind its first words: at its load, at its mtctr, behind its end.
        stubs = [int(m[1], 16) for m in map(re.compile(r"0x([0-9a-f]+) external .*").match, lines) if m]
        self.assertTrue(stubs, lines)
        for stub in stubs:
            for offset, oops in (8, "load from 0x[0-9a-f]+, which is not mapped at "), \
                                (12, "jump to 0x0, which is not mapped at "), \
                                (20, "illegal instruction at .* stub to "):
                wanted.append((f"{call} attack_jump_bare {stub + offset:#x}", "oops: " + oops))
        # r1 lost, but to where it could be: among the frames of the kernel's own.
        number = call[-1] if call != "call" else "0"
        stack = next(start for start, _, _, name in maps if name == f"stacks of cpu {number}")
        top = stack + (0x10000 if number == "0" else 0x8000)
        for at in top - 16, top - 0x100:
            wanted.append((f"{call} attack_r1 {at:#x}", "oops: trap instruction at "))
            wanted.append((f"{call} -t 1 attack_lose_all {at:#x}", "oops: time limit reached at "))
        got = self.oopses([command for command, _ in wanted], **settings)
        for (command, oops), block in zip(wanted, got):
            self.assertRegex(block[0], "^" + oops, (command, block))

    def test_on_radix(self):
        self.check("call")
        self.check("call -c 1", SMP="2")

    def test_on_hash(self):
        self.check("call", MMU="hash", MEM="256M")

    def test_a_hundred_faults_leave_nothing(self):
        calls = ["oops_holding", "oops_deep 3", "oops_jump_null", "attack_r1 0", "attack_recurse 9999",
                 "attack_lose_all 0", "kfree 1234", "strlen 0", "attack_jump_heap", "-n 5 oops_trap"]
        for cpu, settings in ("", {}), ("-c 1 ", {"SMP": "2"}), ("", {"MMU": "hash"}):
            commands = ["insmod oops; insmod attack; set +e; call oops_trap; set -x; mem"]
            commands += [f"call {cpu}{call}" for call in calls] * 10
            commands += ["mem", "audit"]
            _, _, lines = self.boot("\n".join(commands), **settings)
            blocks = [block.splitlines() for block in "\n".join(lines).split("\n> ")[1:]]
            self.assertEqual(len(blocks), 103 - 1 + 1, lines[-3:])
            self.assertEqual(sum(block[1].startswith("oops: ") for block in blocks[1:-2]), 100)
            before, after = blocks[0], blocks[-2]
            self.assertEqual(cases.memory(before), cases.memory(after))
            self.assertEqual(lines[-1], "tocsin: ok")


class InTheWay(Booted):
    """A module stays while a job may be in it."""

    def test_a_job_that_was_given_an_address_in_a_module_may_be_in_it(self):
        load = "insmod late; insmod oops; "
        _, _, lines = self.boot(load + "sym late_scale", SMP="2")
        address = re.match(r"0x[0-9a-f]+", lines[1])[0]
        _, _, lines = self.boot(
            load + f"call -c 1 -b oops_loop {address}; ! rmmod late; stop 1; ! wait 1; rmmod late", SMP="2")
        self.assertEqual(lines[2], "rmmod: late: job 1 may be in it (wait 1, or stop 1)")
        self.assertEqual(lines[-1], "tocsin: ok")


class Output(Booted):
    """Without a terminal, stdout has the kernel's lines and nothing else."""

    def test_lines_end_in_lf_and_hold_no_escapes(self):
        _, out, lines = self.boot("help; insmod demo; lsmod")
        self.assertRegex(lines[0], r"^tocsin [0-9]")
        self.assertTrue(out.endswith(b"\ntocsin: ok\n"))
        self.assertNotIn(b"\r", out)
        self.assertNotIn(b"\x1b", out)

    def test_slof_says_nothing_on_stdout(self):
        _, out, lines = self.boot("echo a", FIRMWARE="slof")
        self.assertEqual(lines[1:], ["a", "tocsin: ok"])
        self.assertRegex(lines[0], r"^tocsin [0-9]")

    def test_every_command_has_help_with_an_example(self):
        listed = [line.split()[0] for line in self.boot("help")[2][1:-1]]
        self.assertIn("insmod", listed)
        lines = self.boot("; ".join(f"help {name}" for name in listed))[2][1:-1]
        for name in listed:
            self.assertRegex(lines[0], rf"^{name}: \S")
            usage = next(n for n, line in enumerate(lines) if line.startswith("usage: "))
            self.assertRegex(lines[usage], rf"^usage: {name}($| )")
            self.assertRegex(lines[usage + 1], rf"^example: {name}($| )")
            lines = lines[usage + 2:]
        self.assertEqual(lines, [])


class Examples(Booted):
    """The example of each command's help runs, in one boot."""

    # What an example needs to be done before, and what must be undone after it.
    BEFORE = {"insmod": "", "rmmod": "", "modprobe": "", "wait": "call -b -c 1 msleep 1",
              "stop": "call -b -c 1 msleep 60000", "x": "buf key 32", "nls": "insmod charset",
              "call": "insmod hello"}
    AFTER = {"insmod": "rmmod hello", "rmmod": "insmod demo", "livepatch": "livepatch disable demo_fix",
             "set": "set -e", "call": "rmmod hello"}
    # Debian's modules, those that are needed first before the others.
    DEBIAN = {"hash": ["sha512_generic"], "cipher": ["twofish_common", "twofish_generic"],
              "compress": ["lz4_compress", "lz4"], "keymap": ["rc-hauppauge"],
              "search": ["ts_kmp"], "match": ["xt_length"], "target": ["xt_mark"]}
    # The machine is no more.
    ENDS = {"reboot", "exit", "quit", "poweroff", "selftest"}

    def examples(self):
        listed = [line.split()[0] for line in self.boot("help")[2][1:-1]]
        lines = self.boot("; ".join(f"help {name}" for name in listed))[2]
        found = [line.removeprefix("example: ") for line in lines if line.startswith("example: ")]
        self.assertEqual(len(found), len(listed))
        return dict(zip(listed, found))

    def test_those_that_need_nothing_of_debians(self):
        commands = ["insmod demo"]
        for name, example in self.examples().items():
            if name not in self.ENDS | self.DEBIAN.keys():
                commands += [self.BEFORE.get(name, ""), example, self.AFTER.get(name, "")]
        lines = self.boot("\n".join(commands), SMP="2")[2]
        self.assertEqual(lines[-1], "tocsin: ok", lines[-3:])
        self.assertIn("U+0048 U+0065 U+006c U+006c U+006f", lines)

    def test_those_that_need_debians(self):
        files = {word: self.debian(word) for words in self.DEBIAN.values() for word in words}
        examples, commands = self.examples(), []
        for name, modules in self.DEBIAN.items():
            self.assertIn(f"needs Debian's {modules[-1]}", "\n".join(self.boot(f"help {name}")[2]))
            # Without its module, the refusal says which.
            commands += [f"! {examples[name]}", f"modprobe {modules[-1]}", examples[name]]
        lines = self.boot("\n".join(commands), MODULES=" ".join(files.values()))[2]
        self.assertEqual(lines[-1], "tocsin: ok", lines)
        for name, modules in self.DEBIAN.items():
            self.assertEqual([line for line in lines if line.startswith(f"{name}: ")],
                             [f"{name}: {examples[name].split()[1]}: nothing of that kind or name is "
                              f"registered (see registered; modprobe {modules[-1]}.ko)"])


class Told(Booted):
    """What is said of a module that is not quite as it should be."""

    def write(self, file, data):
        with open(os.path.join(self.dir, file), "wb") as out:
            out.write(data)

    def sample(self, name):
        return read(os.path.join(ROOT, "target", "modules", name + ".ko"))

    def told(self, cmd):
        return self.boot(cmd, MODULES=self.dir)[2][1:]

    def test_of_another_kernel_and_under_another_name(self):
        data = self.sample("refuses")
        old = b"vermagic=tocsin ppc64le elfv2\0"
        self.assertIn(old, data)
        self.write("other.ko", data.replace(old, b"vermagic=5.9.0 SMP mod_unload".ljust(len(old), b"\0")))
        self.assertEqual(self.told("! insmod other"), [
            "other: built for Linux 5.9.0, but structures are laid out here as in 6.1; loaded all the "
            "same (should it fault, build it for 6.1)",
            "insmod: other: refuses: its init function returned -19 (ENODEV), so it was unloaded",
            "tocsin: ok"])

    def test_without_a_licence(self):
        self.write("free.ko", self.sample("hello").replace(b"license=", b"licence="))
        self.assertEqual(self.told("insmod free; rmmod hello")[0],
                         "free: no MODULE_LICENSE, so no exports for GPL-compatible modules")

    def test_a_parameters_name_stays_on_its_line(self):
        self.write("lines.ko", self.sample("params").replace(b"\0p_few\0", b"\0p\nfew\0"))
        self.assertIn(r"p\x0afew", self.told("insmod lines; ls /sys/module/params/parameters"))

    def test_names_of_thousands_of_bytes_are_cut(self):
        text = "\n.section .modinfo,\"a\"\n.asciz \"license=GPL\"\n.text\n.abiversion 2\n"
        text += "".join(f"bl {letter * 2046}\nnop\n" for letter in "abcdefgh")
        subprocess.run(["powerpc64le-linux-gnu-as", "-o", os.path.join(self.dir, "names.ko"), "-"],
                       input=text, check=True, encoding="utf-8")
        refusal = self.told("! insmod names")[0]
        self.assertIn("unresolved: " + "a" * 200 + "..., " + "b" * 200 + "..., ", refusal)
        self.assertLess(len(refusal), 2500)

    def test_a_stub_is_said_to_lead_to_the_name_that_its_module_calls(self):
        # Here kfree and vfree are one function.
        lines = self.boot("insmod isofs --link-only; stubs isofs", MODULES=self.debian("isofs"))[2]
        for name in "kfree", "vfree":
            self.assertEqual([line.split()[2:] for line in lines].count(["->", name]), 1, lines)

    def test_a_module_whose_sections_are_empty_has_their_directory(self):
        text = "\n.section .modinfo,\"a\"\n.asciz \"license=GPL\"\n.text\n.abiversion 2\n"
        subprocess.run(["powerpc64le-linux-gnu-as", "-o", os.path.join(self.dir, "empty.ko"), "-"],
                       input=text, check=True, encoding="utf-8")
        self.assertEqual(self.told("insmod empty; ls /sys/module/empty/sections; stubs empty"),
                         ["empty: no stubs: no call leaves it", "tocsin: ok"])


class Long(Booted):
    """Commands come whole, however long."""

    def test_a_hundred_thousand_bytes(self):
        for size in 1000, 65_000, 100_000, 120_000:
            _, _, lines = self.boot(f'call strlen "{"x" * size}"')
            self.assertEqual(lines[1:], [f"= {size:#x}", "tocsin: ok"])

    def test_ten_thousand_commands(self):
        _, _, lines = self.boot("echo a;" * 10_000 + "echo b")
        self.assertEqual(lines[1:], ["a"] * 10_000 + ["b", "tocsin: ok"])

    def test_what_the_host_cannot_pass_is_refused(self):
        done = subprocess.run([os.path.join(HERE, "run.sh")], capture_output=True, text=True,
                              env=self.environment(CMD="#"), stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 1)
        # Linux takes no argument longer than this, so neither can a test pass it.
        with self.assertRaises(OSError):
            self.boot("x" * 131_072)


class Make(Booted):
    """`make run CMD=...`, as people and scripts type it."""

    def make(self, *words):
        env = cases.without_make(self.environment())
        done = subprocess.run(["make", "-s", "-C", ROOT, "run", "FIRMWARE=vof", *words], env=env,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return done.returncode, done.stdout.splitlines()[1:], done.stderr

    def test_quotes_semicolons_ampersands_and_blanks_arrive(self):
        text = r"""a;b & 'c' \"d\" | > < * ? ~ ( ) { } # ! % \\ é   =, -- `e` $$F"""
        status, lines, _ = self.make(f'CMD=call strlen "{text}"; echo "{text}"')
        shown = text.replace(r"\"", '"').replace(r"\\", "\\").replace("$$", "$")
        self.assertEqual(lines, [f"= {len(shown.encode()):#x}", shown, "tocsin: ok"])
        self.assertEqual(status, 0)

    def test_two_lines_are_two_commands(self):
        self.assertEqual(self.make("CMD=echo a\necho b")[:2], (0, ["a", "b", "tocsin: ok"]))

    def test_a_wrong_command_fails(self):
        status, lines, _ = self.make("CMD=no-such-command")
        self.assertNotEqual(status, 0)
        self.assertEqual(lines[-1], "tocsin: failed: no-such-command: unknown command (see help)")

    def test_debians_crc7_returns_its_check_value(self):
        module = self.debian("crc7")
        status, lines, _ = self.make(f"MODULES={module}",
                                     'CMD=insmod crc7; call crc7_be 0 "123456789" 9')
        self.assertEqual((status, lines), (0, ["= 0xea", "tocsin: ok"]))


class Machines(Booted):
    """Translation is what the hypervisor offers, on machines of every size."""

    LIKE_POWER8 = "-machine max-cpu-compat=power8"

    def translation(self, **settings):
        """Boots and looks round; the translation that `maps` tells."""
        _, _, lines = self.boot("selftest; insmod demo; set -x; call demo:answer; maps; mem", **settings)
        self.assertEqual(lines[-1], "tocsin: ok", lines)
        called, maps, mem = (part.splitlines() for part in "\n".join(lines[:-1]).split("\n> ")[1:])
        self.assertEqual(called[1:], ["= 0x29"])
        rights = [line.split()[1] for line in maps[2:]]
        self.assertLessEqual(set(rights), {"r--", "rw-", "r-x"})
        self.assertIn("r-x", rights)
        total, usable = (int(mem[1].split()[n]) for n in (1, 3))
        self.assertLess(usable, min(total, (2 << 30) + (16 << 20)))
        return maps[1].split()[1]

    def test_small_and_large_memory(self):
        # From 5 GiB on, the upper part is a range of its own.
        for size in "256M", "5G", "8G":
            for mmu in "radix", "hash":
                with self.subTest(size, mmu=mmu):
                    self.assertEqual(self.translation(CPU="power9", MEM=size, MMU=mmu), mmu)
        self.assertEqual(self.translation(CPU="power9", MEM="256M", FIRMWARE="slof"), "radix")

    def test_a_processor_that_has_to_look_older_has_only_what_that_one_has(self):
        for cpu in "power9", "power10":
            slof = [{"SMP": "2", "FIRMWARE": "slof"}] if cpu == "power9" else []
            for settings in [{}, {"MMU": "radix"}, *slof]:
                with self.subTest(cpu, **settings):
                    like8 = {"CPU": cpu, "QEMUFLAGS": self.LIKE_POWER8} | settings
                    self.assertEqual(self.translation(**like8), "hash")
        like9 = {"CPU": "power10", "QEMUFLAGS": "-machine max-cpu-compat=power9"}
        self.assertEqual(self.translation(**like9), "radix")

    def test_what_is_asked_of_slof_is_granted(self):
        slof = {"CPU": "power9", "FIRMWARE": "slof", "CAS": "1"}
        self.assertEqual(self.translation(**slof), "radix")

    def test_eight_cpus_by_the_clock_of_one(self):
        for mmu in "radix", "hash":
            _, _, lines = self.boot("insmod demo; call -c 7 demo:answer; journal",
                                    CPU="power9", SMP="8", ICOUNT="1", MMU=mmu)
            self.assertEqual((lines[2], lines[-1]), ("= 0x29", "tocsin: ok"))
            # A lock that does not yield costs a tenth of a second.
            self.assertLess(float(lines[3].split()[1]), 0.1)


class Full(Booted):
    """A region without room for a module is left as it was."""

    def test_buffers_may_fill_the_heap(self):
        # 229 MiB of heap. Nor is there room for a copy of what cannot be made.
        bufs = "; ".join(f"buf b{n} 16777216" for n in range(14))
        _, _, lines = self.boot(f"{bufs}; ! buf c 16777216; ! call strlen @16777216; buf c 1; x &c",
                                MEM="1G")
        reason = "no memory for a buffer of 16777216 bytes (see mem)"
        self.assertEqual(lines[1:3], [f"buf: {reason}", f"call: {reason}"])
        self.assertRegex(lines[3], "^0x[0-9a-f]+: 00$")

    def large(self, letter, size):
        """A module `bigX` with so many bytes of .bss."""
        data = bytearray(read(cases.find_module("oops")))
        table, headers = sections(data)
        names = headers[struct.unpack_from("<H", data, 62)[0]][4]
        bss = next(i for i, h in enumerate(headers) if data[names + h[0] :].startswith(b".bss\0"))
        struct.pack_into("<Q", data, table + 64 * bss + 32, size)
        at = data.index(b"\0name=oops\0")
        data[at + 6 : at + 10] = f"big{letter}".encode()
        with open(os.path.join(self.dir, f"big{letter}.ko"), "wb") as file:
            file.write(data)

    def test_translation_tables_grow_with_what_they_map(self):
        # 300 MiB of small pages need 150 tables; at boot there are not so many.
        self.large("a", 300 << 20)
        for mmu in "radix", "hash":
            _, _, lines = self.boot("insmod biga; call biga:oops_divide 70 2; rmmod biga; selftest pages",
                                    MODULES=self.dir, MEM="1G", MMU=mmu)
            self.assertEqual((lines[1], lines[-1]), ("= 0x23", "tocsin: ok"), mmu)

    def test_the_third_of_forty_megabytes_waits_for_the_first_to_go(self):
        for letter in "abc":
            self.large(letter, 40 << 20)
        _, _, lines = self.boot(
            "insmod biga; insmod bigb; set -x; lsmod; mem; ! insmod bigc; lsmod; mem;"
            "rmmod biga; insmod bigc; call bigc:oops_divide 70 2", MODULES=self.dir, MEM="256M")
        blocks = [block.splitlines() for block in "\n".join(lines[1:]).split("> ")]
        lsmod, mem, refused, lsmod_after, mem_after, _, _, called = blocks[1:]
        self.assertRegex(refused[1], r"^insmod: bigc: no room: needs \d+ bytes, \d+ free; "
                                     "remove a module or give the machine more memory$")
        self.assertEqual((lsmod_after, cases.memory(mem_after), len(lsmod)), (lsmod, cases.memory(mem), 4))
        self.assertEqual(called[1:], ["= 0x23", "tocsin: ok"])


# --- spoiled modules -------------------------------------------------------


def read(path):
    with open(path, "rb") as file:
        return file.read()


def sections(data):
    """The section headers of an ELF64 file."""
    table, = struct.unpack_from("<Q", data, 40)
    count, = struct.unpack_from("<H", data, 60)
    return table, [struct.unpack_from("<IIQQQQIIQQ", data, table + 64 * i) for i in range(count)]


def spoiled(data, rng):
    """Endless copies of a module, each cut or changed somewhere."""
    table, headers = sections(data)
    tables = [h for h in headers if h[1] in (2, 3, 4) and h[5]]  # symbols, names, relocations
    bytes_of_choice = [0, 1, 0x7F, 0x80, 0xFF]
    while True:
        yield data[: rng.randrange(len(data))]
        copy = bytearray(data)  # anywhere
        for _ in range(rng.randint(1, 4)):
            copy[rng.randrange(len(copy))] = rng.randrange(256)
        yield bytes(copy)
        copy = bytearray(data)  # a field of a section header
        field = rng.choice([0, 4, 8, 16, 24, 32, 40, 44, 48, 56])
        copy[table + 64 * rng.randrange(len(headers)) + field + rng.randrange(4)] = rng.randrange(256)
        yield bytes(copy)
        copy = bytearray(data)  # a table
        header = rng.choice(tables)
        for _ in range(rng.randint(1, 3)):
            copy[header[4] + rng.randrange(header[5])] = rng.choice(bytes_of_choice)
        yield bytes(copy)
        copy = bytearray(data)  # the ELF header
        copy[rng.randrange(64)] = rng.choice(bytes_of_choice)
        yield bytes(copy)


class Spoiled(Booted):
    """Spoiled files are refused in one line, or loaded, and leave nothing behind.

    The modules have no init function, so a file that is loaded although it is
    spoiled runs no spoiled code. Damage in data is nothing that a loader can see.
    """

    COUNT = 100

    def blocks(self, name):
        files = spoiled(read(self.debian(name)), random.Random(f"tocsin {name}"))
        commands = ["set -x", "set +e", "mem", "lsmod"]
        for number, copy in zip(range(self.COUNT), files):
            with open(os.path.join(self.dir, f"m{number}.ko"), "wb") as file:
                file.write(copy)
            # It goes under the name inside, or its file's if that is spoiled.
            commands += [f"insmod m{number}", f"rmmod {name}", f"rmmod m{number}"]
        commands += ["audit", "lsmod", "mem"]
        _, _, lines = self.boot("\n".join(commands), MODULES=self.dir)
        self.assertEqual(lines[-1], "tocsin: ok")
        blocks = [[]]
        for line in lines[:-1]:
            if line.startswith("> "):
                blocks.append([])
            blocks[-1].append(line)
        self.assertEqual([block[0][2:] for block in blocks[1:]], commands[1:])
        return blocks[2:]

    def test_spoiled_modules(self):
        for name in "crc7", "libpoly1305", "lz4_compress", "hwmon-vid":
            with self.subTest(name):
                blocks = self.blocks(name)
                loads = [block for block in blocks if block[0].startswith("> insmod")]
                # That it states no licence is a note, and no refusal.
                told = [[it for it in block[1:] if "no MODULE_LICENSE" not in it] for block in loads]
                refusals = [lines for lines in told if lines]
                for lines in refusals:
                    self.assertEqual(len(lines), 1, lines)
                    # A thing, a reason, a remedy.
                    self.assertRegex(lines[0], r"^insmod: m\d+: .+[^ ];? .+; \w|\(.*\)$")
                self.assertIn(len(refusals), range(self.COUNT // 3, self.COUNT))
                memory, before, *_, audit, after, memory_after = blocks
                self.assertEqual((audit, after), (["> audit"], before))
                self.assertEqual(cases.memory(memory_after), cases.memory(memory))

    def test_a_symbol_name_cannot_forge_a_line(self):
        data = bytearray(read(self.debian("cordic")))
        at = data.rindex(b"\0_mcount\0") + 1
        data[at : at + 7] = b"\ntocsin"
        with open(os.path.join(self.dir, "forged.ko"), "wb") as file:
            file.write(data)
        self.assertEqual(self.boot("! insmod forged", MODULES=self.dir)[2][1:], [
            r"insmod: forged: unresolved: \x0atocsin; no module here exports it, and Tocsin has "
            "not all that Linux has; insmod --link-only takes it to be looked at, but never run", "tocsin: ok"])


if __name__ == "__main__":
    os.chdir(HERE)
    unittest.main()
