"""Cuts what a patch needs out of the new object file.

    new.s --prepare--> new.o --Cut--> cut.o

`prepare` makes an assembly text say more: each name is global, so that relocations are by
name; what inline assembly puts into another section gets a section for its function's own;
behind each call within the file is a nop, as behind one that leaves it. `Cut` starts from
functions and follows what they lead to. What is borrowed becomes undefined, by the name
that the loader finds it by. Nothing of the text is looked at: a variable may be called
`add`, and a section may be left by `.previous`.
"""

import re
import struct

HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SECTION = struct.Struct("<IIQQQQIIQQ")
SYMBOL = struct.Struct("<IBBHQQ")
RELA = struct.Struct("<QQq")
NEAR_CALL = {10, 14}  # R_PPC64_REL24, and its older sibling
OWNED = "..of."  # between a section's name and that of the function whose assembly fills it
ADDRESSES = {38, 48, 49, 50, 51, 63, 64}  # R_PPC64_ADDR64, R_PPC64_TOC16 in its forms but TOC
KINDS = (1, 2)  # STT_OBJECT, STT_FUNC


def prepare(source):
    """The assembly text, for an object file that says more."""
    lines = source.splitlines()
    labels = {m[1] for m in (re.match(r"([\w.$]+):", line) for line in lines) if m}
    typed = {m[1] for m in (re.match(r"\s*\.type\s+([\w.$]+),\s*@(?:function|object)", line) for line in lines) if m}
    out, function, inline = [], "", False
    for line in lines:
        start = re.match(r"\s*\.type\s+([\w.$]+),\s*@function", line)
        if line.startswith("#"):
            inline = line.startswith("#APP")
        elif start and not inline:
            function = start[1]
        elif function and re.match(rf"\s*\.size\s+{re.escape(function)},", line):
            function = ""
        if inline and function:
            line = re.sub(r"((?:^|[;:])\s*\.(?:push)?section\s+)(\"?)([^\s,\";]+)",
                          lambda m: f"{m[1]}{m[2]}{m[3]}{OWNED}{function}", line)
        call = re.match(r"\s*bl\s+([\w.$]+)\s*$", line)
        out += [line, "\tnop"] if call and call[1] in labels else [line]
    out += [f"\t.globl {name}" for name in sorted(labels & typed) if not name.startswith(".")]
    return "\n".join(out) + "\n"


