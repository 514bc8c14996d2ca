#!/usr/bin/env python3
"""Makes a live patch out of an old and a new source of a module.

    make.py OLD.c NEW.c OUT.ko          (make patch OLD=a.c NEW=b.c OUT=p.ko)

Both are compiled the way sample modules are, each function and each variable in a
section of its own. Functions that differ, and those that are new, go into the patch;
what they use of the rest is borrowed from the running module, by name
(`.klp.sym.MODULE.NAME,0`). The module is named like OLD, or like MODULE=.

    a.c -> a.s -> a.o \                        (a.s, b.s: prepare in cut.py)
                       }  compare by section
    b.c -> b.s -> b.o /         |
                 |              v
                 +----- cut: what differs and what it leads to -> p.o, p.klp.c -> OUT

A constant that differs comes along, and the functions that use it are replaced. A variable
inside of a function is known by both names, the function's and its own. A function's address
is that of the old one, wherever the patch keeps it: what is called so is redirected, and
after `livepatch disable` it is not.

What cannot be patched is said and why, with status 1, and nothing is made.

From the environment: CC, CFLAGS (Makefile's), LINK (link.sh and its first argument), EXPORTS
(that argument: who exports what).
"""

import difflib
import os
import re
import shlex
import struct
import subprocess
import sys
import tempfile

from cut import HEADER, KINDS, NEAR_CALL, OWNED, RELA, SECTION, SYMBOL, Cut, prepare
from dwarf import Debug


