#!/usr/bin/env python3
"""Draws the figures from a run, and looks at what they say."""

import os
import re
import unittest
import xml.etree.ElementTree as xml

import figures

FOLDER = os.path.join(figures.ROOT, "target", "test", "figures")


class Figures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.said = figures.console(figures.COMMANDS)
        figures.draw(cls.said, FOLDER)

    def words(self, name):
        """What is written in a figure, a line a text."""
        tree = xml.parse(os.path.join(FOLDER, name))
        return "\n".join(text.text or "" for text in tree.iter("{http://www.w3.org/2000/svg}text"))

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


if __name__ == "__main__":
    unittest.main()
