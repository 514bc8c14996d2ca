#!/usr/bin/env python3
"""Tests of the scripts in this folder that need no kernel."""

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import cases
import mkinitrd
import watch

HERE = os.path.dirname(os.path.abspath(__file__))


class Folder(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)

    def file(self, name, data=b"module"):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        return path


class Compiler(unittest.TestCase):
    """tools/rustc-patchable, with `printf` for the compiler."""

    def words(self, *words):
        tool = os.path.join(os.path.dirname(HERE), "tools", "rustc-patchable")
        env = {**os.environ, "CARGO_PKG_NAME": "demo"}
        done = subprocess.run([tool, "printf", "%s\n", *words], env=env, check=True,
                              stdout=subprocess.PIPE, text=True)
        return done.stdout.splitlines()

    def test_kernel_code_has_nops_and_is_the_same_in_every_folder(self):
        self.assertEqual(
            self.words("--target", "a b.json", "-C", "metadata=0123abcd", "-C", "opt-level=s"),
            ["--target", "a b.json", "-C", "metadata=demo", "-C", "opt-level=s",
             "-Zpatchable-function-entry=1"])

    def test_what_the_host_runs_is_compiled_as_cargo_says(self):
        words = ["-C", "metadata=0123abcd", "src/lib.rs"]
        self.assertEqual(self.words(*words), words)


class Initrd(Folder):
    def archive(self, *paths):
        out = io.BytesIO()
        mkinitrd.write_archive(out, mkinitrd.collect(paths))
        return out.getvalue()

    @unittest.skipUnless(shutil.which("cpio"), "cpio is not installed")
    def test_cpio_unpacks_what_was_packed(self):
        for size in range(9):
            self.file(f"in/{'m' * (size + 1)}.ko", b"x" * size)
        unpacked = os.path.join(self.dir, "out")
        os.mkdir(unpacked)
        subprocess.run(["cpio", "-idm", "--quiet"], cwd=unpacked, check=True,
                       input=self.archive(os.path.join(self.dir, "in")))
        for size in range(9):
            with open(f"{unpacked}/lib/modules/{'m' * (size + 1)}.ko", "rb") as file:
                self.assertEqual(file.read(), b"x" * size)

    def test_data_begins_at_a_multiple_of_eight(self):
        for length in range(1, 10):
            self.file(f"{'m' * length}.ko", b"DATA%d" % length)
        archive = self.archive(self.dir)
        for length in range(1, 10):
            self.assertEqual(archive.index(b"DATA%d" % length) % 8, 0)

    def test_compressed_modules_are_stored_as_they_are(self):
        self.file("a.ko.xz", b"packed one way")
        self.file("b.ko.zst", b"packed another way")
        archive = self.archive(self.dir)
        self.assertIn(b"lib/modules/a.ko.xz\0", archive)
        self.assertIn(b"packed one way", archive)
        self.assertIn(b"lib/modules/b.ko.zst\0", archive)
        self.assertIn(b"packed another way", archive)

    def test_two_modules_of_one_name_are_refused(self):
        one, two = self.file("x/crc-8.ko"), self.file("y/crc_8.ko")
        with self.assertRaisesRegex(mkinitrd.Refused, "y/crc_8.ko: .* there already: .*x/crc-8.ko"):
            mkinitrd.collect([one, two])
        plain, packed = self.file("x/a.ko"), self.file("y/a.ko.zst")
        with self.assertRaisesRegex(mkinitrd.Refused, "y/a.ko.zst: .* there already: .*x/a.ko"):
            mkinitrd.collect([plain, packed])

    def test_one_file_named_twice_is_one_module(self):
        path = self.file("x/a.ko")
        self.assertEqual(list(mkinitrd.collect([path, self.dir])), ["a.ko"])

    def test_what_is_no_module_is_refused(self):
        with self.assertRaisesRegex(mkinitrd.Refused, "not a module"):
            mkinitrd.collect([self.file("a.txt")])
        with self.assertRaisesRegex(mkinitrd.Refused, "no such file"):
            mkinitrd.collect([os.path.join(self.dir, "none.ko")])


    def test_what_gzip_has_compressed_is_not_dropped_in_silence(self):
        path = self.file("in/b.ko.gz")
        self.file("in/a.ko")
        with self.assertRaisesRegex(mkinitrd.Refused, "b.ko.gz: .*gzip, which is not supported; gunzip it"):
            mkinitrd.collect([path])
        script = [sys.executable, os.path.join(HERE, "mkinitrd.py"), os.path.join(self.dir, "out")]
        folder = os.path.dirname(path)
        done = subprocess.run([*script, folder], capture_output=True, text=True)
        told = "left out, for gzip is not supported; gunzip first\n"
        self.assertEqual((done.returncode, done.stderr), (0, f"mkinitrd: {path}: {told}"))
        self.file("in/c.ko.gz")
        done = subprocess.run([*script, folder], capture_output=True, text=True)
        self.assertEqual(done.stderr, f"mkinitrd: {path} and 1 more: {told}")


