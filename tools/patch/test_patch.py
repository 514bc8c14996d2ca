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


def made(old, new, flags="", module=""):
    """What the tool says that it has replaced, and the names in the patch. What is undefined
    there and the relocations, (kind, symbol), are left in `made`."""
    with tempfile.TemporaryDirectory() as folder:
        names = [os.path.join(folder, name) for name in ("old.c", "new.c", "out.ko")]
        for name, text in zip(names, (old, new)):
            with open(name, "w", encoding="utf-8") as file:
                file.write(text)
        cross = os.environ.get("CROSS", "powerpc64le-linux-gnu-")
        env = {**os.environ, "CC": CC, "MODULE": module, "LINK": f"{cross}ld -r -o", "CFLAGS":
               f"{FLAGS} -nostdinc -fno-pie -fno-asynchronous-unwind-tables -I{ROOT}/modules/include {flags}"}
        done = subprocess.run([sys.executable, "-B", os.path.join(HERE, "make.py"), *names], env=env,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        symbols = subprocess.run([f"{cross}nm", names[2]], check=True, capture_output=True, text=True).stdout
        used = subprocess.run([f"{cross}readelf", "-rW", names[2]], check=True, capture_output=True, text=True).stdout
        made.undefined = {line.split()[-1]: line.split()[-2] for line in symbols.splitlines() if line[:17].isspace()}
        made.relocations = {(line.split()[2], line.split()[4]) for line in used.splitlines() if " R_PPC64_" in line}
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
            "patch: sum: it was long int sum(struct two), and is long int sum(struct two, int): whoever calls it "
            "does so as before (give the new one another name, and change its callers)"])

    def test_another_result_is_refused(self):
        lines = self.refused(("long add(", "int add("))
        self.assertEqual(len(lines), 1)
        self.assertIn("add: it was long int add(long int, char *), and is int add(long int, char *)", lines[0])

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
    REPLACED = ["replaced: f", "of another source of old: complain"]

    def test_no_jump_leads_back_into_the_function_that_was(self):
        lines, names = made(self.COLD, self.COLD.replace("a + 1", "a + 2"), "-freorder-blocks-and-partition")
        self.assertEqual(lines, self.REPLACED)
        self.assertEqual([name for name in names if "cold" in name or name.startswith(".L")], [])
        lines, _ = made(self.COLD, self.COLD.replace("a * 3", "a * 5"), "-freorder-blocks-and-partition")
        self.assertEqual(lines, self.REPLACED)

    SWITCH = "long other(long); long f(long n) { switch (n) {" + "".join(
        f"case {n}: return other({n * n + 1}) + {n % 3};" for n in range(12)) + "} return 0; }"

    def test_no_table_of_jumps_leads_into_a_function_that_is_left_out(self):
        old = self.SWITCH + "long more(long n) { return n; }"
        lines, names = made(old, old.replace("return n;", "return n + 1;"))
        self.assertEqual(lines, ["replaced: more"])
        self.assertEqual([name for name in names if name.startswith(".L")], [])

    def test_a_switch_that_has_changed_brings_all_that_it_needs(self):
        lines, names = made(self.SWITCH, self.SWITCH.replace("return 0", "return 1"))
        self.assertEqual(lines, ["replaced: f", "of another source of old: other"])
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
        self.assertEqual(lines, ["replaced: f", "replaced: g", "new: clone.constprop.0", "of another source of old: sink"])
        self.assertIn("clone.constprop.0", names)


N = "__attribute__((noinline)) "