class Object:
    """The functions and variables of a relocatable file, each by name."""

    def __init__(self, path, readelf):
        data = open(path, "rb").read()
        header = HEADER.unpack_from(data)
        self.header = data[:64]
        raw = [SECTION.unpack_from(data, header[6] + i * 64) for i in range(header[12])]
        names = self.bytes(data, raw[header[13]])
        self.sections = []
        for fields in raw:
            name = names[fields[0] : names.index(b"\0", fields[0])].decode()
            self.sections.append((name, fields, self.bytes(data, fields)))
        table = next(i for i, fields in enumerate(raw) if fields[1] == 2)
        strings = self.bytes(data, raw[raw[table][6]])
        text = lambda at: strings[at : strings.index(b"\0", at)].decode()
        self.symbols = []
        for i in range(0, raw[table][5], 24):
            name, info, other, section, value, size = SYMBOL.unpack_from(self.sections[table][2], i)
            self.symbols.append((text(name), info, other, section, value, size))
        for i, (name, info, other, section, value, size) in enumerate(self.symbols):
            if info & 15 == 2 and not size and 0 < section < len(raw):  # assembly that does not say
                above = [s[4] for s in self.symbols if s[3] == section and s[4] > value and s[1] & 15 == 2]
                self.symbols[i] = (name, info, other, section, value, min([*above, raw[section][5]]) - value)
        self.relas = {}
        for name, fields, content in self.sections:
            if fields[1] == 4:
                self.relas[fields[7]] = [RELA.unpack_from(content, i) for i in range(0, len(content), 24)]

        self.debug = Debug(readelf, path, self)
        self.identities, self.unsure = {}, set()  # the latter: names of several variables, see `pair`
        self.classes = {}  # of constants, by section: see `classify`
        self.statics = {}  # FUNCTION::NAME to labels: more than one, if blocks have their own
        for label, home in self.debug.statics.items():
            if label in self.named(1):
                twins = self.statics.setdefault("::".join(home), [])
                self.identities[label] = "::".join(home) + f"#{len(twins)}" * bool(twins)
                twins.append(label)

    def identity(self, label):
        """A variable's name, with its function's if it is inside of one: the compiler numbers
        those as it meets them. None: it has a number, and nothing says whose it is."""
        return self.identities.get(label) or (None if NUMBERED.search(label) else label)

    @staticmethod
    def bytes(data, fields):
        return b"" if fields[1] == 8 else data[fields[4] : fields[4] + fields[5]]

    def named(self, kind):
        """Name to symbol, of functions (2) or variables (1)."""
        return {s[0]: s for s in self.symbols if s[1] & 15 == kind and 0 < s[3] < 0xFF00}

    def is_constant(self, section):
        """Whether nobody writes what is in a section, once it is linked."""
        name, fields, _ = self.sections[section]
        return fields[2] & 7 == 2 or name.startswith(".data.rel.ro")  # SHF_ALLOC alone

    def target(self, number, addend):
        """What a relocation means, in words that do not depend on the file; of a constant,
        what is in it."""
        name, info, _, section, value, _ = self.symbols[number]
        if section == 0xFFF1:
            return ("number", value + addend)
        whole = 0 < section < 0xFF00 and self.is_constant(section)
        if info & 15 != 3 and not whole and not name.startswith(".L"):
            return (self.identity(name) or name if info & 15 == 1 else name, addend)
        home, fields, content = self.sections[section]
        at = value + addend
        if fields[2] & 0x20:  # strings: by their text
            return ("text", content[at : content.index(b"\0", at)])
        if home.startswith(".toc"):
            entry = [r for r in self.relas.get(section, []) if r[0] == at & ~7]
            return ("toc", content[at & ~7 : (at & ~7) + 8], [self.target(r[1] >> 32, r[2]) for r in entry])
        if whole and fields[2] & 0x10:  # literals: each by itself
            at -= at % fields[9]
            return ("literal", content[at : at + fields[9]])
        if whole:
            return (plain(home), at, self.classes.get(section))
        return (plain(home), at)

    def constant(self, section):
        """What is in a section of constants, as far as `classes` tell those apart that it leads to."""
        inside = [(r[0], r[1] & 0xFFFFFFFF, self.target(r[1] >> 32, r[2])) for r in self.relas.get(section, [])]
        return repr((self.sections[section][2], self.sections[section][1][5], sorted(inside, key=repr)))

    def shape(self, symbol):
        """A function's or a variable's content, comparable between files."""
        name, info, other, section, value, size = symbol
        fields, content = self.sections[section][1:]
        body = content[value : value + size] if fields[1] != 8 else size
        inside = [r for r in self.relas.get(section, []) if value <= r[0] < value + max(size, 1)]
        relas = [(r[0] - value, r[1] & 0xFFFFFFFF, self.target(r[1] >> 32, r[2])) for r in inside]
        owned = [self.table(i) for i, (n, *_) in enumerate(self.sections)
                 if n.endswith(OWNED + name) and not n.startswith(".rela")]
        return (body, sorted(relas, key=repr) + owned, other)

    def table(self, section):
        """What a function's assembly puts into another section."""
        name, _, content = self.sections[section]
        relas = [(r[0], r[1] & 0xFFFFFFFF, self.target(r[1] >> 32, r[2])) for r in self.relas.get(section, [])]
        if name.startswith("__bug_table"):  # a line that moves is the same
            content = bytes(0 if i % 12 in (8, 9) else byte for i, byte in enumerate(content))
        return (name, content, sorted(relas, key=repr))

    def rest(self):
        """What is in sections behind no function's and no variable's name, by section: assembly
        outside of functions. Constants of the compiler's own are left to who uses them."""
        found = {}
        for i, (name, fields, content) in enumerate(self.sections):
            if not fields[2] & 2 or fields[2] & 0x10 or OWNED in name or name.startswith((".toc", ".rodata", ".data.rel.ro", ".eh_frame")):
                continue
            spans = sorted((s[4], s[4] + s[5]) for s in self.symbols if s[3] == i and s[1] & 15 in (1, 2))
            at, gaps = 0, []
            for low, high in [*spans, (fields[5], fields[5])]:
                gaps += [(at, low)] if low > at else []
                at = max(at, high)
            for low, high in gaps:
                names = [(s[0], s[4] - low) for s in self.symbols
                         if s[3] == i and s[1] & 15 == 0 and low <= s[4] < high and not s[0].startswith(".L")]
                relas = [(r[0] - low, r[1] & 0xFFFFFFFF, self.target(r[1] >> 32, r[2])) for r in self.relas.get(i, []) if low <= r[0] < high]
                body = content[low:high] if content else bytes(high - low)
                if names or relas or any(word not in FILLING for word in struct.unpack(f"<{len(body) // 4}I", body[: len(body) & ~3])) \
                        or body[len(body) & ~3 :].strip(b"\0"):
                    found.setdefault(name, []).append((body, sorted(names), sorted(relas, key=repr)))
        return found

    def labels(self, symbol):
        """Whether a variable has addresses from the middle of functions."""
        _, _, _, section, value, size = symbol
        targets = [(self.symbols[r[1] >> 32], r[2]) for r in self.relas.get(section, []) if value <= r[0] < value + size]
        code = [(s, s[4] + addend) for s, addend in targets if 0 < s[3] < 0xFF00 and self.sections[s[3]][1][2] & 4]
        return any(at not in {f[4] for f in self.symbols if f[1] & 15 == 2 and f[3] == s[3]} for s, at in code)

    def users(self, name):
        """Functions and variables that call a function or have its address, and whether all
        of them call it."""
        found, called = set(), True
        for section, relas in self.relas.items():
            for at, info, _ in relas:
                if self.symbols[info >> 32][0] == name and not self.sections[section][0].startswith(".debug"):
                    found |= {s[0] for s in self.symbols if s[3] == section and s[1] & 15 in (1, 2) and s[4] <= at < s[4] + s[5]} or {""}
                    called &= info & 0xFFFFFFFF in NEAR_CALL
        return found - {name}, called

    def aliases(self, name):
        """Other names of a function."""
        symbol = self.named(2).get(name)
        return [n for n, s in self.named(2).items() if symbol and s[3:5] == symbol[3:5] and n not in (name, "init_module", "cleanup_module")]

    def calls(self, symbol):
        """Names that a function calls."""
        section, value, size = symbol[3:]
        relas = self.relas.get(section, [])
        return {self.symbols[r[1] >> 32][0] for r in relas if value <= r[0] < value + size and r[1] & 0xFFFFFFFF in NEAR_CALL}


