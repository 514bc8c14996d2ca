#!/usr/bin/env python3
"""Makes a live patch out of an old and a new source of a module.

    make.py OLD.c NEW.c OUT.ko          (make patch OLD=a.c NEW=b.c OUT=p.ko)

Both are compiled the way sample modules are, each function and each variable in a
section of its own. Functions that differ, and those that are new, go into the patch;
what they use of the rest is borrowed from the running module, by name
(`.klp.sym.MODULE.NAME,0`). The module is named like OLD, or like MODULE=.

    a.c -> a.o \\                         b.s: what is unchanged is cut out, and what is
                }  compare by section ->  borrowed gets its name and a nop behind each call
    b.c -> b.o /                              |
    b.c -> b.s ------------------------------/-> p.o, p.klp.c -> OUT

A constant that differs comes along, and the functions that use it are replaced.

What cannot be patched is said and why, with status 1, and nothing is made:
functions without call site, or with other arguments or another result than before,
variables whose size or first value differs, constants that others keep, changed init
functions.

From the environment: CC, CFLAGS (Makefile's), LINK (link.sh and its first argument).
"""

import os
import re
import shlex
import struct
import subprocess
import sys
import tempfile

HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SECTION = struct.Struct("<IIQQQQIIQQ")
SYMBOL = struct.Struct("<IBBHQQ")
RELA = struct.Struct("<QQq")
NEAR_CALL = {10, 14}  # R_PPC64_REL24, and its older sibling


class Object:
    """The functions and variables of a relocatable file, each by name."""

    def __init__(self, path):
        data = open(path, "rb").read()
        header = HEADER.unpack_from(data)
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
        self.relas = {}
        for name, fields, content in self.sections:
            if fields[1] == 4:
                self.relas[fields[7]] = [RELA.unpack_from(content, i) for i in range(0, len(content), 24)]

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

    def target(self, number, addend, within=()):
        """What a relocation means, in words that do not depend on the file; of a constant,
        what is in it. `within`: sections that it is in the middle of."""
        name, info, _, section, value, _ = self.symbols[number]
        whole = 0 < section < 0xFF00 and self.is_constant(section) and section not in within
        if info & 15 != 3 and not whole:
            return (plain(name), addend)
        home, fields, content = self.sections[section]
        at = value + addend
        if fields[2] & 0x20:  # strings: by their text
            return ("text", content[at : content.index(b"\0", at)])
        if home.startswith(".toc"):
            entry = [r for r in self.relas.get(section, []) if r[0] == at & ~7]
            return ("toc", [self.target(r[1] >> 32, r[2], within) for r in entry])
        if whole and fields[2] & 0x10:  # literals: each by itself
            at -= at % fields[9]
            return ("literal", content[at : at + fields[9]])
        if whole:
            inside = [(r[0], r[1] & 0xFFFFFFFF, self.target(r[1] >> 32, r[2], (*within, section)))
                      for r in self.relas.get(section, [])]
            return (plain(home), at, content, sorted(inside, key=repr))
        return (plain(home), at)

    def shape(self, symbol):
        """A function's or a variable's content, comparable between files."""
        name, info, other, section, value, size = symbol
        fields, content = self.sections[section][1:]
        body = content[value : value + size] if fields[1] != 8 else size
        inside = [r for r in self.relas.get(section, []) if value <= r[0] < value + max(size, 1)]
        relas = [(r[0] - value, r[1] & 0xFFFFFFFF, self.target(r[1] >> 32, r[2])) for r in inside]
        return (body, sorted(relas, key=repr), other)

    def calls(self, symbol):
        """Names that a function calls."""
        section, value, size = symbol[3:]
        relas = self.relas.get(section, [])
        return {self.symbols[r[1] >> 32][0] for r in relas if value <= r[0] < value + size and r[1] & 0xFFFFFFFF in NEAR_CALL}


def plain(name):
    """A name without the number that the compiler gives to a static of a function."""
    return re.sub(r"\.\d+$", "", name)


