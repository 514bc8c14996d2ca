"""Reads a relocatable ELF64 file: sections, symbols, relocations, as they are.

Only what tools/corpus/model.py asks for, out of the bytes and the System V ABI.
Files are well-formed here: what is not, the loader refuses, and nobody compares.
"""

import struct

SHT_SYMTAB, SHT_RELA, SHT_NOBITS = 2, 4, 8
SHF_ALLOC, SHF_EXECINSTR = 2, 4
SHN_UNDEF, SHN_ABS = 0, 0xFFF1
# What a live patch borrows: undefined, and looked up by a name that says whose it is.
SHN_LIVEPATCH = 0xFF20
STB_WEAK = 2
STT_FUNC = 2


class Section:
    def __init__(self, index, header, data):
        self.index = index
        _, self.type, self.flags, _, self.offset, self.size, self.link, self.info, _, _ = header
        self.name = ""
        self.data = b"" if self.type == SHT_NOBITS else data[self.offset : self.offset + self.size]

    @property
    def is_alloc(self):
        return bool(self.flags & SHF_ALLOC)


class Symbol:
    __slots__ = ("name", "info", "other", "section", "value")

    def __init__(self, name, info, other, section, value):
        self.name, self.info, self.other, self.section, self.value = (
            name, info, other, section, value)

    @property
    def is_weak(self):
        return self.info >> 4 == STB_WEAK

    @property
    def is_function(self):
        return self.info & 15 == STT_FUNC

    @property
    def local_entry(self):
        """Bytes from the global to the local entry point, by st_other's three bits.

        None for the code 1: the function may come back with another r2.
        """
        return (0, None, 4, 8, 16, 32, 64)[self.other >> 5]


class Elf:
    """One file."""

    def __init__(self, data):
        (table,) = struct.unpack_from("<Q", data, 40)
        count, names = struct.unpack_from("<HH", data, 60)
        headers = [struct.unpack_from("<IIQQQQIIQQ", data, table + 64 * n) for n in range(count)]
        self.sections = [Section(n, header, data) for n, header in enumerate(headers)]
        names = self.sections[names].data
        for section, header in zip(self.sections, headers):
            section.name = text(names, header[0])
        self.symbols = []
        for section in self.sections:
            if section.type == SHT_SYMTAB:
                self.symbols = self.read_symbols(section)
        self.relocated = {
            section.info: section for section in self.sections if section.type == SHT_RELA
        }

    def read_symbols(self, section):
        names = self.sections[section.link].data
        return [
            Symbol(text(names, name), info, other,
                   SHN_UNDEF if index == SHN_LIVEPATCH else index, value)
            for name, info, other, index, value, _ in struct.iter_unpack("<IBBHQQ", section.data)
        ]

    def relocations(self, index):
        """The (offset, info, addend)s of the section with that number."""
        table = self.relocated.get(index)
        return list(struct.iter_unpack("<QQq", table.data)) if table else []

    def section(self, name):
        """The first section of that name, or None."""
        return next((section for section in self.sections if section.name == name), None)

    def symbol_name(self, index):
        """A symbol's name; for a section's symbol, the section's."""
        symbol = self.symbols[index]
        if symbol.name or symbol.section in (SHN_UNDEF, SHN_ABS):
            return symbol.name or "*ABS*"
        return self.sections[symbol.section].name


    def module_name(self):
        """What .modinfo says the module is called, or None."""
        info = self.section(".modinfo")
        for word in info.data.split(b"\0") if info else []:
            if word.startswith(b"name="):
                return word[5:].decode("utf-8", "replace")
        return None


def text(table, at):
    return table[at : table.index(b"\0", at)].decode("utf-8", "replace")


def parse(data):
    """An Elf, or None: a file that the loader has to refuse may be anything."""
    try:
        return Elf(data)
    except (ValueError, IndexError, OverflowError, struct.error):
        return None