def classify(*objects):
    """Numbers constants, the same number for the same content, also where they lead to each
    other in circles: all are one at first, and are told apart until that brings no more."""
    count = -1
    while True:
        found = {}
        made = [{i: found.setdefault(obj.constant(i), len(found)) for i in range(len(obj.sections)) if obj.is_constant(i)}
                for obj in objects]
        for obj, classes in zip(objects, made):
            obj.classes = classes
        if len(found) == count:
            return
        count = len(found)


def pair(old, new, sources):
    """Says which is which of several variables that have one name in one function (two
    `pr_info_once`): those on lines that are the same in both sources are the same, and so is the
    only one on the lines that took the place of another's. `sources`: each one's path, and the
    paths of its files by number."""
    texts, pairs = {}, {}

    def text(path):
        if path not in texts:
            with open(path, encoding="utf-8", errors="replace") as file:
                texts[path] = [line.strip() for line in file]
        return texts[path]

    def places(obj, labels, source):
        main, files = source
        found = {}
        for label in labels:
            path, line = files.get(obj.debug.lines[label][0], main), obj.debug.lines[label][1]
            found.setdefault((path, line), []).append(label)
        return found

    for base in old.statics.keys() & new.statics.keys():
        labels = old.statics[base], new.statics[base]
        if max(map(len, labels)) == 1:
            continue
        were, are = places(old, labels[0], sources[0]), places(new, labels[1], sources[1])
        paths = {path for path, _ in were}, {path for path, _ in are}
        known = {}
        if any(len(paths[i]) > 1 for i in (0, 1)) or max(map(len, [*were.values(), *are.values()])) > 1:
            old.unsure.add(base)
            continue
        path = paths[0].pop(), paths[1].pop()
        if path not in pairs:
            pairs[path] = difflib.SequenceMatcher(None, text(path[0]), text(path[1]), autojunk=False).get_opcodes()
        said = [[text(path[i])[line - 1] for _, line in lines] for i, lines in enumerate((were, are))]
        again = {line for line in {*said[0], *said[1]} if said[0].count(line) != said[1].count(line) and max(map(lambda s: s.count(line), said)) > 1}
        for kind, low, high, start, end in pairs[path]:
            first = [line for _, line in were if low < line <= high]
            second = [line for _, line in are if start < line <= end]
            if kind == "equal":
                known.update({start + line - low: line for line in first})
            elif len(first) == len(second) == 1:
                known[second[0]] = first[0]
        left = [line for _, line in were if line not in known.values()], [line for _, line in are if line not in known]
        for line in list(left[1]):  # moved as they are
            same = [other for other in left[0] if text(path[0])[other - 1] == text(path[1])[line - 1]]
            if len(same) == 1 and said[1].count(text(path[1])[line - 1]) == 1:
                known[line] = same[0]
                left[0].remove(same[0])
                left[1].remove(line)
        if again or (left[0] and left[1]):
            old.unsure.add(base)
            continue
        count = len(were)
        for i, line in enumerate(sorted(line for _, line in were)):
            old.identities[were[path[0], line][0]] = base + f"#{i}" * bool(i)
        for line in sorted(line for _, line in are):
            label = are[path[1], line][0]
            if line in known:
                new.identities[label] = old.identities[were[path[0], known[line]][0]]
            else:
                new.identities[label] = f"{base}#{count}"
                count += 1
    new.unsure = old.unsure


