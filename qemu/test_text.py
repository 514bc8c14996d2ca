#!/usr/bin/env python3
"""The trace that Tocsin prints is Debian's Linux 6.1's, line by line, and can be drawn.

The same module of ours (bench/bench_text.c) calls the same functions of the same
Debian modules as it did when Linux printed tests/fixtures/trace/linux-*.txt; what is
compared, and what is masked, bench/text.py says. `make bench ROWS='text text-graph'`
boots Linux too and compares with what it prints today.

Needs TOCSIN_MODULES_DIR, the unpacked modules of Debian's 6.1 kernel.
"""

import json
import os
import shlex
import subprocess
import sys
import unittest

from test_kernel import HERE, Booted

ROOT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(ROOT, "bench"))
import runs  # noqa: E402  (bench/ is a folder of scripts, not a package)
import text  # noqa: E402


class Text(Booted):
    def printed(self, tracer):
        """What Tocsin prints, from the trace's header to its last line."""
        modules = [self.debian(name) for name in runs.TEXT]
        ours = os.path.join(self.dir, "bench_text.ko")
        source = os.path.join("bench", "bench_text.c")
        subprocess.run(["make", "-sC", ROOT, "module", f"SRC={source}", f"OUT={ours}"], check=True,
                       env=self.environment(CALLER=ROOT))
        commands = [command for _, command in runs.TOCSIN[f"text {tracer}"].commands]
        status, _, lines = self.boot("; ".join(commands), MODULES=shlex.join([*modules, ours]))
        if f"no such tracer: {tracer} " in lines[-1]:
            self.skipTest(lines[-1])
        self.assertEqual((status, lines[-1]), (0, "tocsin: ok"), lines)
        return text.of(lines[:-1])

    def compare(self, tracer, fixture):
        path = os.path.join(ROOT, "tests", "fixtures", "trace", fixture)
        with open(path, encoding="ascii") as file:
            linux = file.read().splitlines()
        ours = self.printed(tracer)
        self.assertEqual(text.differences(linux, ours), [])
        # Linux answered as many lines, so nothing was masked away.
        self.assertEqual(len(linux), len(ours))

    def test_function_text_is_linuxs(self):
        self.compare("function", "linux-function.txt")

    def test_function_graph_text_is_linuxs(self):
        self.compare("function_graph", "linux-graph.txt")


class Tools(Booted):
    def test_a_session_becomes_stacks_a_picture_and_json(self):
        status, out, lines = self.boot("insmod seed_scsi; insmod seed_ibmvscsi; "
                                       "trace on vscsi_* scsi_*; call vscsi_checksum; trace show")
        self.assertEqual(status, 0, lines)
        path = os.path.join(self.dir, "a trace's text")
        with open(path, "wb") as file:
            file.write(out)

        def make(target, **settings):
            done = subprocess.run(["make", "-sC", ROOT, target], stdout=subprocess.PIPE, text=True,
                                  env=self.environment(FILE=path, **settings), check=True)
            return done.stdout

        # modules/c/seed_ibmvscsi.c: it hands vscsi_done to the other module, which calls it.
        back = "guarded_call;vscsi_checksum;vscsi_call_back;scsi_execute"
        stacks = make("trace-folded").splitlines()
        self.assertIn(f"{back};vscsi_done;scsi_lun_pack 1", stacks)
        self.assertIn(f"{back};scsi_lun_pack 2", stacks)
        events = json.loads(make("trace-json"))["traceEvents"]
        self.assertEqual(sum(event.get("name") == "scsi_lun_pack" for event in events), 4)
        picture = os.path.join(self.dir, "x.svg")
        make("flame", OUT=picture, TITLE="it's \"this\"")
        with open(picture, encoding="utf-8") as file:
            self.assertIn("it's &quot;this&quot;", file.read().replace("&#39;", "'").replace("&apos;", "'"))


if __name__ == "__main__":
    unittest.main()
