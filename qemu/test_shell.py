#!/usr/bin/env python3
"""What a person at a terminal sees: Tab, pages, colour, that a command runs. Without one there is none of it
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

    PROMPT = b"\x1b[1mtocsin>\x1b[0m "
    SETTINGS = {}

    def setUp(self):
        super().setUp()
        person, terminal = pty.openpty()
        self.terminal, self.seen = person, b""
        self.addCleanup(os.close, person)
        self.run = subprocess.Popen(
            [os.path.join(HERE, "run.sh")], env=self.environment(**self.SETTINGS),
            stdin=terminal, stdout=terminal, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(terminal)
        self.addCleanup(self.run.wait)
        self.addCleanup(self.run.terminate)
        self.until(self.PROMPT)

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
    def test_long_output_stops_at_each_page_and_goes_on_as_asked(self):
        first = self.type(b"help\r", b"--more--")
        self.assertEqual(first.count(b"\n"), 24)  # the line that was typed, and a page
        line = self.type(b"\r", b"--more--")
        self.assertEqual(line.count(b"\n"), 1)
        self.assertEqual(self.type(b" ", b"--more--").count(b"\n"), 23)
        self.assertEqual(self.type(b"q", self.PROMPT), b"\r\x1b[K")
        # The next command's output is not missing, and a short one does not stop.
        self.assertIn(b"Used by\r", self.type(b"lsmod\r", self.PROMPT))
        self.off()

    def test_a_mistake_is_red_and_nothing_else(self):
        shown = self.type(b"rmmod nosuch\r", self.PROMPT)
        self.assertRegex(shown, rb"\x1b\[31mrmmod: nosuch: not loaded[^\x1b]*\x1b\[0m[\r\n]+$")
        self.assertNotIn(b"\x1b", self.type(b"echo plain\r", self.PROMPT))
        self.off()


class AfterAFailure(Person):
    SETTINGS = {"QEMUFLAGS": "-append 'interactive -- echo a; nosuch; echo b'"}

    def test_the_verdict_is_that_of_the_commands_that_came_with_the_boot(self):
        self.type(b"echo c\r", self.PROMPT)
        os.write(self.terminal, b"exit\r")
        self.assertEqual(self.run.wait(30), 1)
        self.until(b"tocsin: failed: nosuch: unknown command")


class Waiting(Person):
    SETTINGS = {"SMP": "2"}
    HINT = b" s (Ctrl-C ends it)"

    def interrupted(self, command):
        """What is shown of a command that takes long, before Ctrl-C and after it."""
        before = self.type(command + b"\r", self.HINT) + self.HINT + self.until(self.HINT)
        return before, self.type(b"\x03", self.PROMPT)

    def test_a_command_that_takes_long_says_so_in_a_line_that_goes_again(self):
        quick = b"insmod demo; call demo:answer; repeat 2 mem\r"
        self.assertNotIn(b"\x1b", self.type(quick, self.PROMPT))
        shown, after = self.interrupted(b"insmod oops; call oops_loop")
        self.assertRegex(shown, rb"\n\r\x1b\[K\d+ s \(Ctrl-C ends it\)\r\x1b\[K\d+$")
        again = rb"(\r\x1b\[K\d+ s \(Ctrl-C ends it\))*"
        self.assertRegex(after, rb"^" + again + rb"\r\x1b\[Koops: stopped by hand")
        self.assertNotIn(self.HINT, after[after.index(b"stopped"):])

    def test_repeat_says_how_many_rounds_are_done(self):
        shown, after = self.interrupted(b"repeat -q 1000000 mem")
        self.assertRegex(shown, rb"\r\x1b\[K\d+ of 1000000 rounds, \d+ s")
        self.assertRegex(after, rb"\r\x1b\[K\x1b\[31mrepeat: stopped by hand in round \d+")
        # What comes behind it counts no rounds.
        shown, _ = self.interrupted(b"insmod oops; repeat 2 echo; call oops_loop")
        self.assertNotIn(b"of 2 rounds", shown)

    def test_ctrl_c_ends_a_call_elsewhere_but_not_a_job_that_is_waited_for(self):
        _, after = self.interrupted(b"insmod oops; call -c 1 oops_loop")
        self.assertIn(b"stopped by hand", after)
        self.assertNotIn(b"job", self.type(b"jobs\r", self.PROMPT).replace(b"jobs", b""))
        _, after = self.interrupted(b"call -b -c 1 oops_loop; wait")
        self.assertIn(b"wait: job 2 goes on (stop 2 ends it)", after)
        self.assertIn(b"running", self.type(b"jobs\r", self.PROMPT))
        self.assertIn(b"stopped by hand", self.type(b"stop 2; wait 2\r", self.PROMPT))
        self.off()


class Tab(Person):
    def setUp(self):
        super().setUp()
        # The demo leaves the machine as it was.
        self.assertEqual(self.type(b"lsmod\r", self.PROMPT).count(b"\n"), 2)
        loads = b"modprobe seed_ibmvscsi; insmod demo; livepatch enable demo_fix; livepatch disable demo_fix\r"
        self.assertNotIn(b"insmod:", self.type(loads, self.PROMPT))

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
        self.type(b"\x15trace set noover\t", b"write ")
        self.type(b"\x15buf key 8\r", self.PROMPT)
        self.type(b"x &k\t", b"ey ")
        self.type(b"\x15", b"\x1b[K")
        self.off()


if __name__ == "__main__":
    unittest.main()
