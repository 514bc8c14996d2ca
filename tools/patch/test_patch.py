#!/usr/bin/env python3
"""What make.py refuses to make a patch of, and what it says then.

The compiler is the one of the sample modules; nothing is linked.
"""

import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

import make

CC = os.environ.get("CROSS", "powerpc64le-linux-gnu-") + "gcc"
FLAGS = "-O2 -ffreestanding -pg -mprofile-kernel -mcmodel=medium -fno-pic"

OLD = """
struct two { long a, b; };
long count = 3;
__attribute__((noinline)) long add(long a, const char *b) { return a + *b + count; }
__attribute__((noinline)) long sum(struct two t) { return t.a + t.b; }
__attribute__((no_instrument_function, noinline)) long quiet(void) { return count; }
__attribute__((section(".init.text"))) int init_it(void) { return 0; }
long all(struct two t, long (*get)(void)) { return add(1, "x") + sum(t) + quiet() + get(); }
"""


def said(old, new, out="out.ko"):
    """What the tool says of two sources, and its status."""
    with tempfile.TemporaryDirectory() as folder:
        names = [os.path.join(folder, name) for name in ("old.c", "new.c", out)]
        for name, text in zip(names, (old, new)):
            with open(name, "w", encoding="utf-8") as file:
                file.write(text)
        env = {**os.environ, "CC": CC, "CFLAGS": FLAGS, "LINK": "false"}
        done = subprocess.run([sys.executable, "-B", os.path.join(HERE, "make.py"), *names], env=env,
                              capture_output=True, text=True)
        assert not os.path.exists(names[2])
        return done.returncode, done.stderr.splitlines()


class Refusals(unittest.TestCase):
    def refused(self, *changes):
        new = OLD
        for before, after in changes:
            self.assertIn(before, new)
            new = new.replace(before, after)
        status, lines = said(OLD, new)
        self.assertEqual(status, 1)
        return lines

    def test_an_argument_more_is_refused(self):
        lines = self.refused(("sum(struct two t)", "sum(struct two t, int n)"), ("sum(t)", "sum(t, 1)"))
        self.assertEqual(lines, [
            "patch: sum: it was long int sum(struct two), and is long int sum(struct two,int): whoever calls it "
            "does so as before (give the new one another name, and change its callers)"])

    def test_another_result_is_refused(self):
        lines = self.refused(("long add(", "int add("))
        self.assertEqual(len(lines), 1)
        self.assertIn("add: it was long int add(long int,char*), and is int add(long int,char*)", lines[0])

    def test_other_names_and_const_are_the_same_signature(self):
        # What is left is that nothing else differs either.
        lines = self.refused(("long a, const char *b) { return a + *b", "long x, char *y) { return x + *y"))
        self.assertEqual(lines, ["patch: nothing differs that runs: there is nothing to patch"])

    def test_the_name_of_its_module_is_refused(self):
        status, lines = said(OLD, OLD.replace("return a +", "return 1 + a +"), "old.ko")
        self.assertEqual((status, len(lines)), (1, 1))
        self.assertIn("old.ko: the patch would be called as the module that it is for (write OUT=old_fix.ko)", lines[0])

    def test_a_function_without_call_site_is_refused(self):
        self.assertIn("quiet: has changed, and has no call site",
                      self.refused(("quiet(void) { return count;", "quiet(void) { return count + 1;"))[0])

    def test_a_variable_of_another_size_or_value_is_refused(self):
        self.assertIn("count: a variable's size has changed, 8 to 4 bytes", self.refused(("long count", "int count"))[-1])
        self.assertIn("count: a variable's first value has changed", self.refused(("count = 3", "count = 4"))[0])

    def test_init_that_has_changed_is_refused(self):
        self.assertIn("init_it: an init or exit function has changed",
                      self.refused(("init_it(void) { return 0;", "init_it(void) { return 1;"))[0])


class Prototypes(unittest.TestCase):
    def test_pointers_to_functions_and_further_arguments_are_part_of_it(self):
        line = "/* /tmp/x.c:3:NF */ extern long int b (long int (*f) (void), ...); /* (f) long int (*f)(); */"
        self.assertEqual(make.prototypes([line]), {"b": "long int b(long int(*)(void),...)"})

    def test_what_is_only_declared_is_none(self):
        self.assertEqual(make.prototypes(["/* x.c:4:NC */ extern long int nop (void);"]), {})


if __name__ == "__main__":
    unittest.main()