class Statics(unittest.TestCase):
    """A variable inside of a function is that function's, whatever number its label has."""

    COUNT = f"{N}long f(void) {{ static long count; return ++count; }}\n"

    def test_a_new_one_is_not_that_of_another_function(self):
        lines, names = made(self.COUNT + N + "long g(void) { return 100; }",
                            self.COUNT + N + "long g(void) { static long count; return 100 + ++count; }")
        self.assertEqual(lines, ["replaced: g", "new: g::count"])
        self.assertEqual([name for name in names if name.startswith(".klp")], [])

    def test_the_address_of_a_constant_one_stays(self):
        old = f"static const void *kept; {N}long f(long x) {{ static const int token[4] = {{1, 2, 3, 4}};" \
              " if (!x) kept = token; return kept == token ? token[x & 3] + 100 : -1; }"
        lines, names = made(old, old.replace("+ 100", "+ 200"))
        self.assertEqual(lines, ["replaced: f"])
        self.assertIn("token", "".join(name for name in names if name.startswith(".klp.sym.old.token")))

    def test_clones_of_a_function_are_told_apart(self):
        old = """#pragma GCC optimize("O3")
static %slong hlp(long x, int m) { long r = 0; for (long i = 0; i < x; i++) { if (m == 2) r += i * 3; else if (m == 5) r ^= i * 5;
else r -= i; asm volatile("" : "+r"(r)); } return r; }
""" % N + "".join(f"long {name}(long x) {{ return hlp(x + {i}, {m}); }}\n" for i, (name, m) in enumerate(
            (("f", 2), ("f2", 2), ("g", 5), ("g2", 5), ("h", 2), ("f3", 2), ("g3", 5))))
        lines, _ = made(old, old.replace("hlp(x + 4, 2)", "hlp(x + 4, 5)"))
        self.assertIn("replaced: h", lines)

    def test_they_may_change_places(self):
        other = N + "long g(void) { static long count; count += %d; return count; }\n"
        lines, _ = made(self.COUNT + other % 1000, other % 2000 + self.COUNT.replace("++count", "++count + 5"))
        self.assertEqual(lines, ["replaced: g", "replaced: f"])
        # The compiler numbers them from the last function on.
        self.assertEqual({name for _, name in made.relocations if "count." in name}, {".klp.sym.old.count.1,0", ".klp.sym.old.count.0,0"})
        lines, _ = made(self.COUNT + other % 1000, other % 1000 + self.COUNT.replace("++count", "++count + 5"))
        self.assertEqual(lines, ["replaced: f"])
        self.assertEqual({name for _, name in made.relocations if "count." in name}, {".klp.sym.old.count.1,0"})

    def test_one_of_another_size_is_new(self):
        g = N + "long g(long x) { static long count = 3; return x + ++count; }\n"
        lines, _ = made(N + "long f(long x) { return x; }\n" + g,
                        N + "long f(long x) { static int count[5]; return x + ++count[x & 1]; }\n" + g)
        self.assertEqual(lines, ["replaced: f", "new: f::count"])

    TWO = N + """long f(long x) {
	{ static long n; x += ++n; }
	{ static long n; x ^= n++; }
	return x;
}
"""

    def test_several_of_one_name_are_told_by_their_lines(self):
        two, undefined = self.TWO, lambda: {name for name in made.undefined if name.startswith(".klp")}
        self.assertEqual(made(two, two.replace("return x", "return x + 1"))[0], ["replaced: f"])
        self.assertEqual(undefined(), {".klp.sym.old.n.0,0", ".klp.sym.old.n.1,0"})
        # One more between them is new, and the others are who they were.
        more = two.replace("\t{ static long n; x ^=", "\t{ static long n; x *= ++n; }\n\t{ static long n; x ^=")
        self.assertEqual(made(two, more)[0], ["replaced: f", "new: f::n"])
        self.assertEqual(undefined(), {".klp.sym.old.n.0,0", ".klp.sym.old.n.1,0"})
        # The first goes: the second is not it.
        lines = two.splitlines(keepends=True)
        self.assertEqual(made(two, "".join(lines[:1] + lines[2:]))[0], ["replaced: f"])
        second = undefined()
        self.assertEqual(made(two, "".join(lines[:2] + lines[3:]))[0], ["replaced: f"])
        self.assertEqual({*second, *undefined()}, {".klp.sym.old.n.0,0", ".klp.sym.old.n.1,0"})
        # They change places; one has another text.
        self.assertEqual(made(two, "".join([lines[0], lines[2], lines[1], *lines[3:]]))[0], ["replaced: f"])
        self.assertEqual(made(two, two.replace("x ^=", "x *="))[0], ["replaced: f"])
        self.assertEqual(len(undefined()), 2)

    def test_those_whose_lines_do_not_tell_are_refused(self):
        new = self.TWO.replace("x ^=", "x *=").replace("x += ", "x -= ")
        self.assertEqual(said(self.TWO, new), (1, [
            "patch: f: has several variables n, and lines with them have changed: which of them is which of the old source cannot be "
            "told (give each a name of its own, or leave those lines as they are)"]))