class Cut:
    """`home`: what an undefined name begins with that the loader looks up in the module;
    `changed`: functions that are replaced, `keep`: all that come along; `borrow(name)`: a
    name's counterpart in the old object, None if it comes along, "" if that is refused;
    `elsewhere(name, weak)`: whether another source of the module has what this one has not."""

    def __init__(self, new, home, changed, keep, borrow, elsewhere):
        self.elsewhere = elsewhere
        self.new, self.home, self.changed, self.keep, self.borrow = new, home, set(changed), set(keep), borrow
        self.named = [s for s in new.symbols if s[1] & 15 in KINDS and 0 < s[3] < 0xFF00]
        self.faults, self.sections, self.borrowed = [], set(), {}
        self.relas = {}
        waiting = list(self.keep)
        by_name = {s[0]: s for s in self.named}
        owned = {}
        for i, (name, _, _) in enumerate(new.sections):
            if OWNED in name and not name.startswith(".rela"):
                owned.setdefault(name.split(OWNED)[1], []).append(i)
        while waiting:
            item = waiting.pop()
            if isinstance(item, str):
                symbol = by_name[item]
                spans = [(symbol[3], symbol[4], symbol[4] + max(symbol[5], 1))] + [(i, 0, 1 << 62) for i in owned.get(item, [])]
            else:
                spans = [item]
            for section, low, high in spans:
                self.sections.add(section)
                for rela in new.relas.get(section, []):
                    if low <= rela[0] < high and (section, rela[0], rela[1]) not in self.relas:
                        self.relas[section, rela[0], rela[1]] = None
                        reached = self.follow(section, rela)
                        waiting += [reached] if reached else []

    def follow(self, section, rela):
        """Notes what a relocation becomes; what comes along because of it, if that is new."""
        at, info, addend = rela
        number, kind = info >> 32, info & 0xFFFFFFFF
        name, sort, _, home, value, _ = self.new.symbols[number]
        key = (section, at, info)
        if sort & 15 == 3 or (0 < home < 0xFF00 and sort & 15 not in KINDS):  # a section, a label
            inside = self.covering(home, value + addend)
            place = (("section", home), value + addend) if sort & 15 == 3 else (("label", number), addend)
            if inside and inside[0] in self.keep:
                keeps = self.new.sections[section][1][2] & 4 or self.new.sections[section][0].startswith(".toc")
                if inside[1] & 15 == 2 and keeps and kind in ADDRESSES and value + addend != inside[4]:
                    self.faults.append(f"{inside[0]}: takes the address of a label of its own: what has kept one has that of "
                                       "the old code (write it as a switch)")
                self.relas[key] = place
                return None
            if inside and inside[1] & 15 == 2:
                self.faults.append(f"{inside[0]}: code that is replaced leads into its middle, and it is not replaced itself "
                                   "(change it too, or have no label's address there)")
                return None
            if not inside:
                self.relas[key] = place
                if self.new.sections[home][1][2] & 1 and not self.new.sections[home][0].startswith((".toc", ".data.rel.ro")) \
                        and OWNED not in self.new.sections[home][0]:
                    self.faults.append(f"{name or self.new.sections[home][0]}: data of assembly that replaced code uses, and that the patch would "
                                       f"have a copy of (say `.type {name or 'NAME'}, @object` and its `.size`)")
                    return None
                start = value + addend
                if self.new.sections[home][0].startswith(".toc"):
                    return (home, start & ~7, (start & ~7) + 8)
                if self.new.sections[home][1][2] & 0x10:  # literals, which others share
                    return (home, start, start + 1)
                return (home, 0, 1 << 62)
            name, sort, value, addend = inside[0], inside[1], inside[4], value + addend - inside[4]
        elif not 0 < home < 0xFF00:
            if not home and name and self.elsewhere(name, sort >> 4 == 2):
                self.borrowed[name] = name
                self.relas[key] = (("borrowed", self.home % name, name), addend)
            else:
                self.relas[key] = (("undefined", number), addend)
            return None
        if name in self.changed and kind not in NEAR_CALL:
            # Who keeps a function's address keeps that of the old one, which is redirected.
            self.relas[key] = (("borrowed", self.home % name, name), addend)
            return None
        label = None if name in self.keep else self.borrow(name)
        if label:
            self.borrowed[name] = label
            self.relas[key] = (("borrowed", self.home % label, name), addend)
            return None
        known = name in self.keep
        self.keep.add(name)
        self.relas[key] = (("own", name), addend)
        return None if known or label == "" else name

    def covering(self, section, at):
        """The function or variable that a place in a section belongs to."""
        found = [s for s in self.named if s[3] == section and s[4] <= at < s[4] + max(s[5], 1)]
        return next((s for s in found if s[0] in self.keep), found[0] if found else None)

    def content(self, section):
        """What is in a section, without the functions and variables that stay behind."""
        content = bytearray(self.new.sections[section][2])
        kept = {s[4] for s in self.named if s[3] == section and s[0] in self.keep}
        for name, _, _, home, value, size in self.named:
            if home == section and value not in kept and content:
                content[value : value + size] = bytes(size)
        return bytes(content)

    def write(self, path):
        """The object file: sections, a table of relocations for each, symbols, names."""
        order = sorted(self.sections)
        index = {section: i + 1 for i, section in enumerate(order)}
        symbols = [SYMBOL.pack(0, 0, 0, 0, 0, 0)]
        strings, numbers = bytearray(b"\0"), {}

        def text(table, name):
            at = len(table)
            table.extend(name.encode() + b"\0")
            return at

        for section in order:
            numbers["section", section] = len(symbols)
            symbols.append(SYMBOL.pack(0, 3, 0, index[section], 0, 0))
        for target, _ in self.relas.values():
            if target[0] == "label" and target not in numbers:
                name, info, other, section, value, size = self.new.symbols[target[1]]
                numbers[target] = len(symbols)
                symbols.append(SYMBOL.pack(text(strings, name), info & 15, other, index[section], value, size))
        local = len(symbols)
        for name, info, other, section, value, size in self.new.symbols:
            if name in self.keep and info & 15 in KINDS and section in index:
                numbers["own", name] = len(symbols)
                symbols.append(SYMBOL.pack(text(strings, name), 1 << 4 | info & 15, other, index[section], value, size))
        for target, _ in self.relas.values():
            if target in numbers:
                continue
            if target[0] == "borrowed":
                numbers[target] = len(symbols)
                symbols.append(SYMBOL.pack(text(strings, target[1]), 1 << 4, 0, 0, 0, 0))
            elif target[0] == "undefined":
                name, info, other = self.new.symbols[target[1]][:3]
                numbers[target] = len(symbols)
                symbols.append(SYMBOL.pack(text(strings, name), info, other, 0, 0, 0))
        made = [(self.new.sections[s][0].split(OWNED)[0], self.new.sections[s][1], self.content(s), s) for s in order]
        count = len(made) + 1
        tables = {}
        for (section, at, info), (target, addend) in sorted(self.relas.items(), key=lambda item: item[0][:2]):
            tables.setdefault(section, bytearray()).extend(RELA.pack(at, numbers[target] << 32 | info & 0xFFFFFFFF, addend))
        names = bytearray(b"\0")
        headers, body = [bytes(64)], bytearray(64)

        def add(name, kind, flags, content, size=None, link=0, extra=0, align=1, each=0):
            body.extend(bytes(-len(body) % max(align, 1)))
            size = len(content) if size is None else size
            headers.append(SECTION.pack(text(names, name), kind, flags, 0, len(body), size, link, extra, align, each))
            body.extend(content)

        for name, fields, content, section in made:
            link = index.get(fields[6], 0) if fields[2] & 0x80 else 0  # SHF_LINK_ORDER
            add(name, fields[1], fields[2] & ~0x200 & ~(0 if link else 0x80), content, fields[5], link, 0, fields[8], fields[9])
        table = count + len(tables)
        for section, content in tables.items():
            add(".rela" + self.new.sections[section][0].split(OWNED)[0], 4, 0x40, content, None, table, index[section], 8, 24)
        add(".symtab", 2, 0, b"".join(symbols), None, table + 1, local, 8, 24)
        add(".strtab", 3, 0, bytes(strings))
        add(".note.GNU-stack", 1, 0, b"")
        text(names, ".shstrtab")
        at = len(names) - len(".shstrtab") - 1
        headers.append(SECTION.pack(at, 3, 0, 0, len(body), len(names), 0, 0, 1, 0))
        body.extend(names)
        body.extend(bytes(-len(body) % 8))
        head = list(HEADER.unpack(self.new.header))
        head[6], head[12], head[13] = len(body), len(headers), len(headers) - 1
        body[:64] = HEADER.pack(*head)
        with open(path, "wb") as file:
            file.write(bytes(body) + b"".join(headers))
