#!/usr/bin/env python3
"""What a person at a terminal sees: pages, colour. Without one there is none of it
(test_kernel.Output)."""

import os
import pty
import select
import subprocess
import time
import unittest

from test_kernel import HERE, Booted


class Person(Booted):
    """A kernel on a terminal, with somebody who types."""

    def setUp(self):
        super().setUp()
        person, terminal = pty.openpty()
        self.terminal, self.seen = person, b""
        self.addCleanup(os.close, person)
        self.run = subprocess.Popen(
            [os.path.join(HERE, "run.sh")], env=self.environment(),
            stdin=terminal, stdout=terminal, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(terminal)
        self.addCleanup(self.run.wait)
        self.addCleanup(self.run.terminate)
        self.until(b"tocsin>\x1b[0m ")

    def until(self, wanted, seconds=60):
        """What is shown up to `wanted`, from where the last look ended."""
        end = time.monotonic() + seconds
        while wanted not in self.seen:
            left = end - time.monotonic()
            self.assertGreater(left, 0, self.seen[-2000:])
            if select.select([self.terminal], [], [], left)[0]:
                self.seen += os.read(self.terminal, 4096)
        shown, _, self.seen = self.seen.partition(wanted)
        return shown

    def type(self, keys, wanted):
        os.write(self.terminal, keys)
        return self.until(wanted)

    def off(self):
        os.write(self.terminal, b"poweroff\r")
        self.assertEqual(self.run.wait(30), 0)


class Pages(Person):
    PROMPT = b"\x1b[1mtocsin>\x1b[0m "

    def test_long_output_stops_at_each_page_and_goes_on_as_asked(self):
        first = self.type(b"help\r", b"--more--")
        self.assertEqual(first.count(b"\n"), 24)  # the line that was typed, and a page
        line = self.type(b"\r", b"--more--")
        self.assertEqual(line.count(b"\n"), 1)
        self.assertEqual(self.type(b" ", b"--more--").count(b"\n"), 23)
        self.assertEqual(self.type(b"q", self.PROMPT), b"\r\x1b[K")
        # The next command's output is not missing, and a short one does not stop.
        self.assertIn(b"demo", self.type(b"lsmod\r", self.PROMPT))
        self.off()

    def test_a_mistake_is_red_and_nothing_else(self):
        shown = self.type(b"rmmod nosuch\r", self.PROMPT)
        self.assertRegex(shown, rb"\x1b\[31mrmmod: nosuch: not loaded[^\x1b]*\x1b\[0m[\r\n]+$")
        self.assertNotIn(b"\x1b", self.type(b"echo plain\r", self.PROMPT))
        self.off()


if __name__ == "__main__":
    unittest.main()