OURS = os.path.join(os.path.dirname(HERE), "target", "modules")


@unittest.skipUnless(os.path.exists(os.path.join(OURS, "hello.ko")), "no modules (make modules)")
class HostTool(Folder):
    """`make ko`, as people type it."""

    def make(self, *words):
        done = subprocess.run(["make", "-s", "-C", os.path.dirname(HERE), "ko", *words],
                              env=cases.without_make(), capture_output=True, text=True)
        return done.returncode, done.stdout.splitlines()

    def test_several_files_and_one_with_a_blank_in_its_name(self):
        first, second = (os.path.join(OURS, name + ".ko") for name in ("hello", "unresolved"))
        status, lines = self.make(f"FILE={first} {second}", "ARGS=check")
        self.assertEqual(status, 2)  # make's own, of whatever failure
        self.assertEqual([line.split()[0] for line in lines], ["loads", "yes", "no"])
        blank = os.path.join(self.dir, "a b.ko")
        shutil.copy(first, blank)
        for words in (blank, f"'{blank}' {first}"):
            status, lines = self.make("FILE=" + words)
            self.assertEqual((status, lines[-1]), (0, "would load"), words)
        self.assertEqual(self.make("ARGS=--help")[0], 0)


@unittest.skipUnless(os.path.exists(os.path.join(OURS, "hello.ko")), "no modules (make modules)")
class Module(Folder):
    """`make module`, as people mistype it."""

    def test_a_source_that_is_not_there_is_told_in_one_line(self):
        self.file("a b.c", b"")
        env = cases.without_make() | {"PWD": self.dir}
        for source, why in (("a b.c", "SRC=a b.c: a path in this list has no blanks"), ("no.c", "no.c: no such file"),
                            ("no.rs", "no.rs: no such file")):
            done = subprocess.run(["make", "-s", "-C", os.path.dirname(HERE), "module", f"SRC={source}", "OUT=x.ko"],
                                  cwd=self.dir, env=env, capture_output=True, text=True)
            ours = [line for line in done.stderr.splitlines() if not line.startswith(("make: ***", "make[1]: ***"))]
            self.assertEqual((done.returncode, done.stdout, ours), (2, "", [f"make: {why}"]))


class Console(unittest.TestCase):
    def seen(self, data):
        out, err = io.StringIO(), io.StringIO()
        console = watch.Console(out, err)
        lines = watch.Lines(console.take)
        for byte in data:
            lines.feed(bytes([byte]))
        lines.end()
        return console, out.getvalue(), err.getvalue()

    def test_firmware_goes_to_stderr_and_the_kernel_to_stdout(self):
        console, out, err = self.seen(b"\x1b[2JSLOF\r\ntocsin 0.1.0\r\nhi\r\n\r\ntocsin: ok\r\n")
        self.assertEqual(err, "SLOF\n")
        self.assertEqual(out, "tocsin 0.1.0\nhi\n\ntocsin: ok\n")
        self.assertEqual(console.verdict(), "tocsin: ok")

    def test_the_first_line_may_follow_on_one_of_the_firmwares(self):
        _, out, _ = self.seen(b"Booting...\x1b[0mtocsin 0.1.0\ntocsin: ok\n")
        self.assertEqual(out, "tocsin 0.1.0\ntocsin: ok\n")

    def test_only_the_last_line_is_a_verdict(self):
        console, _, _ = self.seen(b"tocsin 1\ntocsin: ok\nmore\n")
        self.assertIsNone(console.verdict())
        console, _, _ = self.seen(b"tocsin 1\ntocsin: panic: no memory")
        self.assertEqual(console.verdict(), "tocsin: panic: no memory")
        console, _, _ = self.seen(b"tocsin 1\ntocsin: okay\n")
        self.assertIsNone(console.verdict())