def plain(name):
    """A name without the number that the compiler gives to a static of a function."""
    return re.sub(r"\.\d+$", "", name)


FILLING = (0, 0x60000000, 0x60420000)  # what the assembler has between functions: two nops
NUMBERED = re.compile(r"\.\d+$")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def is_init(obj, symbol):
    return obj.sections[symbol[3]][0].startswith((".init", ".exit"))


# A function that the compiler has made of another's body: f.part.0, f.isra.0, f.constprop.0
CLONE = re.compile(r"\.\d+$")
BOOKKEEPING = re.compile(r"^(__ksymtab|__kstrtab|__param|__modinfo|__UNIQUE|__mod_|___ksym|__crc|__addressable|__exitcall|__initcall)")


def signatures(old, new, changed, fresh):
    """Why there can be no patch: functions that callers would call in the wrong way. One that
    only new callers call, and that is local, is a new function: the old one stays as it was."""
    faults = []
    was, now = old.debug.functions, new.debug.functions
    for name in [n for n in new.named(2) if n in old.named(2) and n in was and n in now and was[n][1] != now[n][1]]:
        users, called = new.users(name)
        if name in changed and name in new.debug.local and called and users <= {*changed, *fresh}:
            changed.remove(name)
            fresh.append(name)
        elif was[name][0] == now[name][0]:
            faults.append(f"{name}: {now[name][0]} has another layout of what it passes: whoever calls it does so as before "
                          "(give the new one another name, and change its callers)")
        else:
            faults.append(f"{name}: it was {was[name][0]}, and is {now[name][0]}: whoever calls it does so as before "
                          "(give the new one another name, and change its callers)")
    return faults


