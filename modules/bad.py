"""Good modules with one fault each: bad.py GOOD_DIR BAD_DIR > LIST.

A fault is one line in `faults` below: its name, what is wrong, the good module
that it starts from, and what to change. Offsets are those of ELF64; every field
is little-endian.
"""

import struct
import sys

SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_NOBITS = 2, 3, 4, 8
ADDR64, REL24, TOC16_HA, TOC16_LO_DS = 38, 10, 50, 64
U64 = (1 << 64) - 1


class Elf:
    """A module's bytes, and where its fields are."""

    # Field: offset in its structure, struct format.
    HEADER = {"magic": (0, "B"), "class": (4, "B"), "data": (5, "B"), "ident_version": (6, "B"),
              "type": (16, "H"), "machine": (18, "H"), "version": (20, "I"),
              "shoff": (40, "Q"), "flags": (48, "I"), "ehsize": (52, "H"),
              "shentsize": (58, "H"), "shnum": (60, "H"), "shstrndx": (62, "H")}
    SECTION = {"name": (0, "I"), "type": (4, "I"), "flags": (8, "Q"), "offset": (24, "Q"),
               "size": (32, "Q"), "link": (40, "I"), "info": (44, "I"), "align": (48, "Q"),
               "entsize": (56, "Q")}
    SYMBOL = {"name": (0, "I"), "info": (4, "B"), "other": (5, "B"), "shndx": (6, "H"),
              "value": (8, "Q"), "size": (16, "Q")}
    RELA = {"offset": (0, "Q"), "type": (8, "I"), "symbol": (12, "I"), "addend": (16, "q")}

    def __init__(self, data):
        self.data = bytearray(data)
        # Where the section headers are in truth, whatever the header says later.
        self.shoff = self.get(self.HEADER, 0, "shoff")
        self.shnum = self.get(self.HEADER, 0, "shnum")
        self.shstrndx = self.get(self.HEADER, 0, "shstrndx")

    def get(self, kind, at, field):
        offset, form = kind[field]
        return struct.unpack_from("<" + form, self.data, at + offset)[0]

    def set(self, kind, at, **fields):
        for field, value in fields.items():
            offset, form = kind[field]
            struct.pack_into("<" + form, self.data, at + offset, value)
        return self

    def header(self, **fields):
        return self.set(self.HEADER, 0, **fields)

    def text(self, table, offset):
        start = self.get(self.SECTION, table, "offset") + offset
        return self.data[start:self.data.index(0, start)].decode()

    def at(self, name):
        """Where the header of the section `name` is in the file."""
        names = self.shoff + 64 * self.shstrndx
        for i in range(self.shnum):
            at = self.shoff + 64 * i
            if self.text(names, self.get(self.SECTION, at, "name")) == name:
                return at
        raise KeyError(name)

    def section(self, section, /, **fields):
        return self.set(self.SECTION, self.at(section), **fields)

    def entry(self, section, index, size):
        return self.get(self.SECTION, self.at(section), "offset") + size * index

    def symbol(self, wanted, /, **fields):
        table, names = self.at(".symtab"), self.at(".strtab")
        for i in range(self.get(self.SECTION, table, "size") // 24):
            at = self.entry(".symtab", i, 24)
            if self.text(names, self.get(self.SYMBOL, at, "name")) == wanted:
                return self.set(self.SYMBOL, at, **fields)
        raise KeyError(wanted)

    def reloc(self, section, kind, **fields):
        """Changes the first relocation of type `kind`."""
        table = self.at(section)
        for i in range(self.get(self.SECTION, table, "size") // 24):
            at = self.entry(section, i, 24)
            if self.get(self.RELA, at, "type") == kind:
                return self.set(self.RELA, at, **fields)
        raise KeyError(kind)

    def put(self, section, offset, data):
        start = self.entry(section, 0, 0) + offset
        self.data[start:start + len(data)] = data
        return self

    def cut(self, length):
        del self.data[length:]
        return self

    def size(self, section):
        return self.get(self.SECTION, self.at(section), "size")

    def offset(self, section):
        return self.get(self.SECTION, self.at(section), "offset")


HELLO, SEED = "hello", "seed_ibmvscsi"

faults = [
    # Cut off at each kind of place.
    ("truncated-ident", "ends inside of e_ident", HELLO, lambda e: e.cut(15)),
    ("truncated-header", "ends one byte before the ELF header does", HELLO, lambda e: e.cut(63)),
    ("truncated-text", "ends inside of .text", HELLO, lambda e: e.cut(e.offset(".text") + 16)),
    ("truncated-symbols", "ends inside of .symtab", HELLO, lambda e: e.cut(e.offset(".symtab") + 30)),
    ("truncated-sections", "ends one byte before the section headers do", HELLO,
     lambda e: e.cut(e.shoff + 64 * e.shnum - 1)),
    # The ELF header.
    ("magic", "the first byte is not 0x7f", HELLO, lambda e: e.header(magic=0x7e)),
    ("header-32-bit", "the header says 32-bit", HELLO, lambda e: e.header(**{"class": 1})),
    ("header-big-endian", "the header says big-endian", HELLO, lambda e: e.header(data=2)),
    ("header-version", "ELF version 2", HELLO, lambda e: e.header(version=2, ident_version=2)),
    ("machine-x86-64", "machine 62 (x86-64)", HELLO, lambda e: e.header(machine=62)),
    ("machine-ppc32", "machine 20 (32-bit PowerPC)", HELLO, lambda e: e.header(machine=20)),
    ("flags-elfv1", "e_flags 1: the ELFv1 ABI", HELLO, lambda e: e.header(flags=1)),
    ("flags-unknown", "e_flags 3: no such ABI", HELLO, lambda e: e.header(flags=3)),
    ("type-executable", "ET_EXEC", HELLO, lambda e: e.header(type=2)),
    ("type-shared", "ET_DYN", HELLO, lambda e: e.header(type=3)),
    ("type-core", "ET_CORE", HELLO, lambda e: e.header(type=4)),
    ("sections-none", "no section headers", HELLO, lambda e: e.header(shoff=0, shnum=0, shstrndx=0)),
    ("sections-far", "section headers behind the end of the file", HELLO,
     lambda e: e.header(shoff=len(e.data) + 64)),
    ("sections-wrap", "section headers at an offset that wraps", HELLO,
     lambda e: e.header(shoff=U64 - 63)),
    ("sections-many", "more section headers than the file has room for", HELLO,
     lambda e: e.header(shnum=0xfe00)),
    ("sections-size", "section headers of 40 bytes", HELLO, lambda e: e.header(shentsize=40)),
    ("section-names-index", "e_shstrndx out of range", HELLO, lambda e: e.header(shstrndx=e.shnum)),
    # One section's header.
    ("section-offset", ".text begins behind the end of the file", HELLO,
     lambda e: e.section(".text", offset=len(e.data) + 1)),
    ("section-size", ".text ends behind the end of the file", HELLO,
     lambda e: e.section(".text", size=len(e.data))),
    ("section-wrap", ".text's offset + size wraps", HELLO,
     lambda e: e.section(".text", offset=64, size=U64 - 15)),
    ("section-name", "a section's name lies outside of the names", HELLO,
     lambda e: e.section(".text", name=0x7fffffff)),
    ("section-align", "an alignment of 3", HELLO, lambda e: e.section(".text", align=3)),
    ("section-align-huge", "an alignment of 2^62", HELLO, lambda e: e.section(".text", align=1 << 62)),
    ("bss-huge", "a .bss of 2^50 bytes", HELLO, lambda e: e.section(".bss", size=1 << 50)),
    ("bss-wrap", "a .bss that wraps the address space", HELLO, lambda e: e.section(".bss", size=U64 - 7)),
    # Symbols and names.
    ("symbols-two-tables", "two symbol tables", HELLO,
     lambda e: e.section(".rela.text", type=SHT_SYMTAB)),
    ("symbols-none", "no symbol table", HELLO, lambda e: e.section(".symtab", type=1)),
    ("symbols-entry-size", "symbols of 16 bytes", HELLO, lambda e: e.section(".symtab", entsize=16)),
    ("symbols-link", "the symbol table's names are in a section that does not exist", HELLO,
     lambda e: e.section(".symtab", link=999)),
    ("symbols-link-text", "the symbol table's names are in .text", HELLO,
     lambda e: e.section(".symtab", link=1)),
    ("names-unterminated", "the last symbol name has no NUL", HELLO,
     lambda e: e.put(".strtab", e.size(".strtab") - 1, b"x")),
    ("symbol-name", "a symbol's name lies outside of the names", HELLO,
     lambda e: e.symbol("hello_greet", name=0x7fffffff)),
    ("symbol-section", "a symbol in a section that does not exist", HELLO,
     lambda e: e.symbol("hello_greet", shndx=0x7fff)),
    ("symbol-value", "a symbol behind the end of its section", HELLO,
     lambda e: e.symbol("hello_greet", value=0x100000)),
    ("symbol-extended-index", "a section index in a table that is not there", HELLO,
     lambda e: e.symbol("hello_greet", shndx=0xffff)),
    ("local-entry-reserved", "a local entry of the reserved kind 7", HELLO,
     lambda e: e.symbol("hello_greet", other=7 << 5)),
    # Relocations.
    ("reloc-unknown", "relocation type 200", HELLO, lambda e: e.reloc(".rela.text", REL24, type=200)),
    ("reloc-copy", "relocation R_PPC64_COPY: for linked programs", HELLO,
     lambda e: e.reloc(".rela.text", REL24, type=19)),
    ("reloc-outside", "a relocation behind the end of .text", HELLO,
     lambda e: e.reloc(".rela.text", REL24, offset=e.size(".text"))),
    ("reloc-across-end", "a relocation whose 8 bytes end behind .data", HELLO,
     lambda e: e.reloc(".rela.data", ADDR64, offset=e.size(".data") - 7)),
    ("reloc-wrap", "a relocation at an offset that wraps", HELLO,
     lambda e: e.reloc(".rela.text", REL24, offset=U64 - 3)),
    ("reloc-unaligned", "a branch at an odd address", HELLO,
     lambda e: e.reloc(".rela.text", REL24, offset=13)),
    ("reloc-not-a-branch", "R_PPC64_REL24 on a word that is no branch", HELLO,
     lambda e: e.reloc(".rela.text", REL24, offset=8)),
    ("reloc-symbol", "a relocation with a symbol that does not exist", HELLO,
     lambda e: e.reloc(".rela.text", REL24, symbol=0x7fffffff)),
    ("reloc-target", "relocations for a section that does not exist", HELLO,
     lambda e: e.section(".rela.text", info=999)),
    ("reloc-link", "relocations with a symbol table that is .text", HELLO,
     lambda e: e.section(".rela.text", link=1)),
    ("reloc-entry-size", "relocations of 0 bytes", HELLO,
     lambda e: e.section(".rela.text", entsize=0)),
    ("reloc-table-size", "a relocation table that ends inside of an entry", HELLO,
     lambda e: e.section(".rela.text", size=e.size(".rela.text") - 1)),
    ("reloc-for-bss", "relocations for .bss, which has no bytes", HELLO,
     lambda e: e.section(".data", type=SHT_NOBITS)),
    ("reloc-too-far", "a local call farther than 32 MiB", SEED,
     lambda e: far_call(e, 0x2100000)),
    ("reloc-toc-far", "data 2^40 bytes from the TOC", SEED,
     lambda e: e.reloc(".rela.text", TOC16_HA, addend=1 << 40)),
    ("reloc-ds-unaligned", "a doubleword load from an odd address", SEED,
     lambda e: e.reloc(".rela.text", TOC16_LO_DS, addend=2)),
    # Tables that the kernel reads.
    ("exports-size", "__ksymtab_gpl ends inside of an entry", HELLO,
     lambda e: e.section("__ksymtab_gpl", size=25)),
    ("params-size", "__param ends inside of an entry", HELLO,
     lambda e: e.section("__param", size=81)),
]


def far_call(e, addend):
    """Moves the target of a local call by `addend` bytes."""
    credits = None
    table, names = e.at(".symtab"), e.at(".strtab")
    for i in range(e.get(e.SECTION, table, "size") // 24):
        if e.text(names, e.get(e.SYMBOL, e.entry(".symtab", i, 24), "name")) == "vscsi_credits":
            credits = i
    for i in range(e.size(".rela.text") // 24):
        at = e.entry(".rela.text", i, 24)
        if e.get(e.RELA, at, "symbol") == credits and e.get(e.RELA, at, "type") == REL24:
            return e.set(e.RELA, at, addend=addend)
    raise KeyError("vscsi_credits")


good, bad = sys.argv[1:3]
for name, what, base, change in faults:
    with open(f"{good}/{base}.ko", "rb") as file:
        original = file.read()
    module = change(Elf(original))
    assert bytes(module.data) != original, name
    with open(f"{bad}/{name}.ko", "wb") as file:
        file.write(module.data)
    print(f"{name}\t{what}")