class Transcript(Folder):
    def case(self, text):
        return cases.Case(self.file("t.case", text.encode()))

    def wrong(self, text, *lines):
        return cases.compare(self.case(text), list(lines))

    def test_each_line_is_compared_with_its_own_command(self):
        text = "> a\n< 1\n> b\n< 2\ntocsin: ok\n"
        self.assertEqual(self.wrong(text, "boot", "> a", "1", "> b", "2", "tocsin: ok"), [])
        self.assertEqual(
            self.wrong(text, "boot", "> a", "> b", "1", "2", "tocsin: ok"),
            ["> a", "- 1", "> b", "+ 1", "  2"],
        )

    def test_a_line_too_many_or_too_few_is_a_fault(self):
        text = "> a\n< 1\ntocsin: ok\n"
        self.assertTrue(self.wrong(text, "> a", "1", "2", "tocsin: ok"))
        self.assertTrue(self.wrong(text, "> a", "tocsin: ok"))
        self.assertTrue(self.wrong(text, "tocsin: ok"))
        self.assertTrue(self.wrong(text))

    def test_patterns_fit_whole_lines(self):
        text = "> a\n<~ 0x[0-9a-f]+\ntocsin: ok\n"
        self.assertEqual(self.wrong(text, "> a", "0x1f", "tocsin: ok"), [])
        self.assertTrue(self.wrong(text, "> a", "0x1f.", "tocsin: ok"))

    def test_what_a_group_keeps_must_come_again(self):
        text = "> a\n<~ used (?P<n>\\d+)\n> b\n<~ again (?P=n)\ntocsin: ok\n"
        for second, same in (("7", True), ("8", False), ("77", False)):
            wrong = self.wrong(text, "> a", "used 7", "> b", f"again {second}", "tocsin: ok")
            self.assertEqual(wrong == [], same)
        # In one command, and back within one pattern.
        text = "> a\n<~ (?P<x>.)(?P=x)\n<~ =(?P=x)\ntocsin: ok\n"
        self.assertEqual(self.wrong(text, "> a", "++", "=+", "tocsin: ok"), [])
        self.assertTrue(self.wrong(text, "> a", "++", "=-", "tocsin: ok"))

    def test_a_name_that_nothing_kept_fits_no_line(self):
        text = "> a\n<~ (?P=n)\ntocsin: ok\n"
        self.assertTrue(self.wrong(text, "> a", "", "tocsin: ok"))
        self.assertTrue(self.wrong(text, "> a", "n", "tocsin: ok"))

    def test_any_lines_may_be_none_and_leave_the_rest(self):
        text = "> a\n<*\n< end\n<*\ntocsin: ok\n"
        for lines in (["end"], ["x", "end"], ["end", "end", "y"]):
            self.assertEqual(self.wrong(text, "> a", *lines, "tocsin: ok"), [])
        self.assertTrue(self.wrong(text, "> a", "x", "tocsin: ok"))

    def test_the_verdict_is_the_last_line(self):
        text = "> a\n<*\ntocsin: failed: a: …\n"
        self.assertEqual(self.wrong(text, "> a", "tocsin: failed: a: no"), [])
        self.assertTrue(self.wrong(text, "> a", "tocsin: ok"))
        self.assertTrue(self.wrong(text, "> a", "tocsin: failed: a: no", "more"))

    def test_lines_before_the_first_command_count_if_they_are_named(self):
        text = "< tocsin 1\n<*\n> a\ntocsin: ok\n"
        self.assertEqual(self.wrong(text, "tocsin 1", "x", "> a", "tocsin: ok"), [])
        self.assertTrue(self.wrong(text, "tocsin 2", "x", "> a", "tocsin: ok"))

    def test_what_is_no_transcript_is_refused_with_its_line(self):
        for text, why in (
            ("> a; b\ntocsin: ok\n", ":1: one command a line"),
            ("> a\nb\ntocsin: ok\n", ":2: not a line"),
            ("machine SPEED=1\n", ":1: SPEED"),
            ("> a\n", "a verdict"),
            ("> a\ntocsin: ok\n> b\n", ":3: the verdict is the last line"),
        ):
            with self.assertRaisesRegex(cases.Malformed, why):
                self.case(text)
        self.assertEqual(self.case('> a "; \\" ;"\ntocsin: ok\n').steps[0][0], 'a "; \\" ;"')


class Told(unittest.TestCase):
    """What a newcomer has to be told before the first command."""

    ROOT = os.path.dirname(HERE)

    def read(self, *names):
        with open(os.path.join(self.ROOT, *names), encoding="utf-8") as file:
            return file.read()

    def test_how_a_dollar_reaches_the_kernel(self):
        run = subprocess.run(["make", "-s", "-C", self.ROOT, "help"], capture_output=True, text=True)
        self.assertRegex(run.stdout, r"CMD +shell commands(.*\n)+? +make reads a \$ .*write \$\$")
        self.assertRegex(self.read("README.md"), r"write `\$\$`")

    def test_the_pages_name_the_prompt_that_the_kernel_shows(self):
        prompt = re.search(r'PROMPT: &\[u8\] = b"(.*)";', self.read("src", "kernel", "run.rs"))[1]
        for page in ["README.md", "docs/reader/01-seed.md", "docs/lessons/index.md"]:
            self.assertIn(f"`{prompt}`", self.read(page), page)