class Variables(unittest.TestCase):
    def test_several_in_one_section_are_each_their_own(self):
        section = ' __attribute__((section(".data..read_mostly")))'
        old = f"static long a{section} = 5; static long b{section} = 6;\n{N}void set(long x) {{ a = x; b = x + 1; }}\n{N}long f(long x) {{ return a + b + x; }}"
        lines, names = made(old, old.replace("static long b", f"static long c{section} = 9; long *more(void) {{ return &c; }} static long b").replace("+ x;", "+ x + c;"))
        self.assertEqual(lines, ["replaced: f", "new: more", "new: c"])
        self.assertTrue({".klp.sym.old.a,0", ".klp.sym.old.b,0", "c"} <= names)
        self.assertTrue({"a", "b"}.isdisjoint(names))
        # Two that change places are still themselves.
        self.assertEqual(made(old, old.replace("return a +", "return 1 + a +"))[0], ["replaced: f"])

    def test_a_constant_that_is_written_is_refused_and_the_other_way_round(self):
        constant = f"static const long t[3] = {{1, 2, 3}};\n{N}long f(long x) {{ return *(volatile const long *)&t[x & 1]; }}"
        variable = f"static long t[3] = {{1, 2, 3}};\n{N}long f(long x) {{ t[x & 1]++; return *(volatile const long *)&t[x & 1]; }}"
        self.assertEqual(said(constant, variable), (1, ["patch: t: nothing wrote it, and something does now: where it lies nothing "
                                                        "can be written (give the variable a new name)"]))
        self.assertEqual(said(variable, constant), (1, ["patch: t: it was written, and is a constant now: it may have another value "
                                                        "by now (leave it a variable, or give the constant a new name)"]))

    def test_members_that_change_places_are_refused(self):
        old = f"static struct {{ long a, b; }} s;\n{N}long f(long x) {{ s.a += x; return s.b++; }}"
        self.assertIn("s: a variable's type has changed", said(old, old.replace("a, b", "b, a"))[1][0])

    def test_what_is_weak_stays_so(self):
        old = f"long maybe(long) __attribute__((weak)); {N}long f(long x) {{ return maybe ? maybe(x) : x + 1; }}" \
              '__attribute__((section(".init.text"))) int init_it(void) { return 0; }'
        self.assertEqual(made(old, old.replace("x + 1", "x + 2"))[0], ["replaced: f"])
        self.assertEqual(made.undefined["maybe"], "w")


