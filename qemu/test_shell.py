#!/usr/bin/env python3
"""What a person at a terminal sees: Tab, pages, colour, wide lines, that a command runs.
Without one there is none of it (test_kernel.Output)."""

import os
import pty
import re
import select
import subprocess
import time
import unittest

from test_kernel import HERE, Booted


class Screen:
    """What a VT100 shows; what it answers, if it is asked where its cursor is."""

    UNIT = re.compile(rb"\x1b\[([0-9;]*)([A-Za-z])|\x1b([78])|([\x00-\x1a\x1c-\x7f])|[\x80-\xff]")

    def __init__(self, rows, columns):
        self.size = rows, columns
        self.lines = [[" "] * columns for _ in range(rows)]
        self.row = self.column = 0
        self.kept, self.pending, self.answers = (0, 0), b"", []

    def feed(self, data):
        self.pending += data
        while unit := self.UNIT.match(self.pending):
            self.pending = self.pending[unit.end():]
            numbers, last, save, byte = unit.groups()
            if save == b"7":
                self.kept = self.row, self.column
            elif save:
                self.row, self.column = self.kept
            elif last:
                self.sequence([int(n or 0) for n in numbers.split(b";")], last)
            elif byte:
                self.byte(byte.decode())

    def sequence(self, numbers, last):
        rows, columns = self.size
        if last == b"H":
            row, column = (numbers + [0, 0])[:2]
            self.row, self.column = max(min(row, rows) - 1, 0), max(min(column, columns) - 1, 0)
        elif last == b"n":
            self.answers.append(b"\x1b[%d;%dR" % (self.row + 1, min(self.column, columns - 1) + 1))
        elif last in b"JK":
            self.lines[self.row][self.column:] = [" "] * (columns - self.column)
            if last == b"J":
                self.lines[self.row + 1:] = [[" "] * columns for _ in self.lines[self.row + 1:]]

    def down(self):
        self.row += 1
        if self.row == self.size[0]:
            self.row -= 1
            self.lines = self.lines[1:] + [[" "] * self.size[1]]

    def byte(self, byte):
        if byte == "\r":
            self.column = 0
        elif byte == "\n":
            self.down()
        elif byte == "\b":
            self.column = max(min(self.column, self.size[1] - 1) - 1, 0)
        elif byte >= " ":
            if self.column == self.size[1]:
                self.column = 0
                self.down()
            self.lines[self.row][self.column] = byte
            self.column += 1

    def text(self):
        """The rows, those that are empty at the end left out."""
        return "\n".join("".join(line).rstrip() for line in self.lines).rstrip().split("\n")