def compare(old, new):
    """Changed and new functions, and why there can be no patch."""
    faults, changed, fresh = [], [], []
    classify(old, new)
    was, now = old.named(2), new.named(2)
    for name, symbol in now.items():
        if name in ("init_module", "cleanup_module"):
            continue
        if name not in was:
            if not is_init(new, symbol):
                fresh.append(name)
        elif old.shape(was[name]) != new.shape(symbol):
            changed.append(name)
    # A part or a clone takes what its callers of the same source pass: they go together.
    for clone in filter(CLONE.search, changed):
        changed += [n for n, s in now.items() if clone in new.calls(s) and n in was and n not in changed
                    and n not in ("init_module", "cleanup_module") and not new.sections[s[3]][0].startswith(".init")]
    fresh += filter(CLONE.search, changed)
    changed = [name for name in changed if not CLONE.search(name)]
    for name in list(changed):
        if is_init(new, now[name]) or any(now[n][3:5] == now[name][3:5] for n in {"init_module"} & now.keys()):
            faults.append(f"{name}: an init or exit function has changed, or what is inlined in it: it has run already, or runs "
                          "when the module goes (do the same in the patch's callbacks, or give what it uses a new name)")
        elif "_mcount" not in old.calls(was[name]):
            faults.append(f"{name}: has changed, and has no call site: it is notrace (patch its callers)")
        for alias in sorted({*old.aliases(name), *new.aliases(name)}):
            if alias not in changed or changed.index(alias) > changed.index(name):
                faults.append(f"{name}: has changed, and {alias} is another name of it: one place cannot be replaced twice "
                              f"(make {alias} a function that calls {name})")
    data_was = {old.identity(n): s for n, s in old.named(1).items() if old.identity(n) and not BOOKKEEPING.match(n)}
    for name, symbol in new.named(1).items():
        known = new.identity(name)
        if BOOKKEEPING.match(name) or known not in data_was or known.split("#")[0] in old.unsure:
            continue
        before = data_was[known]
        constant = old.is_constant(before[3]), new.is_constant(symbol[3])
        if all(constant):
            if old.shape(before)[:2] != new.shape(symbol)[:2] and f"__ksymtab_{name}" in new.named(1):
                faults.append(f"{name}: an exported constant has changed: other modules keep the old one "
                              "(export the new one by another name)")
            continue  # it comes along, and whoever uses it differs
        if constant[0]:
            faults.append(f"{known}: nothing wrote it, and something does now: where it lies nothing can be written "
                          "(give the variable a new name)")
        elif constant[1]:
            faults.append(f"{known}: it was written, and is a constant now: it may have another value by now "
                          "(leave it a variable, or give the constant a new name)")
        elif before[5] != symbol[5]:
            faults.append(f"{known}: a variable's size has changed, {before[5]} to {symbol[5]} bytes: whoever runs has "
                          "the old one (keep it, and tie what is new to it by a shadow variable)")
        elif old.debug.variables.get(before[0]) != new.debug.variables.get(name):
            faults.append(f"{known}: a variable's type has changed: whoever runs has the old one "
                          "(keep it, and tie what is new to it by a shadow variable)")
        elif old.shape(before)[:2] != new.shape(symbol)[:2]:
            faults.append(f"{known}: a variable's first value has changed: it has another one by now "
                          "(set it in the patch's post_patch callback)")
    for name in sorted(old.debug.layouts.keys() & new.debug.layouts.keys()):
        (size, plainly, members), (size_now, plainly_now, members_now) = old.debug.layouts[name], new.debug.layouts[name]
        if size != size_now or plainly != plainly_now or any(members[n] != members_now[n] for n in members.keys() & members_now.keys() if n):
            faults.append(f"{name}: has another layout: whatever the module has made of it so far has the old one (keep it, and tie "
                          "what is new to it by a shadow variable)")
    for name in sorted(old.debug.numbers.keys() & new.debug.numbers.keys()):
        (number, last), (number_now, last_now) = old.debug.numbers[name], new.debug.numbers[name]
        if number != number_now and not (last and last_now):
            faults.append(f"{name}: was {number}, and is {number_now}: variables have the old number by now "
                          "(leave it, and put what is new behind the last)")
    for name in sorted({"init_module", "cleanup_module"} & (now.keys() - was.keys())):
        what = {"init_module": "module_init", "cleanup_module": "module_exit"}[name]
        faults.append(f"{what} is new: a module that is loaded has had its time for it (do the same in the patch's callbacks)")
    for name in sorted(n for n in new.named(1).keys() & old.named(1).keys() if n.startswith("__param_")):
        if old.shape(old.named(1)[name])[:2] != new.shape(new.named(1)[name])[:2]:
            faults.append(f"{name.removeprefix('__param_').removeprefix('str_')}: a parameter has changed: the module that runs has it "
                          "as it was (leave it as it is)")
    for name in sorted(new.named(1).keys() - old.named(1).keys()):
        if name.startswith("__param_") and not name.startswith("__param_str_"):
            faults.append(f"{name[8:]}: a parameter is new: the module that runs has none of that name "
                          "(make it a variable, or a parameter of a patch written by hand)")
        if name.startswith("__ksymtab_"):
            faults.append(f"{name[10:]}: an export is new: modules find what the module that runs has exported "
                          "(leave it out, or export it from a patch written by hand)")
    was, now = old.rest(), new.rest()
    for name in sorted(was.keys() | now.keys()):
        if was.get(name) != now.get(name) and name.startswith((".init_array", ".fini_array", ".ctors", ".dtors")):
            faults.append(f"{name}: a constructor is new, or gone: the module that runs has had its time for it "
                          "(do the same in the patch's callbacks)")
        elif was.get(name) != now.get(name):
            names = dict.fromkeys(n for _, names, _ in now.get(name, was.get(name)) for n, _ in names)
            faults.append(f"{name}: assembly outside of functions has changed there{' (' * bool(names)}{', '.join(names)}{')' * bool(names)}: "
                          "what is behind no `.type` can be neither replaced nor compared (leave it as it is)")
    faults = signatures(old, new, changed, fresh) or faults
    gone = [n for n in old.named(2) if n not in new.named(2) and n not in ("init_module", "cleanup_module")]
    if not changed and not faults:
        faults.append("nothing differs that runs: there is nothing to patch")
    return changed, fresh, gone, faults


