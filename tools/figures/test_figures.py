#!/usr/bin/env python3
"""Draws the figures from a run, and looks at what they say."""

import os
import re
import shutil
import unittest

import figures

FOLDER = os.path.join(figures.ROOT, "target", "test", "figures")
BOOK = os.path.join(figures.ROOT, "docs", "figures")
# What may have grown or shrunk since map.svg was drawn, unseen: two pages. How large the
# initrd is, and the heap behind it, says nothing of the kernel.
LENIENT_KIB = 8
ANY_SIZE = ("initrd", "heap")


class Figures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        shutil.rmtree(FOLDER, ignore_errors=True)
        cls.said = figures.console(figures.COMMANDS)
        figures.draw(cls.said, FOLDER)

    def words(self, name):
        """What is written in a figure of this build, a line a text."""
        return "\n".join(figures.words(os.path.join(FOLDER, name)))

    def test_the_map_has_a_box_for_every_range(self):
        ranges = [line for line in self.said["maps"] if "-0x" in line]
        self.assertGreater(len(ranges), 8)
        words = self.words("map.svg")
        for line in ranges:
            self.assertIn(line.split(" ", 2)[2], words)
        self.assertNotIn("rwx", words)

    def test_the_frame_has_the_ninth_argument_where_the_callee_loads_it(self):
        words = self.words("frame.svg")
        self.assertRegex(words, r"0x\w+ 96\(r1\)\nthe ninth argument = 0x9\n")
        self.assertRegex(words, r"back chain: the caller's r1 = 0x\w+")

    def test_the_stub_loads_the_address_of_the_callee(self):
        callee = re.search(r"(0x\w+) scsi_lun_pack:", self.words("stub.svg"))[1]
        self.assertRegex(self.words("stub.svg"), rf"0x\w+: {callee}\n")

    def test_the_bug_ends_in_an_oops_with_the_callers_r2(self):
        words = self.words("bug.svg")
        self.assertIn("code of seed_scsi", words)
        self.assertIn("r2 is seed_ibmvscsi's", words)
        self.assertNotIn("r2 is seed_scsi's", words)
        self.assertIn("oops: jump to", words)

    def test_the_books_figures_show_what_this_build_does(self):
        for name in ("bug.svg", "frame.svg", "stub.svg"):
            self.assertEqual(*(figures.without_addresses(figures.words(os.path.join(folder, name)))
                               for folder in (BOOK, FOLDER)), f"{name} is stale: make figures")

    def test_the_books_map_is_that_of_this_build_but_for_two_pages(self):
        book, now = (figures.ranges(figures.words(os.path.join(folder, "map.svg"))) for folder in (BOOK, FOLDER))
        self.assertEqual([row[:2] for row in book], [row[:2] for row in now], "map.svg is stale: make figures")
        for (_, what, then), (_, _, size) in zip(book, now):
            if what not in ANY_SIZE:
                self.assertLessEqual(abs(then - size), LENIENT_KIB, f"{what}: map.svg is stale: make figures")


if __name__ == "__main__":
    unittest.main()