class Building(Folder):
    """`make module` and `make template`, up to what they refuse."""

    def make(self, *words):
        done = subprocess.run(["make", "-s", "--no-print-directory", "-C", os.path.join(cases.ROOT, "modules"),
                               *words, f"CALLER={self.dir}"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.returncode, done.stdout

    def module(self, body, out="x.ko"):
        self.file("x.c", b"#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\n" + body)
        return self.make("module", "SRC=x.c", f"OUT={out}")

    def test_a_function_that_nobody_declares_is_an_error(self):
        status, said = self.module(b"long f(long n);\nlong f(long n) { return unheard_of(n); }\n")
        self.assertEqual(status, 2)
        self.assertRegex(said, r"x\.c:4:.*error: implicit declaration of function .unheard_of")
        self.assertFalse(os.path.exists(f"{self.dir}/x.ko"))
        self.assertEqual(self.module(b"long f(long n);\nlong f(long n) { return n; }\n"), (0, ""))
        self.assertTrue(os.path.exists(f"{self.dir}/x.ko"))

    def test_a_module_in_rust_needs_an_init_function_and_no_exit_function(self):
        init = b'#[unsafe(no_mangle)]\npub extern "C" fn init_module() -> i32 {\n    0\n}\n'
        leave = init.replace(b"init", b"cleanup").replace(b" -> i32", b"").replace(b"    0\n", b"")
        begin = b'#![no_std]\ntocsin_module::modinfo!(LICENSE, "license=GPL");\n'
        for body, exits in ((init, False), (init + leave, True)):
            self.file("x.rs", begin + body)
            self.assertEqual(self.make("module", "SRC=x.rs", "OUT=no_exit.ko"), (0, ""))
            names = subprocess.run(["powerpc64le-linux-gnu-nm", f"{self.dir}/no_exit.ko"],
                                   stdout=subprocess.PIPE, text=True, check=True).stdout
            self.assertIn(" T init_module\n", names)
            self.assertEqual(" T cleanup_module\n" in names, exits)
            self.assertNotIn(" U ", names)
        self.file("x.rs", begin + leave)
        status, said = self.make("module", "SRC=x.rs", "OUT=no_init.ko")
        self.assertEqual(status, 2)
        self.assertIn("link.sh: no_init: there is no init_module", said)
        self.assertNotIn("gc-sections", said)
        self.assertFalse(os.path.exists(f"{self.dir}/no_init.ko"))

    def test_a_name_longer_than_the_loader_takes_is_refused(self):
        body = b"long f(long n);\nlong f(long n) { return n; }\n"
        self.assertEqual(self.module(body, "a" * 55 + ".ko"), (0, ""))
        status, said = self.module(body, "a" * 56 + ".ko")
        self.assertEqual((status, said.splitlines()[0]),
                         (2, f"link.sh: {'a' * 56}: a module's name has at most 55 characters, this one 56"))
        self.assertFalse(os.path.exists(f"{self.dir}/{'a' * 56}.ko"))

    def test_a_template_is_refused_for_names_that_do_not_work_out(self):
        for name, why in (
            ("module", "module: Linux's headers have a module_init of their own"),
            ("tocsin", "tocsin: the kernel's own functions are called so"),
            ("klp", "klp: a crate that modules use is called so"),
            ("tocsin_module", "tocsin_module: a crate that modules use is called so"),
            ("a" * 56, f"{'a' * 56}: a module's name has at most 55 characters, this one 56"),
        ):
            status, said = self.make("template", f"NAME={name}", "LANGUAGE=c")
            self.assertEqual((status, said.splitlines()[0]), (2, f"make: {why}"))
        self.assertEqual(os.listdir(self.dir), [])

    def test_what_a_template_makes_compiles_whatever_its_name(self):
        for name in ("init", "exit", "x" * 55):
            self.assertEqual(self.make("template", f"NAME={name}", "LANGUAGE=c")[0], 0)
            self.assertEqual(self.make("module", f"SRC={name}.c", f"OUT={name}.ko", "MODULE_FLAGS=-Werror"), (0, ""))


class Running(Folder):
    """qemu/run.sh with a script in QEMU's place."""

    def run_with(self, qemu, **env):
        path = self.file("bin/qemu-system-ppc64", b"#!/bin/bash\n" + qemu.encode())
        os.chmod(path, 0o755)
        env = {
            "PATH": f"{self.dir}/bin:{os.environ['PATH']}",
            "KERNEL": self.file("kernel"),
            "CONSOLE_LOG": f"{self.dir}/console.log",
            "TMPDIR": self.dir,
            "CMD": "x",
            **env,
        }
        return subprocess.run([f"{HERE}/run.sh"], env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_the_commands_arrive_as_they_were_typed(self):
        text = """call strlen "a;b & 'c' \\" $HOME `x` | ! \\\\ , = %"\n# {x} é"""
        done = self.run_with(
            'while [ "$1" != -append ]; do shift; done; printf %s "$2" > $TMPDIR/got\n'
            "echo tocsin 1; echo tocsin: ok", CMD=text)
        self.assertEqual((done.stdout, done.returncode), ("tocsin 1\ntocsin: ok\n", 0))
        with open(f"{self.dir}/got", encoding="utf-8") as file:
            self.assertEqual(file.read(), "-- " + text)

    def test_the_status_follows_the_verdict(self):
        for qemu, verdict in (
            ("echo tocsin 1; echo tocsin: failed: x: no; exit 1", "tocsin: failed: x: no"),
            ("echo tocsin 1; exit 0", "tocsin: failed: qemu: ended with status 0 before a verdict"),
            ("echo tocsin 1; echo tocsin: ok; exit 3", "tocsin: failed: qemu: ended with status 3 after the verdict"),
            ("exec sleep 60", "tocsin: timeout after 1 s"),
        ):
            done = self.run_with(qemu, TIMEOUT="1")
            self.assertEqual(done.stdout.splitlines()[-1], verdict)
            self.assertEqual(done.returncode, 1)

    def test_nothing_is_left_behind_but_the_log(self):
        self.run_with("echo firmware; echo tocsin 1; echo tocsin: ok")
        self.assertEqual(sorted(os.listdir(self.dir)), ["bin", "console.log", "kernel"])
        with open(f"{self.dir}/console.log") as file:
            self.assertEqual(file.read(), "firmware\ntocsin 1\ntocsin: ok\n")

    def test_known_warnings_are_dropped_and_others_are_not(self):
        done = self.run_with(
            "echo \"warning: TCG doesn't support requested feature, cap-x\" >&2; echo other >&2\n"
            "echo tocsin 1; echo tocsin: ok")
        self.assertEqual(done.stderr, "other\n")

    def test_settings_that_do_not_exist_are_refused(self):
        for name in ("CPU", "MMU", "FIRMWARE", "MACHINE", "ICOUNT", "THREADS", "TIMEOUT"):
            done = self.run_with("exit 0", **{name: "no-such"})
            self.assertEqual(done.returncode, 2, name)
            self.assertIn(f"{name}=no-such: ", done.stderr)

    def test_a_bare_machine_has_not_what_only_a_guest_has(self):
        for machine, settings in (
            ("powernv9", {"CPU": "power8"}), ("powernv10", {"CPU": "power9"}),
            ("powernv9", {"MMU": "hash"}), ("powernv9", {"ICOUNT": "1"}),
            ("powernv9", {"MEDIUM": "iso-vscsi"}), ("powernv9", {"MEM": "768M"}), ("powernv8", {}),
        ):
            done = self.run_with("exit 0", MACHINE=machine, **settings)
            self.assertEqual(done.returncode, 2, (machine, settings))
            for name, value in (settings or {"MACHINE": machine}).items():
                self.assertIn(f"{name}={value}: ", done.stderr)
        command = self.run_with("echo \"$@\" | tee /dev/stderr; echo tocsin 1; echo tocsin: ok",
                                MACHINE="powernv10", CPU="power10", FIRMWARE="vof").stderr
        self.assertIn("-M powernv10 -device ipmi-bmc-sim,id=bmc0", command)
        self.assertNotIn("-cpu", command)

    def test_what_skiboot_says_later_is_not_the_kernels(self):
        done = self.run_with(
            "echo '[    0.4,5] INIT'; echo tocsin 1; echo '[    9.255945397,3] Could not'\n"
            "echo tocsin: ok; echo '[   10.262891715,5] OPAL: Shutdown request'")
        self.assertEqual((done.returncode, done.stdout), (0, "tocsin 1\ntocsin: ok\n"))
        self.assertIn("Shutdown", done.stderr)


if __name__ == "__main__":
    sys.exit(unittest.main())