def borrower(old, new, faults):
    """Says what of the old module a name in the patch is: a name there, None if it comes along,
    or "" if that cannot be told."""
    here = {old.identity(n): s for n, s in old.named(1).items() if old.identity(n)}

    def borrow(name):
        symbol = new.named(1).get(name)
        there = new.named(2).get(name) if not symbol and name in old.named(2) else symbol
        if there and is_init(new, there) and not (symbol and new.is_constant(there[3])):
            faults.append(f"{name}: is for init alone, and goes when that is over; replaced code uses it (say it is not `__init` or "
                          "`__initdata`, by a new name)")
            return ""
        if not symbol:
            return name if name in old.named(2) else None
        known, constant = new.identity(name), new.is_constant(symbol[3])
        base = (known or "").split("#")[0]
        labels = new.labels(symbol)
        if BOOKKEEPING.match(name) or (constant and (labels or not known or base in old.unsure)):
            return None
        if labels:
            faults.append(f"{known}: has addresses of labels in code that is replaced, and may have changed (make it const)")
            return ""
        if base in old.unsure:
            function, label = base.split("::")
            faults.append(f"{function}: has several variables {label}, and lines with them have changed: which of them is which of the "
                          "old source cannot be told (give each a name of its own, or leave those lines as they are)")
            return ""
        if not known and any(plain(n) == plain(name) for n in old.named(1)):
            faults.append(f"{name}: which variable of the old source it is cannot be told (give it a name of its own)")
            return ""
        before = here.get(known)
        if not before or (constant and old.shape(before)[:2] != new.shape(symbol)[:2]):
            return None
        return before[0]

    return borrow


def foreigner(module, single, faults):
    """Says whether what a source only declares is of another source of the module: what neither
    the kernel nor another module exports. `single`: it seems to be the only source."""
    with open(os.path.join(ROOT, "src/compat/exports.rs"), encoding="utf-8") as text:
        exported = set(re.findall(r'"([A-Za-z_]\w*)"', text.read()))
    for path in filter(None, [os.environ.get("EXPORTS")]):
        with open(path, encoding="utf-8") as text:
            lines = [line.split() for line in text]
        exported |= {name for name, owner in lines if owner != module}
    linked = re.compile(r"\..*|_(save|rest)(gpr|fpr|vr)[01]?_\d+$")  # ld has these

    def elsewhere(name, weak):
        if name in exported or linked.match(name):
            return False
        if weak and not single:
            faults.append(f"{name}: is weak, and whether another source of {module} has it cannot be told (declare it without `weak`)")
        return not weak

    return elsewhere


PATCH = """/* Made by tools/patch/make.py. */
#include <linux/livepatch.h>
#include <linux/module.h>

{declared}
static struct klp_func made_funcs[] = {{
{funcs}	{{}}
}};

static struct klp_object made_objs[] = {{
	{{ .name = "{module}", .funcs = made_funcs }},
	{{}}
}};

static struct klp_patch made_patch = {{
	.mod = THIS_MODULE,
	.objs = made_objs,
}};

static int __init made_init(void)
{{
	return klp_enable_patch(&made_patch);
}}
module_init(made_init);

static void __exit made_exit(void)
{{
}}
module_exit(made_exit);

MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("Made of {old} and {new}");
"""


def run(*words):
    done = subprocess.run(words)
    if done.returncode:
        sys.exit(f"patch: {os.path.basename(words[0])} failed")


def refuse(*faults):
    for fault in dict.fromkeys(faults):
        print(f"patch: {fault}", file=sys.stderr)
    sys.exit(1)


def words(old_c, new_c, out):
    """The module's and the patch's name, if a patch can be called and made so."""
    for path in (old_c, new_c):
        if not path.endswith(".c"):
            refuse(f"{path}: is not a source in C (a patch in another language is written by hand)")
        if not os.path.isfile(path):
            refuse(f"{path}: there is no such file")
    if not os.path.isdir(os.path.dirname(os.path.abspath(out))):
        refuse(f"{out}: there is no such folder (make it first)")
    stem = os.path.splitext(os.path.basename(out))[0]
    if not out.endswith(".ko"):
        refuse(f"{out}: a module's file is called *.ko (write OUT={out}.ko)")
    module = os.environ.get("MODULE") or os.path.splitext(os.path.basename(old_c))[0]
    for name, path, remedy in ((stem, out, "OUT="), (module, old_c, "MODULE=")):
        if not re.fullmatch(r"[\w-]+", name, re.ASCII):
            refuse(f"{path}: a module's name has letters, digits and _, no more (write {remedy}"
                   f"{re.sub(r'[^A-Za-z0-9_]', '_', name)}{'.ko' if path == out else ''})")
    module, name = module.replace("-", "_"), stem.replace("-", "_")
    if name == module:
        refuse(f"{out}: the patch would be called as the module that it is for (write OUT={name}_fix.ko)")
    return module, name