class Assembly(unittest.TestCase):
    def test_what_is_outside_of_functions_is_compared(self):
        code = 'asm(".text\\n.globl raw\\nraw: li 3,5\\n blr"); long raw(void);' + f" long f(void) {{ return raw(); }} {N}long g(void) {{ return 1; }}"
        self.assertEqual(made(code, code.replace("return 1", "return 2"))[0], ["replaced: g"])
        self.assertEqual(said(code, code.replace("return 1", "return 2").replace("li 3,5", "li 3,6")), (1, [
            "patch: .text: assembly outside of functions has changed there (raw): what is behind no `.type` can be neither "
            "replaced nor compared (leave it as it is)"]))
        table = 'asm(".section .mine,\\"a\\"; .long 7; .text");' + f"{N}long g(void) {{ return 1; }}"
        self.assertIn(".mine: assembly outside", said(table, table.replace("return 1", "return 2").replace(".long 7", ".long 8"))[1][0])
        number = 'asm(".globl num; .set num, 5"); extern char num[];' + f"{N}void *g(void) {{ return num; }}"
        self.assertEqual(made(number, number.replace("num, 5", "num, 6"))[0], ["replaced: g"])

    def test_its_data_is_not_copied(self):
        old = 'asm(".data\\n.globl cnt\\ncnt: .quad 5\\n%s.text"); extern long cnt;' + f"{N}long g(void) {{ return ++cnt; }}"
        self.assertEqual(said(old % "", old.replace("return", "return 1 +") % ""), (1, [
            "patch: cnt: data of assembly that replaced code uses, and that the patch would have a copy of "
            "(say `.type cnt, @object` and its `.size`)"]))
        said_so = ".type cnt, @object\\n.size cnt, 8\\n"
        self.assertEqual(made(old % said_so, old.replace("return", "return 1 +") % said_so)[0], ["replaced: g"])
        self.assertIn(("R_PPC64_ADDR64", ".klp.sym.old.cnt,0"), made.relocations)

    def test_a_function_that_does_not_say_its_size(self):
        old = """asm(".section .text.raw,\\"ax\\"\\n.globl raw\\n.type raw,@function\\nraw:\\n li 3,5\\n blr\\n.previous");
long raw(void); long f(long x) { return raw() + x; } %slong g(long x) { return x + 1; }""" % N
        status, lines = said(old, old.replace("li 3,5", "li 3,6").replace("x + 1", "x + 2"))
        self.assertEqual((status, lines), (1, ["patch: raw: has changed, and has no call site: it is notrace (patch its callers)"]))

    def test_a_section_behind_a_label(self):
        old = f"{N}long f(long x) {{ asm volatile(\"1: nop; 2: .pushsection .myents,\\\"aw\\\"; .quad 7; .popsection\"); return x + 1; }}"
        self.assertEqual(made(old, old.replace(".quad 7", ".quad 8"))[0], ["replaced: f"])

    def test_sections_that_are_left_by_previous(self):
        for into, back in ((".section", ".previous"), (".pushsection", ".popsection")):
            old = f"""static long total = 7;
long f(long x) {{ total += x; asm volatile("1: nop\\n\\t{into} __tab,\\"a\\"\\n\\t.long 1b - .\\n\\t{back}" ::: "memory"); return total * 3; }}
long g(long x) {{ asm volatile("1: nop; {into} __tab,\\"a\\"; .long 1b - ., 5; {back}"); return x; }}"""
            lines, names = made(old, old.replace("* 3", "* 5"))
            self.assertEqual(lines, ["replaced: f"])
            self.assertTrue({"f", ".klp.sym.old.total,0"} <= names)
            self.assertIn(("R_PPC64_REL32", ".text.f"), made.relocations)
            self.assertNotIn(("R_PPC64_REL32", ".text.g"), made.relocations)
            # What is in the other section belongs to its function.
            self.assertEqual(made(old, old.replace("1b - ., 5", "1b - ., 6"))[0], ["replaced: g"])

    def test_names_that_mean_something_to_the_assembler(self):
        old = f"static {N}long add(long a, long b) {{ asm(\"\"); return a + b; }} static long nop = 3, function, object, size;\n" \
              f"{N}long f(long x) {{ object++; size += x; return add(x, nop) + function; }} void set(long x) {{ nop = x; function = x; }} long get(void) {{ return size; }}"
        lines, names = made(old, old.replace("+ function", "- function"))
        self.assertEqual(lines, ["replaced: f"])
        self.assertTrue({f".klp.sym.old.{name},0" for name in ("add", "nop", "function", "object", "size")} <= names)

    def test_names_that_the_made_source_has(self):
        old = "".join(f"{N}long {name}(long x) {{ return x; }}\n" for name in ("patch", "funcs", "objs", "made_patch", "kfree"))
        self.assertEqual(len(made(old, old.replace("return x", "return x + 1"))[0]), 5)


class Addresses(unittest.TestCase):
    def test_that_of_a_changed_function_is_the_old_ones(self):
        old = f"static {N}long cb(long x) {{ asm(\"\"); return x; }} static long (*hook)(long) = cb;\n" \
              f"{N}long f(long x) {{ return hook(x); }} {N}void reset(void) {{ hook = cb; }} {N}long call(long x) {{ return cb(x) + 1; }}"
        lines, names = made(old, old.replace("return x; }", "return x + 1; }").replace("hook = cb; }", 'asm("nop"); hook = cb; }')
                            .replace("cb(x) + 1", "cb(x) + 2"))
        self.assertEqual(lines, ["replaced: cb", "replaced: reset", "replaced: call"])
        self.assertEqual({kind for kind, name in made.relocations if name == ".klp.sym.old.cb,0"}, {"R_PPC64_TOC16_HA", "R_PPC64_TOC16_LO"})
        self.assertEqual({kind for kind, name in made.relocations if name == "cb"}, {"R_PPC64_ADDR64", "R_PPC64_REL24"})

    def test_an_alias_is_refused(self):
        old = f"{N}long f(long x) {{ return x; }} long other(long x) __attribute__((alias(\"f\")));"
        self.assertEqual(said(old, old.replace("return x", "return x + 1")), (1, [
            "patch: f: has changed, and other is another name of it: one place cannot be replaced twice "
            "(make other a function that calls f)"]))

    def test_a_label_in_a_function_that_stays_is_refused(self):
        old = f"""extern char mark[]; long g(long x) {{ asm volatile(".globl mark\\nmark: nop"); return x; }}
{N}void *f(void) {{ return 0; }}"""
        self.assertEqual(said(old, old.replace("return 0", "return mark")), (1, [
            "patch: g: code that is replaced leads into its middle, and it is not replaced itself "
            "(change it too, or have no label's address there)"]))


