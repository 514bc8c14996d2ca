#!/usr/bin/env python3
"""What needs no machine: how a page is compared with what was printed, and the book's links."""

import os
import re
import sys
import tempfile
import unittest

import lesson

ROOT = lesson.ROOT
sys.path.append(os.path.join(ROOT, "tools", "book"))
import links  # noqa: E402  (what `make book` ends with)


class Comparing(unittest.TestCase):
    """Page against console."""

    def fit(self, page, printed, here=None):
        return lesson.all_fit(page, printed, here or {})

    def test_a_line_is_itself_and_nothing_else(self):
        self.assertIsNotNone(self.fit(["= 0x29"], ["= 0x29"]))
        self.assertIsNone(self.fit(["= 0x29"], ["= 0x2a"]))
        self.assertIsNone(self.fit(["= 0x29"], []))
        self.assertIsNone(self.fit([], ["= 0x29"]))

    def test_six_digits_are_a_number_and_seven_an_address(self):
        self.assertIsNone(self.fit(["r3=0x123456"], ["r3=0x123457"]))
        self.assertIsNotNone(self.fit(["r3=0x1234567"], ["r3=0x7654321"]))

    def test_an_address_is_the_same_one_wherever_it_comes_again(self):
        page = ["a 0x12ae1000", "b 0x12ae1000"]
        self.assertIsNotNone(self.fit(page, ["a 0x12bf1000", "b 0x12bf1000"]))
        self.assertIsNone(self.fit(page, ["a 0x12bf1000", "b 0x12bf1004"]))

    def test_what_lies_in_one_page_of_a_module_keeps_its_distance(self):
        page = ["0x12ae1000", "0x12ae1008"]
        self.assertIsNotNone(self.fit(page, ["0x12bf1000", "0x12bf1008"]))
        self.assertIsNone(self.fit(page, ["0x12bf1000", "0x12bf100c"]))
        # Functions of the kernel's own may move by themselves.
        self.assertIsNotNone(self.fit(["0x4400380", "0x4400384"], ["0x4400380", "0x4401000"]))

    def test_dots_are_any_lines_and_an_ellipsis_any_words(self):
        self.assertIsNotNone(self.fit(["a", "...", "z"], ["a", "b", "c", "z"]))
        self.assertIsNotNone(self.fit(["a", "...", "z"], ["a", "z"]))
        self.assertIsNone(self.fit(["a", "...", "z"], ["a", "b"]))
        self.assertIsNotNone(self.fit(["ld r12,…(r12)"], ["ld r12,-28760(r12)"]))
        self.assertIsNone(self.fit(["ld r12,…(r12)"], ["ld r11,-28760(r12)"]))

    def test_times_are_any_times(self):
        self.assertIsNotNone(self.fit(["  0.012230: f <-g"], ["  1.500000: f <-g"]))
        self.assertIsNotNone(self.fit([" 0) + 37.191 us   |  f();"], [" 0)   0.5 us    |  f();"]))
        self.assertIsNone(self.fit(["  0.012230: f <-g"], ["  1.500000: f <-h"]))

    def test_an_address_in_a_command_moves_with_its_neighbours(self):
        self.assertEqual(lesson.moved("0x12ae5000", {0x12AE4380: 0x12BE4380}), "0x12be5000")
        self.assertEqual(lesson.moved("0x12ae5000", {0x4400380: 0x4400390}), "0x12ae5000")


class Renewing(unittest.TestCase):
    """A page gets this build's addresses, and nothing else of it changes."""

    OLD = ["# P", "At 0x12ae1000 it is; 0x7777777 was.", "```console", "> f", "r2=0x44faa00 0x0000000012ae1000", "...",
           "  0.5 us | r12=… lr=0x44f9100", "> dis 0x12ae1000", "= 0x29", "```"]
    PRINTED = [["r2=0x44f0000 0x0000000012b01000", "more", "  0.5 us | r12=7 lr=0x44f0000"], ["= 0x29"]]

    def renewed(self, old, printed):
        page = lesson.Page("reader/none", old)
        wrong, here = lesson.follow(page.steps({}), printed)
        self.assertEqual(wrong, [])
        return lesson.renewed(page, page.steps(here), printed, here)

    def test_addresses_are_this_builds_wherever_they_stand(self):
        self.assertEqual(self.renewed(self.OLD, self.PRINTED), ([
            "# P", "At 0x12b01000 it is; 0x7777777 was.", "```console", "> f", "r2=0x44f0000 0x0000000012b01000", "...",
            "  0.5 us | r12=… lr=0x44f0000", "> dis 0x12b01000", "= 0x29", "```"], ["0x7777777"]))

    def test_a_page_of_this_build_stays_as_it_is(self):
        now, _ = self.renewed(self.OLD, self.PRINTED)
        self.assertEqual(self.renewed(now, self.PRINTED)[0], now)

    def test_times_stay(self):
        old = ["# P", "```console", "> f", "  0.012230: f <-g 0x12ae1000", "```"]
        self.assertEqual(self.renewed(old, [["  1.500000: f <-g 0x12b01000"]])[0][3], "  0.012230: f <-g 0x12b01000")