class Person(Booted):
    """A kernel on a terminal, with somebody who types."""

    PROMPT = b"\x1b[1mtocsin>\x1b[0m "
    SETTINGS = {}
    SIZE = None  # rows and columns, if the terminal says how many

    def setUp(self):
        super().setUp()
        person, terminal = pty.openpty()
        self.terminal, self.seen = person, b""
        self.screen = Screen(*(self.SIZE or (24, 80)))
        self.addCleanup(os.close, person)
        self.run = subprocess.Popen(
            [os.path.join(HERE, "run.sh")], env=self.environment(**self.SETTINGS),
            stdin=terminal, stdout=terminal, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(terminal)
        self.addCleanup(self.run.wait)
        self.addCleanup(self.run.terminate)
        self.begin()

    def begin(self):
        self.until(self.PROMPT)

    def until(self, wanted, seconds=60):
        """What is shown up to `wanted`, from where the last look ended."""
        end = time.monotonic() + seconds
        while wanted not in self.seen:
            left = end - time.monotonic()
            self.assertGreater(left, 0, self.seen[-2000:])
            if select.select([self.terminal], [], [], left)[0]:
                data = os.read(self.terminal, 4096)
                self.seen += data
                self.screen.feed(data)
                if self.SIZE:
                    for answer in self.screen.answers:
                        os.write(self.terminal, answer)
                self.screen.answers.clear()
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
        self.type(b"help\r", b"--more--")
        first = self.screen.text()
        self.assertRegex(first[0], r"^insmod ")  # 23 rows of it, of a terminal that says nothing
        self.assertEqual((len(first), first[23]), (24, "--more--"))
        self.type(b"\r", b"--more--")
        self.assertEqual(self.screen.text()[:22], first[1:23])
        last = self.screen.text()[22]
        self.type(b" ", b"--more--")
        self.assertNotIn(last, self.screen.text())
        self.assertEqual(self.type(b"q", self.PROMPT), b"\r\x1b[K")
        # The next command's output is not missing, and a short one does not stop.
        self.assertIn(b"Used by\r", self.type(b"lsmod\r", self.PROMPT))
        self.off()

    def test_enough_of_one_command_hides_no_mistake_of_the_next(self):
        self.type(b"help; rmmod nosuch\r", b"--more--")
        self.assertIn(b"rmmod: nosuch: not loaded", self.type(b"q", self.PROMPT))
        self.off()

    def test_what_a_calls_code_shows_stops_nowhere_and_its_result_neither(self):
        self.type(b"insmod demo\r", self.PROMPT)
        for _ in range(3):  # whatever stands on the page already
            shown = self.type(b"step demo:call_answer\r", b"= 0x29")
            self.assertGreater(shown.count(b"\n"), 23)
            self.assertNotIn(b"--more--", shown)
            self.until(self.PROMPT)
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


class Small(Person):
    SIZE = 8, 60

    def test_a_page_is_as_many_rows_as_the_terminal_has_and_none_is_lost(self):
        self.type(b"\x0c", self.PROMPT)
        self.type(b"help\r", b"--more--")
        shown = []
        for _ in range(9):
            page = self.screen.text()
            self.assertEqual((len(page), page[7]), (8, "--more--"))
            shown += page[:7]
            self.type(b" ", b"--more--")
        self.type(b"q", self.PROMPT)
        wanted = []
        for line in self.boot("help")[2][1:]:
            wanted += [line[at:at + 60].rstrip() for at in range(0, len(line), 60)]
        self.assertEqual(shown, wanted[:len(shown)])
        self.off()


class Wide(Person):
    SIZE = 24, 80
    WORDS = "echo " + " ".join(word * 9 for word in "abcdefghij")

    def row(self):
        return self.screen.text()[-1]

    def begin(self):
        # Typed before there is a prompt, with an answer that comes in between.
        os.write(self.terminal, b"echo one; echo R\rec")
        self.until(self.PROMPT + b"ec")
        self.type(b"ho two\r", self.PROMPT)

    def test_what_is_seen_of_a_wide_line_is_what_runs(self):
        self.type(self.WORDS.encode(), b"jjjjjjjjj")
        self.assertRegex(self.row(), r"^tocsin> <[a-j ]* jjjjjjjjj$")
        above = self.screen.text()[:-1]
        os.write(self.terminal, b"\x7f" * 40 + b"\x07")
        self.until(b"\x07")
        left = self.WORDS[:-40]
        self.assertEqual(self.screen.text()[:-1], above)
        seen = self.row().removeprefix("tocsin> ")
        self.assertTrue(seen == left or left.endswith(seen.removeprefix("<")), seen)
        self.type(b"\r", self.PROMPT)
        self.assertEqual(self.screen.text()[-3:], ["tocsin> " + left, left[5:], "tocsin>"])
        # The history over it leaves nothing of it.
        self.type(self.WORDS.encode() + b"\x10\x10\x07", b"\x07")
        self.assertEqual(self.row(), "tocsin> echo two")
        self.type(b"\x03", self.PROMPT)
        # In its middle the rest is told of.
        self.type(self.WORDS.encode() + b"\x1b[H\x07", b"\x07")
        self.assertRegex(self.row(), r"^tocsin> echo aaaaaaaaa [a-j ]*>$")
        self.type(b"\x03", self.PROMPT)
        self.off()

    def test_keys_that_clear_and_take_words_and_an_answer_too_late(self):
        self.type(b"echo one two\x17\x02\x02x\x07", b"\x07")
        self.assertEqual(self.row(), "tocsin> echo onxe")
        self.type(b"\x0c", self.PROMPT)
        self.type(b"y\x1b[24;80Rz\x07", b"\x07")
        self.assertEqual(self.screen.text(), ["tocsin> echo onxyze"])
        self.type(b"\r", self.PROMPT)
        self.assertEqual(self.screen.text(), ["tocsin> echo onxyze", "onxyze", "tocsin>"])
        self.off()


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
        self.type(b"\x15insmod linu\t", b"\x07")
        self.type(b"\x15insmod demo --stubs=s\t", b"eed ")
        self.assertEqual(self.type(b"\x15explain \t\t", self.PROMPT).split()[-5:],
                         [b"call", b"stub", b"reloc", b"frame", b"oops"])
        self.type(b"reloc seed_i\t", b"bmvscsi ")
        self.type(b"\x15trace gr\t", b"aph ")
        self.type(b"\x15trace set noover\t", b"write ")
        self.type(b"\x15buf key 8\r", self.PROMPT)
        self.type(b"x &k\t", b"ey ")
        self.type(b"\x15", b"\x1b[K")
        self.off()


if __name__ == "__main__":
    unittest.main()