class Sources(unittest.TestCase):
    """A module of several sources, of which one is given."""

    def test_what_another_source_has_is_borrowed(self):
        old = f"long helper(long); extern long shared; void kfree(void *); {N}long f(long x) {{ kfree(0); return helper(x) + ++shared; }}"
        lines, _ = made(old, old.replace("++shared", "2 * ++shared"), module="duo")
        self.assertEqual(lines, ["replaced: f", "of another source of duo: helper", "of another source of duo: shared"])
        self.assertTrue({"kfree", ".klp.sym.duo.helper,0", ".klp.sym.duo.shared,0"} <= made.undefined.keys())
        self.assertTrue({"helper", "shared"}.isdisjoint(made.undefined))

    def test_the_module_is_the_one_that_it_was(self):
        old = "#include <linux/module.h>\nnoinline long f(void) { return THIS_MODULE->name[0]; }"
        self.assertEqual(made(old, old.replace("name[0]", "name[1]"))[0], ["replaced: f"])
        self.assertIn(("R_PPC64_ADDR64", ".klp.sym.old.__this_module,0"), made.relocations)

    def test_what_is_weak_may_be_of_another(self):
        for old, line in (
                (f"long maybe(long) __attribute__((weak)); {N}long f(long x) {{ return maybe ? maybe(x) : x; }}",
                 "maybe: is weak, and whether another source of duo has it cannot be told (declare it without `weak`)"),
                (f"__attribute__((weak)) {N}long f(long x) {{ return x; }}",
                 "f: is weak, and another source of duo may have one that counts (patch that one's source, or say it is not weak)")):
            new = old.replace("x; }", "x + 1; }")
            self.assertEqual(made(old, new)[0], ["replaced: f"])
            with self.assertRaises(AssertionError) as seen:
                made(old, new, module="duo")
            self.assertEqual(str(seen.exception), f"patch: {line}\n")


class Labels(unittest.TestCase):
    def test_one_that_a_variable_may_keep_is_refused(self):
        old = "static void *at; long f(long x) { if (at) goto *at; at = &&one; return 1; one: at = &&two; return 20 + x; two: at = 0; return 30 + x; }"
        status, lines = said(old, old.replace("20 +", "120 +"))
        self.assertEqual((status, lines), (1, [
            "patch: f: takes the address of a label of its own: what has kept one has that of the old code (write it as a switch)"]))
        old = "long f(long x) { static void *to[] = {&&a, &&b}; if (x > 9) to[0] = to[1]; goto *to[x & 1]; a: return 1; b: return x; }"
        status, lines = said(old, old.replace("return 1", "return 2"))
        self.assertEqual((status, lines), (1, [
            "patch: f::to: has addresses of labels in code that is replaced, and may have changed (make it const)"]))

    def test_a_constant_table_of_them_comes_along(self):
        old = "long f(long x) { static void *const to[] = {&&a, &&b}; goto *to[x & 1]; a: return 1; b: return x; }"
        lines, names = made(old, old.replace("return 1", "return 2"))
        self.assertIn("replaced: f", lines)
        self.assertEqual([name for name in names if name.startswith(".klp")], [])


class Tangled(unittest.TestCase):
    def test_constants_that_lead_everywhere_are_compared(self):
        count = 40
        old = f"struct st {{ int v; const struct st *to[{count}]; }}; extern const struct st " \
              + ", ".join(f"s{i}" for i in range(count)) + ";\n" \
              + "".join("const struct st s%d = {%d, {%s}};\n" % (i, i, ", ".join(f"&s{j}" for j in range(count) if j != i)) for i in range(count)) \
              + "const struct st *cur = &s0; int f(int x) { cur = cur->to[x & 3]; return cur->v + 1; } int g(void) { return cur == &s3; }"
        self.assertEqual(made(old, old.replace("v + 1", "v + 2"))[0], ["replaced: f"])
        self.assertIn("cur: a variable's first value has changed", said(old, old.replace("s7 = {7", "s7 = {70"))[1][0])
        old = old.replace("cur = &s0; ", "cur; ").replace("x) { cur =", "x) { if (!cur) cur = &s0; cur =")
        lines, _ = made(old, old.replace("s7 = {7", "s7 = {70"))
        self.assertEqual(lines[:2] + lines[-1:], ["replaced: f", "replaced: g", "constant, as it is now: s9"])
        self.assertEqual(len(lines), 2 + count)


