"""What debug information says of an object file: what its functions take and return, and
which function a static variable belongs to.

It is read in readelf's words, which say where each attribute is; a variable's address is a
relocation at that place. Types are compared by what they are: typedefs, `const` and the
names of arguments are left out, structures behind pointers go by their names.
"""

import re
import subprocess

ENTRY = re.compile(r"^\s*<(\w+)><(\w+)>: Abbrev Number: \d+(?: \(DW_TAG_(\w+)\))?")
FIELD = re.compile(r"^\s*<(\w+)>\s+DW_AT_(\w+)\s*: ?(.*)$")
THROUGH = ("typedef", "const_type", "volatile_type", "restrict_type", "atomic_type")
DEEP = 8


class Entry:
    def __init__(self, tag, parent):
        self.tag, self.parent, self.fields, self.inside = tag, parent, {}, []


class Debug:
    """`functions`: name to (words, layout), `local`: those that are static. `statics`: label
    to (function, name), `lines`: label to the numbers of its file and line, and `variables`: label to layout.
    `layouts` and `numbers` are those of structures and enumerators. A word is for people, a layout to be compared."""

    def __init__(self, readelf, path, obj):
        said = subprocess.run([readelf, "--debug-dump=info", path], check=True, capture_output=True, text=True)
        self.entries, stack, last = {}, [], None
        for line in said.stdout.splitlines():
            if entry := ENTRY.match(line):
                level, at = int(entry[1]), int(entry[2], 16)
                last = None
                if entry[3]:
                    del stack[level:]
                    last = Entry(entry[3], stack[-1] if stack else None)
                    if stack:
                        stack[-1].inside.append(last)
                    stack.append(last)
                    self.entries[at] = last
            elif last and (field := FIELD.match(line)):
                last.fields[field[2]] = (int(field[1], 16), field[3].strip())
        self.functions, self.statics, self.variables, self.local, self.lines = {}, {}, {}, set(), {}
        places = {}
        for section, (name, _, _) in enumerate(obj.sections):
            if name == ".debug_info":
                places = {r[0]: obj.symbols[r[1] >> 32][0] for r in obj.relas.get(section, [])}
        self.layouts, self.numbers = {}, {}
        self.types()
        for entry in self.entries.values():
            if entry.tag == "subprogram" and {"low_pc", "ranges"} & entry.fields.keys():
                name = self.text(entry, "name")
                if not self.field(entry, "external"):
                    self.local.add(name)
                self.functions[name] = (self.function(entry, False, name), self.function(entry, True, ""))
            elif entry.tag == "variable" and "location" in entry.fields:
                label = places.get(entry.fields["location"][0] + 2)  # behind length and DW_OP_addr
                if not label:
                    continue
                self.variables[label] = self.type(self.of(entry, "type"), True, True).replace("unsigned", "signed")
                home = entry.parent
                while home and home.tag not in ("subprogram", "inlined_subroutine"):
                    home = home.parent
                if home:
                    self.lines[label] = tuple(int(self.field(entry, f"decl_{what}") or 0) for what in ("file", "line"))
                    self.statics[label] = (self.text(home, "name"), self.text(entry, "name"))

    def types(self):
        """Layouts of structures by name, but for those that are only passed by value, and each
        enumerator's number, but for the last one's: it may say how many there are."""
        pointed, valued, named = set(), set(), {}
        for entry in self.entries.values():
            kind = entry
            if entry.tag == "pointer_type" or (entry.tag in ("formal_parameter", "variable") and "type" in entry.fields):
                kind = self.of(entry, "type")
            while kind and kind.tag in THROUGH:
                if entry.tag == "typedef":
                    named.setdefault(id(self.of(kind, "type")), self.text(entry, "name"))
                kind = self.of(kind, "type")
            if kind and kind is not entry:
                (pointed if entry.tag == "pointer_type" else valued if entry.tag != "typedef" else set()).add(id(kind))
        for entry in self.entries.values():
            name = self.text(entry, "name") or named.get(id(entry), "")
            if entry.tag == "enumeration_type":
                inside = [(self.text(e, "name"), self.text(e, "const_value")) for e in entry.inside if e.tag == "enumerator"]
                self.numbers.update({item: (value, item == inside[-1][0]) for item, value in inside})
            elif entry.tag in ("structure_type", "union_type") and name and not self.field(entry, "declaration") \
                    and (id(entry) in pointed or id(entry) not in valued):
                kind = entry.tag.removesuffix("_type").replace("ure", "")
                named_at = {self.text(e, "name"): layout for e, layout in zip(entry.inside, self.members(entry, True)) if e.tag == "member"}
                self.layouts[f"{kind} {name}"] = (self.text(entry, "byte_size"), self.members(entry, False), named_at)

    def members(self, entry, named):
        return [":".join([self.text(e, "data_member_location"), self.text(e, "data_bit_offset"), self.text(e, "bit_size"),
                          self.type(self.of(e, "type"), True, named)]) for e in entry.inside if e.tag == "member"]

    def field(self, entry, name):
        """An attribute, or that of what the entry is an instance of."""
        for _ in range(DEEP):
            if name in entry.fields:
                return entry.fields[name][1]
            origin = next((entry.fields[by][1] for by in ("abstract_origin", "specification") if by in entry.fields), None)
            if not origin:
                return ""
            entry = self.entries[int(origin.strip("<>"), 16)]
        return ""

    def text(self, entry, name):
        return self.field(entry, name).split("): ")[-1].strip()

    def of(self, entry, name):
        found = re.match(r"<(\w+)>", self.field(entry, name))
        return self.entries[int(found[1], 16)] if found else None

    def function(self, entry, layout, name, pointed=False):
        while "abstract_origin" in entry.fields:
            entry = self.entries[int(entry.fields["abstract_origin"][1].strip("<>"), 16)]
        inside = [e for e in entry.inside if e.tag in ("formal_parameter", "unspecified_parameters")]
        words = [self.type(self.of(e, "type"), layout, pointed=pointed) if e.tag[0] == "f" else "..." for e in inside]
        return f"{self.type(self.of(entry, 'type'), layout, pointed=pointed)} {name}({', '.join(words) or 'void'})"

    def type(self, entry, layout, named=False, pointed=False):
        """A type in words, or its layout; with `named` that of a variable, whose members'
        names count."""
        alias = ""
        while entry and entry.tag in THROUGH:
            alias = self.text(entry, "name") if entry.tag == "typedef" else alias
            entry = self.of(entry, "type")
        if not entry:
            return "void"
        size = self.text(entry, "byte_size")
        if entry.tag == "base_type":
            kind = re.sub(r" ?char$", "", re.sub(r".*\((.*)\)", r"\1", self.text(entry, "encoding")))
            return f"{kind}{size}" if layout else self.text(entry, "name")
        if entry.tag == "pointer_type":
            target = self.of(entry, "type")
            star = "" if target and target.tag == "subroutine_type" else " *"
            return self.type(target, layout, named, True) + star
        if entry.tag == "subroutine_type":
            return self.function(entry, layout, "(*)", True)
        if entry.tag == "array_type":
            bounds = [self.text(e, "upper_bound") or self.text(e, "count") for e in entry.inside if e.tag == "subrange_type"]
            return self.type(self.of(entry, "type"), layout, named, pointed) + "".join(f"[{b}]" for b in bounds)
        kind = {"structure_type": "struct", "union_type": "union", "enumeration_type": "enum"}.get(entry.tag, entry.tag)
        name = self.text(entry, "name")
        shown = f"{kind} {name}" if name else alias or kind
        if not layout or (pointed and (name or alias)):
            return shown
        members = [":".join([self.text(e, "name") if named else "", self.text(e, "data_member_location"), self.text(e, "data_bit_offset"),
                             self.text(e, "bit_size"), self.type(self.of(e, "type"), True, named)])
                   for e in entry.inside if e.tag == "member"]
        return f"{shown}/{size}{{{' '.join(members)}}}"