class Answers(unittest.TestCase):
    """What a person writes into answers.txt."""

    def test_a_number_is_the_same_in_hex_and_in_decimal(self):
        for text in ("8", "08", "0x8", "0X08", "= 0x8", "+8"):
            self.assertEqual(lesson.numbers(text), {8}, text)
        self.assertEqual(lesson.numbers("-0x9000"), {-0x9000})
        self.assertEqual(lesson.numbers("60", in_hex=True), {60, 0x60})
        self.assertEqual(lesson.numbers("9F70", in_hex=True), {0x9F70})

    def test_what_is_no_number_is_none(self):
        for text in ("c", "", "0x", "8 bytes", "eight", "0x8/0x10", "²"):
            self.assertEqual(lesson.numbers(text), set(), text)

    def test_a_function_may_be_written_as_the_shell_shows_it(self):
        for text in ("answer", "demo:answer", "answer+0x8/0x10 [demo]", "answer+0x0"):
            self.assertEqual(lesson.functions(text, "demo"), ["answer"], text)
        self.assertEqual(lesson.functions("demo:nine, answer", "demo"), ["nine", "answer"])
        self.assertNotEqual(lesson.functions("pair_a:answer", "demo"), ["answer"])
        self.assertNotEqual(lesson.functions("answer+0x8 [pair_a]", "demo"), ["answer"])


class Book(unittest.TestCase):
    """Pages lead to pages."""

    def pages(self):
        for folder, _, files in os.walk(lesson.DOCS):
            yield from (os.path.join(folder, file) for file in files if file.endswith(".md"))

    def test_every_link_of_a_page_leads_to_a_file(self):
        for page in self.pages():
            with open(page, encoding="utf-8") as file:
                # Not in code.
                text = re.sub(r"```.*?```|`[^`]*`", "", file.read(), flags=re.S)
            for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
                if not target.startswith(("http:", "https:")):
                    path = os.path.join(os.path.dirname(page), target)
                    self.assertTrue(os.path.exists(path), f"{page}: {target}")

    def test_the_summary_has_every_page(self):
        with open(os.path.join(lesson.DOCS, "SUMMARY.md"), encoding="utf-8") as file:
            listed = set(re.findall(r"\]\(([^)]+)\)", file.read()))
        there = {os.path.relpath(page, lesson.DOCS) for page in self.pages()} - {"SUMMARY.md"}
        self.assertEqual(listed, there)

    def test_no_page_is_called_otherwise_in_the_built_book(self):
        # mdBook makes index.html of README.md, and leaves links to it as README.html.
        self.assertEqual([page for page in self.pages() if page.endswith("README.md")], [])

    def test_links_of_the_built_book_that_lead_nowhere_are_found(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(os.path.join(folder, "a"))
            for name, text in (
                ("index.html", '<a href="a/b.html#here">x</a> <a href="a/c.html">x</a> <a href="#no">x</a>'),
                ("a/b.html", '<h1 id="here">x</h1> <a href="../index.html">x</a> <img src="gone.svg">'
                             '<a href="https://example.org/gone.html">x</a> <a href="../index.html#there">x</a>'),
                ("404.html", '<a href="a/gone.html">x</a>'),
            ):
                with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                    file.write(text)
            self.assertEqual(links.dead(folder), ([
                ("a/b.html", "gone.svg", "no such file"),
                ("a/b.html", "../index.html#there", "no such place there"),
                ("index.html", "a/c.html", "no such file"),
                ("index.html", "#no", "no such place there"),
            ], 6))

    def test_the_files_that_the_week_names_are_there(self):
        with open(os.path.join(lesson.DOCS, "reader", "week.md"), encoding="utf-8") as file:
            named = re.findall(r"`((?:src|boot|modules)/[\w/.]+)`", file.read())
        self.assertGreater(len(named), 20)
        for path in named:
            self.assertTrue(os.path.exists(os.path.join(ROOT, path)), path)

    def test_all_of_the_source_is_on_the_map_or_in_the_week(self):
        named = ""
        for page in ("map.md", "reader/week.md"):
            with open(os.path.join(lesson.DOCS, page), encoding="utf-8") as file:
                named += file.read()
        source = os.path.join(ROOT, "src")
        missing = [
            name for name in sorted(os.listdir(source))
            if f"`src/{name}{'/' if os.path.isdir(os.path.join(source, name)) else '`'}" not in named
        ]
        self.assertEqual(missing, [])

    def test_the_glossary_is_sorted(self):
        with open(os.path.join(lesson.DOCS, "glossary.md"), encoding="utf-8") as file:
            words = re.findall(r"^\*\*(.+?)\*\*:", file.read(), flags=re.M)
        self.assertGreater(len(words), 70)
        # Neither capitals nor what a name is written with count.
        self.assertEqual(words, sorted(words, key=lambda word: word.replace("`", "").lstrip("_").casefold()))

    def test_every_lesson_has_a_page_an_exercise_a_check_and_a_solution(self):
        self.assertEqual(len(lesson.names()), 10)
        for name in lesson.names():
            given = set(os.listdir(os.path.join(ROOT, "lessons", name))) - {"check.py", "__pycache__"}
            solved = set(os.listdir(os.path.join(ROOT, "lessons", "solutions", name)))
            self.assertTrue(given and given <= solved, (name, given, solved))
            self.assertTrue(os.path.exists(os.path.join(ROOT, "lessons", name, "check.py")))


if __name__ == "__main__":
    unittest.main()