class Types(unittest.TestCase):
    """What the module that runs has made of its types."""

    def test_a_structure_behind_a_pointer(self):
        old = "struct dev { long a, b; }; static void *all; void keep(void *p) { all = p; }\n" \
              f"{N}long f(void) {{ struct dev *d = all; return d->b; }} {N}long g(void) {{ return ((struct dev *)all)->b; }}"
        line = "patch: struct dev: has another layout: whatever the module has made of it so far has the old one " \
               "(keep it, and tie what is new to it by a shadow variable)"
        cast = old[: old.index(N)] + old[old.rindex(N):]
        for source in (old, cast, cast.replace("struct dev {", "typedef struct {").replace("};", "} dev;").replace("(struct dev *)", "(dev *)")):
            for members in ("a, n, b", "b, a"):
                said_now = said(source, source.replace("long a, b", f"long {members}"))
                self.assertEqual(said_now[0], 1)
                self.assertIn(line, said_now[1])
        # Another name for a member is none, and one that is only passed by value lives as long as a call.
        renamed = old.replace("long a, b", "long a, c").replace("->b", "->c")
        self.assertEqual(said(old, renamed), (1, ["patch: nothing differs that runs: there is nothing to patch"]))
        old = f"struct two {{ long a, b; }}; {N}long f(long x) {{ struct two t = {{ x, x }}; asm(\"\" : \"+m\"(t)); return t.b; }}"
        self.assertEqual(made(old, old.replace("long a, b", "long a, n, b"))[0], ["replaced: f"])

    def test_an_enumerator_that_moves(self):
        old = f"enum state {{ A, B, COUNT }} s; {N}long f(void) {{ return s == B; }} {N}long g(void) {{ return COUNT; }}"
        self.assertEqual(said(old, old.replace("A, B", "A, X, B")), (1, [
            "patch: B: was 1, and is 2: variables have the old number by now (leave it, and put what is new behind the last)"]))
        self.assertEqual(made(old, old.replace("B, COUNT", "B, X, COUNT"))[0], ["replaced: g"])

    def test_an_init_that_does_not_say_so(self):
        old = "static int greet(void) { asm volatile(\"nop\"); return 0; } int init_module(void) __attribute__((alias(\"greet\")));"
        self.assertEqual(said(old, old.replace("return 0", "return 1")), (1, [
            "patch: greet: an init or exit function has changed, or what is inlined in it: it has run already, or runs when the module goes "
            "(do the same in the patch's callbacks, or give what it uses a new name)"]))

    def test_what_init_alone_had(self):
        old = f"__attribute__((section(\".init.data\"))) static long v = 4; long w; __attribute__((section(\".init.text\"))) int init_it(void) {{ w = ++v; return 0; }}" \
              f"{N}long f(long x) {{ return w + x; }}"
        self.assertEqual(said(old, old.replace("return w", "return v")), (1, [
            "patch: v: is for init alone, and goes when that is over; replaced code uses it (say it is not `__init` or `__initdata`, by a new name)"]))
        self.assertIn(".init_array: a constructor is new", said(old, old.replace("return w", "return 1 + w") +
                                                                "__attribute__((constructor)) void make(void) { w = 7; }")[1][0])

    def test_a_line_that_moves(self):
        old = "#include <linux/bug.h>\n" \
              "__attribute__((section(\".init.text\"))) int init_it(int x) { WARN_ON(x); return 0; }\n" \
              "noinline long f(long x) { WARN_ON(x); return x; } noinline long g(long x) { WARN_ON(x); return x; }"
        head, tail = old.rsplit("return x", 1)
        self.assertEqual(made(old, f"/*\n*/\n{head}return x + 1{tail}")[0], ["replaced: g"])