def is_init(obj, symbol):
    return obj.sections[symbol[3]][0].startswith((".init", ".exit"))


# A function that the compiler has made of another's body: f.part.0, f.isra.0, f.constprop.0
CLONE = re.compile(r"\.\d+$")
BOOKKEEPING = re.compile(r"^(__ksymtab|__kstrtab|__param|__modinfo|__UNIQUE|__mod_|___ksym|__crc|__addressable|__exitcall|__initcall)")


# -aux-info: /* file:line:NF */ static long f (int n, char *s); /* (n, s) int n; char *s; */
DEFINED = re.compile(r"/\* .*:[NO]F \*/ (?:static |extern )?(?:inline )?(.*); /\* \((.*?)\)")


def prototypes(lines):
    """What each function takes and returns: types by their names, arguments without."""
    found = {}
    for match in filter(None, map(DEFINED.match, lines)):
        name = re.search(r"(\w+) \(", match[1])
        words = {*re.findall(r"\w+", match[2]), "const", "volatile", "restrict"}
        text = re.sub(r"\b\w+\b ?", lambda word: "" if word[0].strip() in words else word[0], match[1])
        if name:
            found[name[1]] = re.sub(r" *([(),*]) *", r"\1", text).strip()
    return found


def signatures(was, now):
    """Why there can be no patch: functions that callers would call in the wrong way."""
    return [f"{name}: it was {was[name]}, and is {now[name]}: whoever calls it does so as before "
            "(give the new one another name, and change its callers)"
            for name in now if was.get(name, now[name]) != now[name]]


def compare(old, new):
    """Changed and new functions, and why there can be no patch."""
    faults, changed, fresh = [], [], []
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
        if is_init(new, now[name]):
            faults.append(f"{name}: an init or exit function has changed: it has run already, or runs "
                          "when the module goes (do the same in the patch's callbacks)")
        elif "_mcount" not in old.calls(was[name]):
            faults.append(f"{name}: has changed, and has no call site: it is notrace (patch its callers)")
    data_was = {plain(n): s for n, s in old.named(1).items() if not BOOKKEEPING.match(n)}
    for name, symbol in new.named(1).items():
        if BOOKKEEPING.match(name) or plain(name) not in data_was:
            continue
        before = data_was[plain(name)]
        if old.is_constant(before[3]) and new.is_constant(symbol[3]):
            if old.shape(before)[:2] != new.shape(symbol)[:2] and f"__ksymtab_{name}" in new.named(1):
                faults.append(f"{name}: an exported constant has changed: other modules keep the old one "
                              "(export the new one by another name)")
            continue  # it comes along, and whoever uses it differs
        if before[5] != symbol[5]:
            faults.append(f"{name}: a variable's size has changed, {before[5]} to {symbol[5]} bytes: whoever runs has "
                          "the old one (keep it, and tie what is new to it by a shadow variable)")
        elif old.shape(before)[:2] != new.shape(symbol)[:2]:
            faults.append(f"{name}: a variable's first value has changed: it has another one by now "
                          "(set it in the patch's post_patch callback)")
    for name in sorted({"init_module", "cleanup_module"} & (now.keys() - was.keys())):
        what = {"init_module": "module_init", "cleanup_module": "module_exit"}[name]
        faults.append(f"{what} is new: a module that is loaded has had its time for it (do the same in the patch's callbacks)")
    for name in sorted(new.named(1).keys() - old.named(1).keys()):
        if name.startswith("__param_") and not name.startswith("__param_str_"):
            faults.append(f"{name[8:]}: a parameter is new: the module that runs has none of that name "
                          "(make it a variable, or a parameter of a patch written by hand)")
    gone = [n for n in was if n not in now and n not in ("init_module", "cleanup_module")]
    if not changed and not faults:
        faults.append("nothing differs that runs: there is nothing to patch")
    return changed, fresh, gone, faults


