#!/usr/bin/env python3
"""What make.py refuses to make a patch of, and what it says then; what it replaces.

The compiler is the one of the sample modules. Where a patch is made its objects are put
together, and no more: qemu/cases/klp-made.case and klp-switch.case run what it makes.
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


def made(old, new, flags=""):
    """What the tool says that it has replaced, and the names in the patch."""
    with tempfile.TemporaryDirectory() as folder:
        names = [os.path.join(folder, name) for name in ("old.c", "new.c", "out.ko")]
        for name, text in zip(names, (old, new)):
            with open(name, "w", encoding="utf-8") as file:
                file.write(text)
        cross = os.environ.get("CROSS", "powerpc64le-linux-gnu-")
        env = {**os.environ, "CC": CC, "LINK": f"{cross}ld -r -o", "CFLAGS":
               f"{FLAGS} -nostdinc -fno-pie -fno-asynchronous-unwind-tables -I{ROOT}/modules/include {flags}"}
        done = subprocess.run([sys.executable, "-B", os.path.join(HERE, "make.py"), *names], env=env,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        symbols = subprocess.run([f"{cross}nm", names[2]], check=True, capture_output=True, text=True).stdout
        return done.stdout.splitlines(), {line.split()[-1] for line in symbols.splitlines()}


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

    def test_a_folder_that_is_not_there_is_said(self):
        self.assertEqual(said(OLD, OLD, "none/out.ko")[1][0].split(": ", 2)[2], "there is no such folder (make it first)")

    def test_a_new_parameter_and_a_new_init_are_refused(self):
        lines = self.refused(("long count = 3;", "long count = 3; const struct { int n; } __param_knob = { 1 };"),
                             ("*b + count", "*b - count"))
        self.assertEqual(lines, [
            "patch: knob: a parameter is new: the module that runs has none of that name "
            "(make it a variable, or a parameter of a patch written by hand)"])
        lines = self.refused(("int init_it(void) { return 0; }", "int init_module(void) { return 0; }"), ("*b + count", "*b - count"))
        self.assertEqual(lines, [
            "patch: module_init is new: a module that is loaded has had its time for it (do the same in the patch's callbacks)"])

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


CONSTANTS = """
struct ops { const long *table; };
static const long table[4] = { 1, 2, 3, 4 };
static const long other[4] = { 5, 6, 7, 8 };
%s
__attribute__((noinline)) long first(long n) { return table[n & 3]; }
__attribute__((noinline)) long second(long n) { return table[~n & 3] + 1; }
__attribute__((noinline)) long third(long n) { return other[n & 3]; }
__attribute__((noinline)) long named(long n) {
	switch (n) { case 0: return 11; case 1: return 3; case 2: return 27; case 3: return 5; case 4: return 90; case 5: return 1; }
	return 0;
}
"""


class Constants(unittest.TestCase):
    def test_who_uses_a_constant_that_has_changed_is_replaced(self):
        old = CONSTANTS % ""
        lines, names = made(old, old.replace("2, 3, 4", "2, 3, 5"))
        self.assertEqual(lines, ["replaced: first", "replaced: second", "constant, as it is now: table"])
        self.assertIn("table", names)
        self.assertNotIn(".klp.sym.old.table,0", names)

    def test_so_is_who_uses_a_table_that_the_compiler_has_made(self):
        old = CONSTANTS % ""
        lines, _ = made(old, old.replace("return 27", "return 28"))
        self.assertIn("replaced: named", lines)
        self.assertEqual([line for line in lines if line.startswith("replaced")], ["replaced: named"])

    def test_a_variable_that_leads_to_it_is_refused_as_variables_are(self):
        old = CONSTANTS % "struct ops ops = { table };"
        status, lines = said(old, old.replace("2, 3, 4", "2, 3, 5"))
        self.assertEqual((status, len(lines)), (1, 1))
        self.assertIn("ops: a variable's first value has changed: it has another one by now (set it in", lines[0])

    def test_one_that_other_modules_use_is_refused(self):
        old = CONSTANTS.replace("static const long table", "const long table") % "long __ksymtab_table;"
        status, lines = said(old, old.replace("2, 3, 4", "2, 3, 5"))
        self.assertEqual((status, lines), (1, ["patch: table: an exported constant has changed: other modules keep the "
                                               "old one (export the new one by another name)"]))


class Parts(unittest.TestCase):
    COLD = """
__attribute__((cold)) void complain(long);
__attribute__((noinline)) long f(long a) { if (__builtin_expect(a < 0, 0)) { complain(a); return a * 3; } return a + 1; }
long g(long a) { return f(a) + f(-a); }
"""

    def test_no_jump_leads_back_into_the_function_that_was(self):
        lines, names = made(self.COLD, self.COLD.replace("a + 1", "a + 2"), "-freorder-blocks-and-partition")
        self.assertEqual(lines, ["replaced: f"])
        self.assertEqual([name for name in names if "cold" in name or name.startswith(".L")], [])
        lines, _ = made(self.COLD, self.COLD.replace("a * 3", "a * 5"), "-freorder-blocks-and-partition")
        self.assertEqual(lines, ["replaced: f"])

    SWITCH = "long other(long); long f(long n) { switch (n) {" + "".join(
        f"case {n}: return other({n * n + 1}) + {n % 3};" for n in range(12)) + "} return 0; }"

    def test_no_table_of_jumps_leads_into_a_function_that_is_left_out(self):
        old = self.SWITCH + "long more(long n) { return n; }"
        lines, names = made(old, old.replace("return n;", "return n + 1;"))
        self.assertEqual(lines, ["replaced: more"])
        self.assertEqual([name for name in names if name.startswith(".L")], [])

    def test_a_switch_that_has_changed_brings_all_that_it_needs(self):
        lines, names = made(self.SWITCH, self.SWITCH.replace("return 0", "return 1"))
        self.assertEqual(lines, ["replaced: f"])
        self.assertEqual([name for name in names if name.startswith(".L")], [])

    # What `clone` takes of `a` depends on its body: both go together.
    CLONE = """
long sink(long);
static __attribute__((noinline)) long clone(long a, long b) { return sink(a) * b; }
long f(long a) { return clone(a, 7) + 1; }
long g(long a) { return clone(a, 7) + 2; }
long h(long a) { return a; }
"""

    def test_a_clone_goes_with_its_callers(self):
        lines, names = made(self.CLONE, self.CLONE.replace("* b", "+ b"), "-flive-patching=inline-clone")
        self.assertEqual(lines, ["replaced: f", "replaced: g", "new: clone.constprop.0"])
        self.assertIn("clone.constprop.0", names)


class Prototypes(unittest.TestCase):
    def test_pointers_to_functions_and_further_arguments_are_part_of_it(self):
        line = "/* /tmp/x.c:3:NF */ extern long int b (long int (*f) (void), ...); /* (f) long int (*f)(); */"
        self.assertEqual(make.prototypes([line]), {"b": "long int b(long int(*)(void),...)"})

    def test_what_is_only_declared_is_none(self):
        self.assertEqual(make.prototypes(["/* x.c:4:NC */ extern long int nop (void);"]), {})


if __name__ == "__main__":
    unittest.main()
