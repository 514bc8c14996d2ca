"""Just enough of ELF64, little-endian, for measuring: sections, symbols, calls.

Trusts its input: files that we built or Debian did.

References: System V ABI, "Object Files"; OpenPOWER ELFv2 ABI, "Symbol Values"
(the distance between a function's two entries is in three bits of st_other).
"""

import array
import functools
import struct

SHT_SYMTAB, SHT_RELA, SHT_NOBITS = 2, 4, 8
SHF_ALLOC, SHF_EXECINSTR = 2, 4
STT_NOTYPE, STT_FUNC = 0, 2
SHN_UNDEF, SHN_LORESERVE = 0, 0xFF00
R_PPC64_REL24 = 10
SIGNED = b"~Module signature appended~\n"


class NotUsable(Exception):
    """Why a file cannot be read, as one line for a person."""


class Section:
    def __init__(self, header, data):
        (self.name_at, self.type, self.flags, self.addr, self.offset, self.size,
         self.link, self.info, self.align, self.entry_size) = header
        self.data = b"" if self.type == SHT_NOBITS else data[self.offset:self.offset + self.size]
        self.name = ""


class Symbol:
    def __init__(self, entry, names):
        name_at, self.info, self.other, self.section, self.value, self.size = entry
        self.name = text_at(names, name_at)
        self.type = self.info & 15

    def local_entry(self):
        """The address that calls from inside the same module go to."""
        code = self.other >> 5
        return self.value + (((1 << code) >> 2) << 2)


class Elf:
    def __init__(self, data, path):
        if data[:6] != b"\x7fELF\x02\x01":
            raise NotUsable(f"{path}: not a little-endian ELF64 file")
        self.path = path
        at, = struct.unpack_from("<Q", data, 40)
        size, count, names = struct.unpack_from("<HHH", data, 58)
        headers = [struct.unpack_from("<IIQQQQIIQQ", data, at + i * size) for i in range(count)]
        self.sections = [Section(header, data) for header in headers]
        for section in self.sections:
            section.name = text_at(self.sections[names].data, section.name_at)

    @functools.cached_property
    def symbols(self):
        """The symbol table; made when somebody asks."""
        symbols = []
        for table in (s for s in self.sections if s.type == SHT_SYMTAB):
            names = self.sections[table.link].data
            symbols += [Symbol(e, names) for e in struct.iter_unpack("<IBBHQQ", table.data)]
        return symbols

    def section(self, name):
        return next((s for s in self.sections if s.name == name), None)

    def code(self):
        """Sections with instructions."""
        return [s for s in self.sections if s.flags & SHF_EXECINSTR and s.data]

    def functions(self):
        """Maps the address of each function to its symbol; of aliases, one."""
        spans = [(s.addr, s.addr + s.size) for s in self.code()]
        found = {}
        for symbol in self.symbols:
            if symbol.type not in (STT_FUNC, STT_NOTYPE) or not symbol.name:
                continue
            if symbol.section == SHN_UNDEF or symbol.section >= SHN_LORESERVE:
                continue
            if not any(low <= symbol.value < high for low, high in spans):
                continue
            # A real function explains an address better than a label does.
            if symbol.value not in found or symbol.type == STT_FUNC:
                found[symbol.value] = symbol
        return found

    def calls_to(self, targets):
        """Pairs (address of a `bl`, name) for a map from address to name."""
        for section in self.code():
            words = array.array("I")
            words.frombytes(section.data[:len(section.data) & ~3])
            for index, word in enumerate(words):
                if word & 0xFC000003 == 0x48000001:
                    distance = word & 0x03FFFFFC
                    if distance & 0x02000000:
                        distance -= 0x04000000
                    at = section.addr + 4 * index
                    if at + distance in targets:
                        yield at, targets[at + distance]


class ModuleFacts:
    """What the size of a module's load is measured against."""

    def __init__(self, data, path):
        elf = Elf(data, path)
        self.file_bytes = len(data)
        self.alloc_bytes = sum(s.size for s in elf.sections if s.flags & SHF_ALLOC)
        self.relocations = self.calls = 0
        outside = set()
        for table in elf.sections:
            if table.type != SHT_RELA or not elf.sections[table.info].flags & SHF_ALLOC:
                continue
            for _, info, _ in struct.iter_unpack("<QQq", table.data):
                self.relocations += 1
                if info & 0xFFFFFFFF == R_PPC64_REL24:
                    self.calls += 1
                    if elf.symbols[info >> 32].section == SHN_UNDEF:
                        outside.add(info >> 32)
        self.stubs = len(outside)


def text_at(strings, at):
    return strings[at:strings.index(b"\0", at)].decode("latin-1")


def without_signature(data):
    """A module file without the signature that Debian appends to it."""
    if not data.endswith(SIGNED):
        return data
    length, = struct.unpack_from(">I", data, len(data) - len(SIGNED) - 4)
    return data[:len(data) - len(SIGNED) - 12 - length]


def depends(data, path):
    """Names of the modules that a module file says it needs, with `_` for `-`."""
    modinfo = Elf(data, path).section(".modinfo")
    for entry in modinfo.data.split(b"\0") if modinfo else []:
        if entry.startswith(b"depends="):
            names = entry[len(b"depends="):].decode("latin-1")
            return [name.replace("-", "_") for name in names.split(",") if name]
    return []