def cut(source, keep, borrowed, module):
    """The new assembly text with only what the patch needs."""
    chunks, current = [], []
    for line in source.splitlines():
        if re.match(r"\s*\.(section|text|data|bss)\b", line):
            chunks.append(current)
            current = []
        current.append(line)
    chunks.append(current)
    out = []
    for chunk in chunks:
        first = chunk[0] if chunk else ""
        section = re.match(r'\s*\.section\s+"?([^",\s]+)', first)
        home = section[1] if section else ""
        labels = {m[1] for m in (re.match(r'"?([\w.$]+)"?:', line) for line in chunk) if m}
        defined = {m[1] for m in (re.match(r"\s*\.type\s+([\w.$]+),\s*@(?:function|object)", line) for line in chunk) if m} & labels
        strings = home.startswith((".rodata.str", ".rodata.cst", ".toc")) or re.match(r"\s*\.section\s+\"?\.toc", first)
        if defined and not defined & keep:
            continue
        if home.startswith((".modinfo", "__ksymtab", "___ksymtab", "__param", ".init", ".exit", "__kstrtab")):
            continue
        if home and not defined and not strings and not first.strip().startswith((".section\t.note", ".section .note")):
            if not home.startswith((".text", ".data", ".rodata", ".bss", ".sdata")):
                continue
        out += chunk
    text = []
    dropped = set(borrowed)
    for line in out:
        if re.match(r"\s*\.(set|globl|global|weak|local|comm|lcomm|size|type)\s+\"?(init_module|cleanup_module)\b", line):
            continue
        declared = re.match(r"\s*\.(globl|local|size|type|weak)\s+([\w.$]+)", line)
        if declared and declared[2] in dropped:
            continue
        call = re.match(r"\s*bl\s+([\w.$]+)\s*$", line)
        text.append(rename(line, borrowed, module))
        if call and call[1] in dropped:
            text.append("\tnop")
    # A nop that was there already stays behind ours, and does no harm.
    for name in sorted(keep):
        text.append(f"\t.globl {name}")
    return "\n".join(text) + "\n"


def rename(line, borrowed, module):
    def name(match):
        word = match[0]
        return f'".klp.sym.{module}.{word},0"' if word in borrowed else word
    if line.lstrip().startswith((".string", ".ascii", ".section", ".file", ".ident")):
        return line
    return re.sub(r"(?<![\w.$\"])[A-Za-z_][\w.$]*", name, line)


PATCH = """/* Made by tools/patch/make.py. */
#include <linux/livepatch.h>
#include <linux/module.h>

{declared}
static struct klp_func funcs[] = {{
{funcs}	{{}}
}};

static struct klp_object objs[] = {{
	{{ .name = "{module}", .funcs = funcs }},
	{{}}
}};

static struct klp_patch patch = {{
	.mod = THIS_MODULE,
	.objs = objs,
}};

static int __init patch_init(void)
{{
	return klp_enable_patch(&patch);
}}
module_init(patch_init);

static void __exit patch_exit(void)
{{
}}
module_exit(patch_exit);

MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("Made of {old} and {new}");
"""


