#!/usr/bin/env python3
"""What a person at a terminal sees: Tab, pages, colour. Without one there is none of it
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


class Tab(Person):
    PROMPT = b"\x1b[1mtocsin>\x1b[0m "

    def test_a_word_is_completed_and_a_choice_listed_at_the_second_tab(self):
        self.assertEqual(self.type(b"insm\t", b"od "), b"insm")
        self.assertEqual(self.type(b"atom\t", b"ics "), b"atom")
        self.type(b"\x15", b"\x1b[K")
        self.type(b"rmmod seed_\t", b"\x07")
        listed = self.type(b"\t", self.PROMPT)
        self.assertEqual(sorted(listed.split()), [b"seed_ibmvscsi", b"seed_scsi"])
        self.until(b"rmmod seed_")
        self.type(b"\x15cat /proc/mod\t", b"ules ")
        self.type(b"\x15call demo:call_an\t", b"swer ")
        self.assertIn(b"= 0x29", self.type(b"\r", self.PROMPT))
        # Of a module as it is now: a loaded one, what it has, a word of its usage.
        self.type(b"rmmod demo_\t", b"fix ")
        self.assertNotIn(b"rmmod:", self.type(b"\r", self.PROMPT))
        self.type(b"rmmod d\t", b"emo ")
        self.assertNotIn(b"rmmod:", self.type(b"\r", self.PROMPT))
        self.type(b"rmmod d\t", b"\x07")
        self.type(b"\x15modinfo pair_\t\t", b"pair_a  pair_b")
        self.type(b"\x15insmod demo --l\t", b"ink-only ")
        self.type(b"\x15insmod /lib/modules/atom\t", b"ics.ko ")
        self.type(b"\x15trace gr\t", b"aph ")
        self.type(b"\x15", b"\x1b[K")
        self.off()


if __name__ == "__main__":
    unittest.main()