def stem(path):
    return os.path.splitext(os.path.basename(path))[0].replace("-", "_")


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    old_c, new_c, out = sys.argv[1:]
    module, name = words(old_c, new_c, out)
    cc = shlex.split(os.environ["CC"]) + shlex.split(os.environ["CFLAGS"])
    readelf = subprocess.run([*cc, "-print-prog-name=readelf"], check=True, capture_output=True, text=True).stdout.strip()
    # A table of jumps leads into its function, which may be left out; so does a cold part.
    # An anchor stands for several variables of one section.
    apart = ["-DMODULE", "-fno-jump-tables", "-fno-reorder-blocks-and-partition", "-fno-section-anchors", "-ffunction-sections",
             "-fdata-sections", "-gdwarf-4", "-fno-eliminate-unused-debug-types", f'-DKBUILD_MODNAME="{module}"']
    with tempfile.TemporaryDirectory() as work:
        at = lambda file: os.path.join(work, file)

        def compiled(source, name):
            # __FILE__ is the old one's in both.
            run(*cc, *apart, f"-fmacro-prefix-map={source}={old_c}", "-I", os.path.dirname(os.path.abspath(old_c)), "-S", "-o", at(f"{name}.c.s"), source)
            with open(at(f"{name}.c.s"), encoding="utf-8") as text, open(at(f"{name}.s"), "w", encoding="utf-8") as made:
                made.write(prepare(text.read()))
            run(*cc, "-c", "-o", at(f"{name}.o"), at(f"{name}.s"))
            with open(at(f"{name}.c.s"), encoding="utf-8") as text:
                files = {int(m[1]): m[2] for m in re.finditer(r'^\t\.file (\d+) "(.*)"$', text.read(), re.M)}
            return Object(at(f"{name}.o"), readelf), (source, files)

        (old, old_files), (new, new_files) = compiled(old_c, "old"), compiled(new_c, "new")
        pair(old, new, (old_files, new_files))
        changed, fresh, gone, faults = compare(old, new)
        single = module == stem(old_c)
        faults += [f"{name}: is weak, and another source of {module} may have one that counts (patch that one's source, or say it is not weak)"
                   for name in changed if not single and new.named(2)[name][1] >> 4 == 2]
        if faults:
            refuse(*faults)
        cut = Cut(new, f".klp.sym.{module}.%s,0", changed, [*changed, *fresh], borrower(old, new, faults),
                  foreigner(module, single, faults))
        if faults or cut.faults:
            refuse(*faults, *cut.faults)
        cut.write(at("cut.o"))
        declared = "".join(f'extern char made_{i}[] asm("{n}");\n' for i, n in enumerate(changed))
        funcs = "".join(f'\t{{ .old_name = "{n}", .new_func = made_{i} }},\n' for i, n in enumerate(changed))
        with open(at("klp.c"), "w", encoding="utf-8") as made:
            made.write(PATCH.format(module=module, declared=declared, funcs=funcs,
                                    old=os.path.basename(old_c), new=os.path.basename(new_c)))
        run(*cc, "-DMODULE", f'-DKBUILD_MODNAME="{name}"', "-c", "-o", at("klp.o"), at("klp.c"))
        run(*shlex.split(os.environ["LINK"]), at(f"{name}.ko"), at("klp.o"), at("cut.o"))
        os.replace(at(f"{name}.ko"), out) if os.stat(work).st_dev == os.stat(os.path.dirname(os.path.abspath(out))).st_dev \
            else run("cp", at(f"{name}.ko"), out)
    known = {old.identity(n) for n in old.named(1)}
    data = sorted(n for n in cut.keep if n in new.named(1) and new.identity(n))
    fresh_data = [new.identity(n) for n in data if new.identity(n) not in known]
    tables = [new.identity(n) for n in data if new.identity(n) in known]
    others = [name for name in cut.borrowed if name != "__this_module"
              and not any(name in obj.named(kind) for obj in (old, new) for kind in KINDS)]
    for label, names in (("replaced", changed), ("new", fresh + fresh_data), ("constant, as it is now", tables), (f"of another source of {module}", others),
                         ("gone, still there for old callers", gone)):
        for item in names:
            print(f"{label}: {item.split('#')[0]}")
    print(f"patch: {out}: load it with insmod {name}, before or after {module}", file=sys.stderr)


if __name__ == "__main__":
    main()