class Signatures(unittest.TestCase):
    DEV = "struct dev { long v; }; struct bus { long p[8], v; };\n" + N

    def refused(self, old, new):
        status, lines = said(old, new)
        self.assertEqual((status, len(lines)), (1, 1))
        return lines[0]

    def test_types_are_what_they_are_and_not_how_they_are_called(self):
        old = self.DEV + "long f(struct dev *dev) { return dev->v; }"
        self.assertIn("f: it was long int f(struct dev *), and is long int f(struct bus *)",
                      self.refused(old, old.replace("struct dev *dev", "struct bus *bus").replace("dev->", "1 + bus->")))
        self.assertEqual(made(old, old.replace("struct dev *dev", "struct dev *d").replace("dev->", "1 + d->"))[0], ["replaced: f"])
        old = f"typedef int num; {N}num f(num x) {{ return x + 1; }}"
        self.assertIn("f: it was int f(int), and is long int f(long int)", self.refused(old, old.replace("int num", "long num")))
        self.assertEqual(made(old, old.replace("num f(num x) { return x + 1", "int f(int x) { return x + 2"))[0], ["replaced: f"])

    def test_a_structure_that_grows_is_another_one(self):
        old = f"struct ret {{ long a[4]; }}; {N}struct ret f(long x) {{ return (struct ret) {{ {{ x }} }}; }}"
        self.assertIn("f: struct ret f(long int) has another layout", self.refused(old, old.replace("a[4]", "a[12]")))

    def test_functions_that_are_arguments(self):
        old = f"{N}long b(long (*f)(void), ...) {{ return f(); }}"
        self.assertIn("b: it was long int b(long int (*)(void), ...), and is long int b(long int (*)(int), ...)",
                      self.refused(old, old.replace("(*f)(void)", "(*f)(int)").replace("f()", "f(1)")))

    def test_a_local_one_that_only_new_callers_call_is_a_new_one(self):
        old = f"static {N}long h(long x) {{ asm(\"\"); return x; }} {N}long f(long x) {{ return h(x) + 1; }} long g(long x) {{ return %s; }}"
        new = old.replace("h(long x)", "h(long x, long y)").replace("return x", "return x + y").replace("h(x) + 1", "h(x, x) + 1")
        lines, names = made(old % "x", new % "x")
        self.assertEqual(lines, ["replaced: f", "new: h"])
        self.assertNotIn(".klp.sym.old.h,0", names)
        self.assertIn("h: it was", self.refused(old % "(long)h", new % "(long)h"))


class Words(unittest.TestCase):
    def test_files_that_are_none_of_its_own(self):
        for out, line in (("out", "out: a module's file is called *.ko (write OUT="), ("my fix.ko", "my fix.ko: a module's name has letters, digits and _")):
            status, lines = said(OLD, OLD, out)
            self.assertEqual((status, len(lines)), (1, 1))
            self.assertIn(line, lines[0])
        tool = os.path.join(HERE, "make.py")
        for old, line in (("x.rs", "is not a source in C (a patch in another language is written by hand)"), ("x.c", "there is no such file")):
            done = subprocess.run([sys.executable, "-B", tool, old, old, "out.ko"], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (1, f"patch: {old}: {line}\n"))

    def test_a_parameter_that_changes_is_refused(self):
        old = "#include <linux/module.h>\nMODULE_LICENSE(\"GPL\"); static int v = 3;\nmodule_param(v, int, 0444);\nlong f(long x) { return x + v; }"
        with self.assertRaises(AssertionError) as seen:
            made(old, old.replace("0444", "0644").replace("x + v", "x - v"))
        self.assertEqual(str(seen.exception), "patch: v: a parameter has changed: the module that runs has it as it was (leave it as it is)\n")

    def test_a_type_that_leads_to_itself_by_value(self):
        old = "struct state { struct state (*next)(struct state); }; static struct state stop(struct state s) { s.next = 0; return s; }" \
              "struct state cur = {stop}; long f(long x) { cur = cur.next ? cur.next(cur) : cur; return x + 1; }"
        self.assertEqual(made(old, old.replace("x + 1", "x + 2"))[0], ["replaced: f"])

    def test_an_export_that_is_new_is_refused(self):
        old = f"{N}long f(long x) {{ return x; }}"
        self.assertEqual(said(old, old.replace("return x", "return x + 1") + " const long __ksymtab_f = 1;"), (1, [
            "patch: f: an export is new: modules find what the module that runs has exported "
            "(leave it out, or export it from a patch written by hand)"]))


if __name__ == "__main__":
    unittest.main()