def run(*words):
    done = subprocess.run(words)
    if done.returncode:
        sys.exit(f"patch: {os.path.basename(words[0])} failed")


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    old_c, new_c, out = sys.argv[1:]
    stem = lambda path: os.path.splitext(os.path.basename(path))[0].replace("-", "_")
    module = os.environ.get("MODULE") or stem(old_c)
    name = stem(out)
    if not os.path.isdir(os.path.dirname(os.path.abspath(out))):
        sys.exit(f"patch: {out}: there is no such folder (make it first)")
    if name == module.replace("-", "_"):
        sys.exit(f"patch: {out}: the patch would be called as the module that it is for (write OUT={name}_fix.ko)")
    cc = shlex.split(os.environ["CC"]) + shlex.split(os.environ["CFLAGS"])
    # A table of jumps leads into its function, which may be left out; so does a cold part.
    apart = ["-DMODULE", "-fno-jump-tables", "-fno-reorder-blocks-and-partition", "-ffunction-sections", "-fdata-sections", f'-DKBUILD_MODNAME="{module}"']
    with tempfile.TemporaryDirectory() as work:
        at = lambda file: os.path.join(work, file)
        here = lambda path: ["-I", os.path.dirname(os.path.abspath(path))]
        run(*cc, *apart, *here(old_c), "-aux-info", at("old.h"), "-c", "-o", at("old.o"), old_c)
        run(*cc, *apart, *here(old_c), "-aux-info", at("new.h"), "-c", "-o", at("new.o"), new_c)
        run(*cc, *apart, *here(old_c), "-S", "-o", at("new.s"), new_c)
        old, new = Object(at("old.o")), Object(at("new.o"))
        changed, fresh, gone, faults = compare(old, new)
        faults = signatures(*(prototypes(open(at(file))) for file in ("old.h", "new.h"))) or faults
        if faults:
            for fault in faults:
                print(f"patch: {fault}", file=sys.stderr)
            sys.exit(1)
        known = {**old.named(2), **old.named(1)}
        fresh_data = [n for n in new.named(1) if plain(n) not in map(plain, old.named(1)) and not BOOKKEEPING.match(n)]
        # Constants come along; variables and functions that are the same are borrowed.
        before = {plain(n): old.shape(s)[:2] for n, s in old.named(1).items()}
        differs = {n for n, s in new.named(1).items() if before.get(plain(n), s) != new.shape(s)[:2]}
        constant = {n for n, s in new.named(1).items() if not BOOKKEEPING.match(n)
                    and (not new.sections[s[3]][1][2] & 1 or (new.is_constant(s[3]) and n in differs))}
        keep = {*changed, *fresh, *fresh_data, *constant}
        borrowed = {n for n in {**new.named(2), **new.named(1)} if n not in keep and not BOOKKEEPING.match(n)}
        for label in sorted(n for n in borrowed if n not in known and "." in n):
            twin = [n for n in known if plain(n) == plain(label)]
            if len(twin) != 1:
                sys.exit(f"patch: {label}: which variable of the old source it is cannot be told (give it a name of its own)")
        text = cut(open(at("new.s")).read(), keep, borrowed, module)
        for label in borrowed:
            twin = [n for n in known if plain(n) == plain(label)]
            if label not in known and twin:
                text = text.replace(f".klp.sym.{module}.{label},0", f".klp.sym.{module}.{twin[0]},0")
        open(at("cut.s"), "w").write(text)
        run(*cc, "-c", "-o", at("cut.o"), at("cut.s"))
        declared = "".join(f"void {n}(void);\n" for n in changed)
        funcs = "".join(f'\t{{ .old_name = "{n}", .new_func = {n} }},\n' for n in changed)
        open(at("klp.c"), "w").write(PATCH.format(module=module, declared=declared, funcs=funcs,
                                                  old=os.path.basename(old_c), new=os.path.basename(new_c)))
        run(*cc, "-DMODULE", f'-DKBUILD_MODNAME="{name}"', "-c", "-o", at("klp.o"), at("klp.c"))
        run(*shlex.split(os.environ["LINK"]), at(f"{name}.ko"), at("klp.o"), at("cut.o"))
        os.replace(at(f"{name}.ko"), out) if os.stat(work).st_dev == os.stat(os.path.dirname(os.path.abspath(out))).st_dev \
            else run("cp", at(f"{name}.ko"), out)
    tables = sorted(n for n in constant & differs if n not in fresh_data)
    for label, names in (("replaced", changed), ("new", fresh + fresh_data), ("constant, as it is now", tables), ("gone, still there for old callers", gone)):
        for item in names:
            print(f"{label}: {item}")
    print(f"patch: {out}: load it with insmod {name}, before or after {module}", file=sys.stderr)


if __name__ == "__main__":
    main()
