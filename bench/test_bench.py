#!/usr/bin/env python3
"""Tests of what bench/ does without booting anything."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as xml

import chart
import elf
import machines
import report
import rows
import runs
import text as trace_text

HERE = os.path.dirname(os.path.abspath(__file__))
GCC = "powerpc64le-linux-gnu-gcc"

COUNTS = """\
seen\t4400000\t17
window\t0\t1000\t500
span\tlink\t2\t300
self\tmemcpy\t0\t100
self\tdo_idle\t0\t40
self\tmemcpy\t0\t1
window\t1\t1600\t7
end\t0\t2000
"""


class Counts(unittest.TestCase):
    def test_windows_have_their_own_figures(self):
        (first, second), seen = machines.parse_counts(COUNTS)
        self.assertEqual(seen, {0x4400000: 17})
        self.assertEqual((first.before, first.executed, first.busy), (1000, 500, 460))
        self.assertEqual(first.within("link", "never called"), 300)
        self.assertEqual(first.calls, {"link": 2})
        self.assertEqual(first.top(1), [("memcpy", 101)])
        self.assertEqual((second.number, second.busy, second.own), (1, 7, {}))

    def test_a_line_of_an_unknown_kind_is_refused(self):
        with self.assertRaisesRegex(machines.Failed, "unknown kind: what"):
            machines.parse_counts("what\tis\t1\n")

    def test_what_a_command_printed_stands_behind_it(self):
        lines = ["tocsin 0.1.0", "> mem", "total 1", "> call f", "= 0x1", "> mem", "total 2"]
        said = machines.console_lines(lines, ["mem", "call f", "mem"])
        self.assertEqual(said, [["total 1"], ["= 0x1"], ["total 2"]])

    def test_a_line_of_linux_may_stand_before_ours(self):
        lines = ["#1 SMP Debwindow 0 mount 0", "| a 1", "| b", "window 1 two words -2"]
        self.assertEqual(machines.script_lines(lines),
                         {0: (0, []), 1: (-2, ["a 1", "b"])})


class FakeMachine:
    """As much of a machine as a record asks for."""

    image, entry, start = __file__, 0x400000, None

    class bench:
        facts_of = None


class Records(unittest.TestCase):
    def record(self, labels, **more):
        record = machines.Record("trace", FakeMachine)
        for name, value in more.items():
            setattr(record, name, value)
        windows, _ = machines.parse_counts(COUNTS)
        return machines.labelled(record, windows, labels, "Tocsin")

    def test_a_refusal_is_the_reason_for_all_that_comes_after(self):
        record = self.record(["a", "b", "c"], failed="echo: no such tracer")
        self.assertEqual(record["b"].executed, 7)
        with self.assertRaisesRegex(machines.Failed, "no such tracer"):
            record["c"]

    def test_a_run_that_ended_early_says_where(self):
        with self.assertRaisesRegex(machines.Failed, "Tocsin ended at `c`"):
            self.record(["a", "b", "c"])["c"]

    def test_what_linux_refused_has_no_figure(self):
        record = self.record(["a", "b"])
        record["b"].result = -22
        with self.assertRaisesRegex(machines.Failed, "Linux answered -22 to `b`"):
            record["b"]


@unittest.skipUnless(shutil.which(GCC), f"{GCC} is not installed")
class Elf(unittest.TestCase):
    """Expected figures come from binutils."""

    SOURCE = """
        .text
        .globl f
        .type f, @function
    f:  addis 2,12,.TOC.-f@ha
        addi 2,2,.TOC.-f@l
        .localentry f, .-f
        blr
        .globl _start
    _start: bl f
        b f
        bl _start
        bl f
    """

    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)

    def tool(self, *words):
        done = subprocess.run(words, input=self.SOURCE, stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout

    def make(self, *flags):
        path = os.path.join(self.dir, "made")
        self.tool(GCC, "-x", "assembler", "-nostdlib", *flags, "-o", path, "-")
        with open(path, "rb") as file:
            return path, file.read()

    def test_calls_are_those_that_objdump_shows(self):
        path, data = self.make("-static", "-no-pie")
        image = elf.Elf(data, path)
        f = next(s for s in image.functions().values() if s.name == "f")
        self.assertEqual(f.local_entry() - f.value, 8)
        calls = dict(image.calls_to({f.value: "f", f.local_entry(): "f"}))
        text = self.tool("powerpc64le-linux-gnu-objdump", "-d", path)
        shown = re.findall(r"^ *([0-9a-f]+):.*\tbl .*<f(?:\+0x8)?>", text, re.M)
        self.assertEqual(sorted(calls), [int(at, 16) for at in shown])
        self.assertEqual(len(calls), 2)

    def test_relocations_are_those_that_readelf_counts(self):
        path, data = self.make("-c")
        facts = elf.ModuleFacts(data, path)
        text = self.tool("powerpc64le-linux-gnu-readelf", "-rW", path)
        self.assertEqual(facts.relocations, len(re.findall(r"R_PPC64_\w+", text)))
        self.assertEqual(facts.calls, len(re.findall(r"R_PPC64_REL24", text)))
        self.assertEqual(facts.stubs, 0)

    def test_another_file_is_refused(self):
        with self.assertRaisesRegex(elf.NotUsable, "x.ko: not a little-endian ELF64"):
            elf.Elf(b"\x7fELF\x02\x02\x01" + bytes(100), "x.ko")


class Signature(unittest.TestCase):
    def test_it_is_cut_off_with_its_length_and_its_mark(self):
        end = bytes(8) + (3).to_bytes(4, "big") + elf.SIGNED
        self.assertEqual(elf.without_signature(b"module" + b"sig" + end), b"module")
        self.assertEqual(elf.without_signature(b"module"), b"module")


class Report(unittest.TestCase):
    ENTRY = {"key": "k", "title": "work", "unit": "instructions", "linux": 3000.0,
             "tocsin": 1000, "budget": 1000, "why_linux": None, "why_tocsin": None, "how": "so"}

    def entry(self, **more):
        return dict(self.ENTRY, **more)

    def test_figures_are_short(self):
        shown = {0: "0", 9999: "9,999", 10_000: "10.00 k", 99_949: "99.95 k", 123_456: "123.5 k",
                 999_499: "999.5 k", 12_345_678: "12.35 M", 1_697_000_000: "1.70 G", 36.0: "36",
                 25.03: "25.03", 1748.55: "1,748.5", None: "-"}
        for value, text in shown.items():
            self.assertEqual(report.short(value), text)

    def test_a_ratio_needs_two_figures_above_zero(self):
        self.assertEqual(report.ratio(3000, 1000), 3)
        for linux, tocsin in ((None, 1), (1, None), (1, 0), (0, 1), (1, -2)):
            self.assertIsNone(report.ratio(linux, tocsin))

    def test_a_budget_may_be_used_up_and_not_exceeded(self):
        self.assertEqual(report.verdict(self.entry()), "yes")
        self.assertEqual(report.verdict(self.entry(tocsin=1000.01)), "NO")
        self.assertEqual(report.verdict(self.entry(tocsin=None)), "-")

    def test_the_table_says_why_a_figure_is_missing(self):
        text = report.table([self.entry(tocsin=None, why_tocsin="echo: no such tracer")])
        self.assertIn("work: Tocsin: echo: no such tracer", text)
        self.assertRegex(text, r"work +3,000 +- +- +1,000 +- +instructions")

    def test_the_book_keeps_what_stands_around_the_marks(self):
        page = f"a\n{report.BEGIN}\nold\n{report.END}\nb\n"
        once = report.put_between(page, "new")
        self.assertEqual(once, report.put_between(once, "new"))
        self.assertTrue(once.startswith("a\n") and once.endswith("\nb\n"))
        self.assertNotIn("old", once)
        with self.assertRaises(ValueError):
            report.put_between("a page without marks", "new")

    def test_the_book_has_the_marks(self):
        with open(os.path.join(machines.ROOT, "docs", "benchmarks.md"), encoding="utf-8") as file:
            report.put_between(file.read(), "new")


class Chart(unittest.TestCase):
    POINTS = [{"module": "crc7", "relocations": 11, "linux": 759.0, "tocsin": 400.0},
              {"module": "a&b", "relocations": 50_295, "linux": 2288.0, "tocsin": 60.0},
              {"module": "amdgpu", "relocations": 217_722, "linux": 2542.0, "tocsin": 55.0}]

    def elements(self, points, kind):
        root = xml.fromstring(chart.draw(points))
        return root.findall(f".//{{http://www.w3.org/2000/svg}}{kind}")

    def test_it_is_xml_with_labelled_axes_and_both_lines(self):
        words = [text.text for text in self.elements(self.POINTS, "text")]
        for wanted in ("relocations in the module", "instructions a relocation", "Linux", "Tocsin",
                       "budget", "a&b", "100,000"):
            self.assertIn(wanted, words)

    def test_every_point_lies_between_the_axes(self):
        for dot in self.elements(self.POINTS, "circle"):
            self.assertTrue(chart.LEFT <= float(dot.get("cx")) <= chart.WIDTH - chart.RIGHT)
            self.assertTrue(chart.TOP <= float(dot.get("cy")) <= chart.HEIGHT - chart.BOTTOM)

    def test_more_instructions_are_higher_up(self):
        linux, tocsin = (d for d in self.elements(self.POINTS, "circle") if "amdgpu" in d[0].text)
        self.assertLess(float(linux.get("cy")), float(tocsin.get("cy")))
        self.assertEqual(linux.get("cx"), tocsin.get("cx"))

    def test_it_can_be_drawn_without_linux(self):
        alone = [dict(point, linux=None) for point in self.POINTS]
        self.assertEqual(len(self.elements(alone, "circle")), len(alone))

    def test_it_has_colours_for_light_and_dark(self):
        svg = chart.draw(self.POINTS)
        self.assertIn("prefers-color-scheme: dark", svg)
        self.assertEqual(svg.count(".page {"), 2)


class Rows(unittest.TestCase):
    def test_keys_are_unique_and_runs_are_there(self):
        keys = [row.key for row in rows.ROWS]
        self.assertEqual(len(keys), len(set(keys)))
        for row in rows.ROWS:
            for side, known in (("linux", runs.LINUX), ("tocsin", runs.TOCSIN)):
                what = getattr(row, side)
                if isinstance(what, rows.Take):
                    self.assertLessEqual(set(what.runs), set(known), row.key)
                else:
                    self.assertIsInstance(what, str, f"{row.key}: no figure and no reason")

    def test_labels_of_a_run_are_unique(self):
        for name, run in (*runs.LINUX.items(), *runs.TOCSIN.items()):
            labels = [label for label, _ in run.commands]
            self.assertEqual(len(labels), len(set(labels)), name)

    def test_memory_in_use_is_all_but_the_total_and_what_the_heap_has_counted(self):
        _, window = machines.parse_counts(COUNTS)[0]
        window.lines = ["total 1000 usable 900", "image 10", "tables 20", "cpus 0", "heap 500 used 30",
                        "modules 400 used 40", "kmalloc 7 blocks 3"]
        self.assertEqual(rows.used(window), 10 + 20 + 30 + 40)

    def test_a_modules_stubs_are_found_among_those_of_others(self):
        _, window = machines.parse_counts(COUNTS)[0]
        window.lines = ["Module Size Used by", "xfs 8192 0", "  .stubs  0x1 32", "amdgpu 4096 0",
                        "  base 0x2 toc 0x3 stubs 708", "  .stubs  0x2 22656"]
        self.assertEqual(rows.stub_bytes(window, "amdgpu"), 22656)


@unittest.skipUnless(shutil.which("cc"), "cc is not installed")
class Programs(unittest.TestCase):
    def test_the_plugin_builds_without_a_warning(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o",
                            os.path.join(folder, "count.so"), os.path.join(HERE, "count.c")],
                           check=True)

    @unittest.skipUnless(shutil.which(GCC), f"{GCC} is not installed")
    def test_init_builds_and_calls_window_from_one_place(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "init")
            subprocess.run([GCC, *machines.INIT_FLAGS, "-o", path, os.path.join(HERE, "init.c")],
                           check=True)
            with open(path, "rb") as file:
                init = elf.Elf(file.read(), path)
        window = next(s for s in init.functions().values() if s.name == "window")
        entries = {window.value: "window", window.local_entry(): "window"}
        self.assertEqual(len(list(init.calls_to(entries))), 1)
        self.assertGreaterEqual(window.value, 1 << 32)


class Text(unittest.TestCase):
    """Lines are Debian's 6.1's (tests/fixtures/trace), or such lines spoiled."""

    def setUp(self):
        folder = os.path.join(os.path.dirname(HERE), "tests", "fixtures", "trace")
        self.lines = {}
        for tracer in ("function", "graph"):
            with open(os.path.join(folder, f"linux-{tracer}.txt"), encoding="ascii") as file:
                self.lines[tracer] = file.read().splitlines()

    def test_every_line_of_linux_but_the_header_is_masked(self):
        for tracer, lines in self.lines.items():
            for line in lines:
                kept = line.startswith("#")
                self.assertEqual(trace_text.masked(line) == line, kept, f"{tracer}: {line}")

    def test_another_task_time_duration_and_mark_are_no_difference(self):
        for one, other in (
                ("            init-1       [000] .....     1.106293: f <-g",
                 "          longer-1234567 [003] d.h1.  9999.000001: f <-g"),
                (" 0)   3.750 us    |    f();", " 3) + 10.006 us   |    f();"),
                (" 0)   3.750 us    |    f();", " 0) * 20587.19 us |    f();"),
                (" 0) ! 145.762 us  |  }", " 0) $ 1234567 us  |  }")):
            self.assertEqual(trace_text.masked(one), trace_text.masked(other), other)
            self.assertNotEqual(trace_text.masked(one), one)

    def test_a_blank_too_many_is_a_difference(self):
        for tracer, lines in self.lines.items():
            for number, line in enumerate(lines):
                blanks = [at for at, byte in enumerate(line) if byte == " "]
                for at in blanks:
                    spoiled = list(lines)
                    spoiled[number] = line[:at] + " " + line[at:]
                    self.assertTrue(trace_text.differences(lines, spoiled), f"{tracer}: {spoiled[number]}")

    def test_names_braces_indentation_and_order_are_compared(self):
        for tracer, old, new in (("function", "<-bench_text", "<-0x00004712"),
                                 ("graph", " [lz4_compress]", ""),
                                 ("graph", "|    LZ4", "|  LZ4"),
                                 ("graph", "|  }", "|  } /* f */"),
                                 ("graph", "3.750 us ", "3.7500 us"),
                                 ("graph", "# CPU  DURATION", "# CPU DURATION ")):
            lines = self.lines[tracer]
            spoiled = "\n".join(lines).replace(old, new).split("\n")
            self.assertNotEqual(lines, spoiled)
            self.assertTrue(trace_text.differences(lines, spoiled), new)
            self.assertTrue(trace_text.differences(lines, lines[:-2] + [lines[-1], lines[-2]]))

    def test_lines_before_the_header_are_the_consoles_and_no_trace_is_no_comparison(self):
        lines = self.lines["graph"]
        self.assertEqual(trace_text.differences(["> cat trace", *lines], lines), [])
        with self.assertRaisesRegex(ValueError, "text: no `# tracer:` line"):
            trace_text.compare("text", lines, ["> cat trace"])


if __name__ == "__main__":
    unittest.main()
