"""What every byte of a loaded module should be, from the file and the ABI alone.

    file + where each section lies + what is exported ──> expected bytes, one
                                                          comparison a section

Nothing here is taken from the loader. A field is computed from the ABI's formula;
a byte that no relocation covers must be the file's; for a call that leaves the
module, the branch that is there is followed through its stub (stub.py), and has
to end up at the symbol with r2 treated as the ABI wants it. What neither a
relocation nor a followed branch explains must be zero, also between sections.

References: OpenPOWER ELFv2 ABI, "Relocation Types", "Function Linkage", "TOC
Pointer Usage"; gcc's -mprofile-kernel.
"""

import collections
import struct

import stub
from elf import SHF_EXECINSTR, SHN_ABS, SHN_UNDEF

M64 = 0xFFFFFFFFFFFFFFFF
HOOK = "_mcount"
LD_R2_24_R1 = 0xE8410018
# No-ops that a compiler leaves behind a call: `nop`, `cror 15,15,15`, `cror 31,31,31`.
ROOM_FOR_TOC = {stub.NOP, 0x4DEF7B82, 0x4FFFFB82}
# Sections that nobody reads in memory.
FILE_ONLY = {".modinfo", "__versions", "__version_ext_crcs", "__version_ext_names",
             "__mcount_loc", "__patchable_function_entries"}


class Unfit(Exception):
    """A value that its field cannot hold; the loader should have refused it."""


# --- fields ----------------------------------------------------------------


def need(fits, value):
    if not fits:
        raise Unfit(f"{value:#x} does not fit")


def put_u64(buf, at, value):
    struct.pack_into("<Q", buf, at, value & M64)


def put_s32(buf, at, value):
    need(-(1 << 31) <= value < 1 << 31, value)
    struct.pack_into("<i", buf, at, value)


def put_32(buf, at, value):
    need(-(1 << 31) <= value < 1 << 32, value)
    struct.pack_into("<I", buf, at, value & 0xFFFFFFFF)


def put_half(buf, at, value):
    need(-0x8000 <= value < 0x8000, value)
    struct.pack_into("<h", buf, at, value)


def put_lo(buf, at, value):
    struct.pack_into("<h", buf, at, stub.signed(value, 16))


def put_16(buf, at, value):
    need(-0x8000 <= value < 0x10000, value)
    struct.pack_into("<H", buf, at, value & 0xFFFF)


def part(shift, rounded):
    """16 bits from `shift` on, whatever is above them."""
    def put(buf, at, value):
        value += 0x8000 if rounded else 0
        struct.pack_into("<H", buf, at, value >> shift & 0xFFFF)
    return put


def put_34(buf, at, value):
    """18 bits of a prefix and 16 of the word behind it; no 64-byte boundary between."""
    need(-(1 << 33) <= value < 1 << 33, value)
    prefix, suffix = struct.unpack_from("<II", buf, at)
    need(prefix >> 26 == 1, prefix)
    struct.pack_into("<II", buf, at, prefix & ~0x3FFFF | value >> 16 & 0x3FFFF,
                     suffix & ~0xFFFF | value & 0xFFFF)


def put_hi(buf, at, value):
    need(-(1 << 31) <= value < 1 << 31, value)
    struct.pack_into("<h", buf, at, value >> 16)


def put_ha(buf, at, value):
    """What `addis` has to add if the low half is then added with its sign."""
    high = value - stub.signed(value, 16) >> 16
    need(-0x8000 <= high < 0x8000, value)
    struct.pack_into("<h", buf, at, high)


def keep_low(buf, at):
    """Which low bits of an instruction's 16 are not its displacement's."""
    (word,) = struct.unpack_from("<I", buf, at)
    quad = word >> 26 in (56, 61) and (word >> 26 != 61 or word & 7 in (1, 5))
    return 15 if quad else 3


def put_ds(buf, at, value):
    need(-0x8000 <= value < 0x8000, value)
    put_lo_ds(buf, at, value)


def put_lo_ds(buf, at, value):
    keep = keep_low(buf, at)
    need(value & keep == 0, value)
    (half,) = struct.unpack_from("<H", buf, at)
    struct.pack_into("<H", buf, at, half & keep | value & 0xFFFF & ~keep)


def put_bd(buf, at, value):
    need(-0x8000 <= value < 0x8000 and value & 3 == 0, value)
    (word,) = struct.unpack_from("<I", buf, at)
    need(word >> 26 == 16 and not word & 2, value)
    struct.pack_into("<I", buf, at, word & ~0xFFFC | value & 0xFFFC)


ABSOLUTE, FROM_PLACE, FROM_TOC, TOC, NOTHING = range(5)

# number: name, bytes, formula, field. S+A, S+A-P, S+A-.TOC., .TOC.
TYPES = {
    0: ("NONE", 0, NOTHING, None),
    1: ("ADDR32", 4, ABSOLUTE, put_32),
    3: ("ADDR16", 2, ABSOLUTE, put_16),
    4: ("ADDR16_LO", 2, ABSOLUTE, put_lo),
    5: ("ADDR16_HI", 2, ABSOLUTE, put_hi),
    6: ("ADDR16_HA", 2, ABSOLUTE, put_ha),
    10: ("REL24", 4, None, None),
    11: ("REL14", 4, FROM_PLACE, put_bd),
    26: ("REL32", 4, FROM_PLACE, put_s32),
    38: ("ADDR64", 8, ABSOLUTE, put_u64),
    39: ("ADDR16_HIGHER", 2, ABSOLUTE, part(32, False)),
    40: ("ADDR16_HIGHERA", 2, ABSOLUTE, part(32, True)),
    41: ("ADDR16_HIGHEST", 2, ABSOLUTE, part(48, False)),
    42: ("ADDR16_HIGHESTA", 2, ABSOLUTE, part(48, True)),
    43: ("UADDR64", 8, ABSOLUTE, put_u64),
    44: ("REL64", 8, FROM_PLACE, put_u64),
    47: ("TOC16", 2, FROM_TOC, put_half),
    48: ("TOC16_LO", 2, FROM_TOC, put_lo),
    49: ("TOC16_HI", 2, FROM_TOC, put_hi),
    50: ("TOC16_HA", 2, FROM_TOC, put_ha),
    51: ("TOC", 8, TOC, put_u64),
    56: ("ADDR16_DS", 2, ABSOLUTE, put_ds),
    57: ("ADDR16_LO_DS", 2, ABSOLUTE, put_lo_ds),
    63: ("TOC16_DS", 2, FROM_TOC, put_ds),
    64: ("TOC16_LO_DS", 2, FROM_TOC, put_lo_ds),
    109: ("TOCSAVE", 0, NOTHING, None),
    110: ("ADDR16_HIGH", 2, ABSOLUTE, part(16, False)),
    111: ("ADDR16_HIGHA", 2, ABSOLUTE, part(16, True)),
    116: ("REL24_NOTOC", 4, None, None),
    118: ("ENTRY", 8, None, None),
    119: ("PLTSEQ", 0, NOTHING, None),
    120: ("PLTCALL", 0, NOTHING, None),
    121: ("PLTSEQ_NOTOC", 0, NOTHING, None),
    122: ("PLTCALL_NOTOC", 0, NOTHING, None),
    123: ("PCREL_OPT", 0, NOTHING, None),
    124: ("REL24_P9NOTOC", 4, None, None),
    128: ("D34", 8, ABSOLUTE, put_34),
    132: ("PCREL34", 8, FROM_PLACE, put_34),
    133: ("GOT_PCREL34", 8, None, None),
    134: ("PLT_PCREL34", 8, None, None),
    135: ("PLT_PCREL34_NOTOC", 8, None, None),
    240: ("REL16_HIGH", 2, FROM_PLACE, part(16, False)),
    241: ("REL16_HIGHA", 2, FROM_PLACE, part(16, True)),
    242: ("REL16_HIGHER", 2, FROM_PLACE, part(32, False)),
    243: ("REL16_HIGHERA", 2, FROM_PLACE, part(32, True)),
    244: ("REL16_HIGHEST", 2, FROM_PLACE, part(48, False)),
    245: ("REL16_HIGHESTA", 2, FROM_PLACE, part(48, True)),
    249: ("REL16", 2, FROM_PLACE, put_half),
    250: ("REL16_LO", 2, FROM_PLACE, put_lo),
    251: ("REL16_HI", 2, FROM_PLACE, put_hi),
    252: ("REL16_HA", 2, FROM_PLACE, put_ha),
}
REL24, REL14, ADDR64, ENTRY = 10, 11, 38, 118
NOTOC = {116, 124}
THROUGH_WORD = {133, 134, 135}
BRANCHES = {REL24} | NOTOC


def type_name(kind):
    return "R_PPC64_" + TYPES[kind][0] if kind in TYPES else f"type {kind}"


# --- what a machine has ----------------------------------------------------


class Machine:
    """The kernel that modules were linked against, as it describes itself."""

    def __init__(self, exports, paca, facts):
        self.exports = exports  # name -> address
        self.paca = paca        # offset from r13 -> what is there, for stubs
        self.facts = facts      # mcount, mcount_late, sibling


class Image:
    """A module in memory: its bytes, and where the machine says what lies."""

    def __init__(self, base, data, sections, stubs, targets, toc):
        self.base, self.data = base, data
        self.sections = sections  # number in the file -> (address, bytes)
        self.stubs, self.targets, self.toc = stubs, targets, toc

    def read(self, at, length):
        start = at - self.base
        if start < 0 or start + length > len(self.data):
            raise stub.Lost(f"reads {at:#x}, which is outside the module")
        return self.data[start : start + length]


Difference = collections.namedtuple("Difference", "module place kind symbol expected found")


class Report:
    """What a check has found; reports of many modules add up."""

    def __init__(self):
        self.types = collections.Counter()   # relocations by type
        self.counts = collections.Counter()  # everything else that is counted
        self.differences = []

    def add(self, other):
        self.types += other.types
        self.counts += other.counts
        self.differences += other.differences


# --- the check -------------------------------------------------------------


class Check:
    """One module's comparison; its outcome is in `report`."""

    def __init__(self, name, elf, image, machine):
        self.name, self.elf, self.image, self.machine = name, elf, image, machine
        self.report = Report()
        self.outcomes = {}   # stub address -> Outcome or Lost
        self.sites = set()   # addresses of calls of _mcount
        self.traps = {}      # missing symbol -> a stub that traps and names it
        self.words = set()   # addresses of doublewords that prefixed loads read
        self.functions = {}     # address of a global entry -> symbol
        self.patchable = set()  # addresses of nops that a stub comes back behind
        self.toc = self.find_toc()
        self.values = [self.value_of(symbol) for symbol in elf.symbols]

    def differ(self, place, kind, symbol, expected, found):
        self.report.differences.append(
            Difference(self.name, place, kind, symbol, expected, found))

    def run(self):
        self.find_traps()
        ends = []
        for section in self.elf.sections:
            placed = self.image.sections.get(section.index)
            if placed is None:
                self.not_in_memory(section)
                continue
            address, size = placed
            if size != section.size:
                self.differ(section.name, "size", "", str(section.size), str(size))
                continue
            ends.append((address, size))
            self.section(section, address)
        self.listed_sites()
        self.rest_of_stubs()
        self.patchable_sites()
        self.gaps(ends + [self.image.stubs, self.image.targets])
        return self.report

    def find_toc(self):
        """.toc's start, rounded down to 256, and 0x8000; without one, anything."""
        toc = self.elf.section(".toc")
        if toc is None or toc.index not in self.image.sections:
            self.report.counts["modules without .toc"] += 1
            return self.image.toc
        address, _ = self.image.sections[toc.index]
        expected = (address & ~0xFF) + 0x8000
        if expected != self.image.toc:
            self.differ(".toc", "r2", ".TOC.", f"{expected:#x}", f"{self.image.toc:#x}")
        return expected

    def value_of(self, symbol):
        """S of the ABI's formulas; None if there is no such thing in memory."""
        if symbol.section == SHN_ABS:
            return symbol.value
        if symbol.section != SHN_UNDEF:
            placed = self.image.sections.get(symbol.section)
            return None if placed is None else placed[0] + symbol.value
        if symbol.name == "":
            return 0
        if symbol.name == ".TOC.":
            return self.toc
        found = self.machine.exports.get(symbol.name)
        return 0 if found is None and symbol.is_weak else found

    def is_missing(self, symbol):
        return (symbol.section == SHN_UNDEF and symbol.name not in ("", ".TOC.", HOOK)
                and symbol.name not in self.machine.exports)

    # --- branches

    def follow(self, at):
        """What the stub at `at` does; Lost if that is not understood."""
        if at not in self.outcomes:
            start, size = self.image.stubs
            try:
                if not start <= at < start + size:
                    raise stub.Lost(f"goes to {at:#x}, where no stub is")
                self.outcomes[at] = stub.run(
                    at, self.toc, self.image.read, self.machine.paca,
                    self.machine.facts["sibling"])
            except stub.Lost as why:
                self.outcomes[at] = why
        outcome = self.outcomes[at]
        if isinstance(outcome, stub.Lost):
            raise outcome
        return outcome

    def find_traps(self):
        """Where data that points to a missing function points to."""
        for index, placed in self.image.sections.items():
            if not self.elf.sections[index].flags & SHF_EXECINSTR:
                continue
            for offset, info, _ in self.elf.relocations(index):
                symbol = info >> 32
                if info & 0xFFFFFFFF not in BRANCHES or symbol in self.traps:
                    continue
                if not self.is_missing(self.elf.symbols[symbol]):
                    continue
                at = placed[0] + offset
                word = struct.unpack("<I", self.image.read(at, 4))[0]
                target = stub.branch_target(word, at)
                try:
                    if target is not None and self.follow(target).missing == symbol:
                        self.traps[symbol] = target
                except stub.Lost:
                    pass  # said when the branch itself is looked at

    def leaves(self, expected, at, offset, index, is_call, notoc=False):
        """A branch out of the module: the one that is there has to get there."""
        symbol = self.elf.symbols[index]
        (found,) = struct.unpack("<I", self.image.read(at, 4))
        (file_word,) = struct.unpack_from("<I", expected, offset)
        if (found ^ file_word) & ~0x03FFFFFC:
            raise stub.Lost("is no longer the same kind of branch")
        outcome = self.follow(stub.branch_target(found, at))
        if outcome.hook is not None:
            raise stub.Lost("goes to the stub of a call site")
        if self.is_missing(symbol):
            if outcome.missing != index:
                raise stub.Lost("should trap and name the symbol")
            self.report.counts["branches to a trap"] += 1
        elif outcome.target != self.values[index]:
            where = "a trap" if outcome.target is None else f"{outcome.target:#x}"
            raise stub.Lost(f"gets to {where}, not to {self.values[index]:#x}")
        elif not outcome.changed <= {11, 12}:
            raise stub.Lost(f"changes registers {sorted(outcome.changed)}")
        elif notoc:
            if outcome.saves_toc or outcome.sibling or outcome.changed != {12}:
                raise stub.Lost("does not leave r2, 24(r1) and all registers but r12 alone")
            self.report.counts["branches without a TOC, through a stub"] += 1
        elif is_call and (not outcome.saves_toc or outcome.sibling):
            raise stub.Lost("does not save r2")
        elif not is_call and (outcome.saves_toc or not outcome.sibling):
            raise stub.Lost("does not leave r2 and 24(r1) alone")
        else:
            kind = "calls" if is_call else "sibling calls"
            self.report.counts[f"{kind} through a stub"] += 1
        struct.pack_into("<I", expected, offset, found)
        if is_call and not notoc:
            (behind,) = struct.unpack_from("<I", expected, offset + 4)
            if behind not in ROOM_FOR_TOC and behind != LD_R2_24_R1:
                raise Unfit(f"{behind:#010x} behind the call")
            struct.pack_into("<I", expected, offset + 4, LD_R2_24_R1)

    def branch(self, expected, at, offset, index, addend, notoc):
        symbol = self.elf.symbols[index]
        (word,) = struct.unpack_from("<I", expected, offset)
        is_call = bool(word & 1)
        if symbol.section == SHN_UNDEF and symbol.name == HOOK and is_call:
            self.sites.add(at)
            (behind,) = struct.unpack_from("<I", expected, offset + 4)
            self.report.counts["nops behind a call site, kept"] += behind == stub.NOP
            struct.pack_into("<I", expected, offset, stub.NOP)
        elif symbol.section == SHN_UNDEF and symbol.name or (
                symbol.local_entry if notoc else symbol.local_entry is None):
            self.leaves(expected, at, offset, index, is_call, notoc)
        else:
            target = self.values[index] + (symbol.local_entry or 0) + addend
            distance = target - at
            need(-(1 << 25) <= distance < 1 << 25 and distance & 3 == 0, distance)
            struct.pack_into("<I", expected, offset, word & ~0x03FFFFFC | distance & 0x03FFFFFC)
            self.report.counts["branches inside"] += 1

    # --- sections

    def entry(self, expected, at, offset):
        """`ld r2,x(r12); add r2,r2,r12` may become two immediates, if they reach."""
        first, second = struct.unpack_from("<II", expected, offset)
        distance = self.toc - at
        if first & 0xFFFF0003 != 0xE84C0000 or second != 0x7C426214:
            return
        high = distance - stub.signed(distance, 16) >> 16
        if -0x8000 <= high < 0x8000:
            struct.pack_into("<II", expected, offset, 0x3C4C0000 | high & 0xFFFF,
                             0x38420000 | distance & 0xFFFF)

    def section(self, section, address):
        expected = bytearray(section.data) if section.data else bytearray(section.size)
        relocations = self.elf.relocations(section.index)
        types = self.report.types
        told = set()  # places about which enough has been said
        for number, (offset, info, addend) in enumerate(relocations):
            kind, index = info & 0xFFFFFFFF, info >> 32
            types[kind] += 1
            try:
                self.relocate(expected, address + offset, offset, kind, index, addend)
            except (Unfit, stub.Lost, KeyError, struct.error) as why:
                told.add(number)
                place = f"{section.name}+{offset:#x}"
                found = self.image.read(address + offset, 4)
                self.differ(place, type_name(kind), self.elf.symbol_name(index), str(why),
                            found[::-1].hex())
        found = self.image.read(address, section.size)
        self.report.counts["bytes of sections"] += len(found)
        if found != expected:
            self.explain(section, expected, found, relocations, told)

    def relocate(self, expected, at, offset, kind, index, addend):
        if kind in BRANCHES:
            return self.branch(expected, at, offset, index, addend, kind in NOTOC)
        if kind in THROUGH_WORD:
            return self.through_word(expected, at, offset, index, addend)
        if kind == ENTRY:
            return self.entry(expected, at, offset)
        _, _, formula, put = TYPES[kind]
        if formula == NOTHING:
            return None
        value = self.values[index]
        if value is None:
            # Nobody exports it: the trap that names it, if it is called anywhere.
            value = self.traps.get(index, 0)
        if formula == TOC:
            return put(expected, offset, self.toc)
        value += addend
        if formula == FROM_PLACE:
            value -= at
            if kind == REL14:
                value += self.elf.symbols[index].local_entry
        elif formula == FROM_TOC:
            value -= self.toc
        return put(expected, offset, value)

    def through_word(self, expected, at, offset, index, addend):
        """A prefixed load: the doubleword that it reads must hold the address: S + A."""
        prefix, suffix = struct.unpack("<II", self.image.read(at, 8))
        word = at + stub.signed((prefix & 0x3FFFF) << 16 | suffix & 0xFFFF, 34)
        start, size = self.image.targets
        if not start <= word <= start + size - 8 or word & 7:
            raise stub.Lost(f"reads {word:#x}, where no address is kept")
        (found,) = struct.unpack("<Q", self.image.read(word, 8))
        value = self.values[index]
        value = self.traps.get(index, 0) if value is None else value
        value = value + addend & (1 << 64) - 1
        if found != value:
            raise stub.Lost(f"reads {found:#x}, which should be {value:#x}")
        self.words.add(word)
        self.report.counts["addresses loaded"] += 1
        put_34(expected, offset, word - at)

    def explain(self, section, expected, found, relocations, told):
        """Names each field that differs, and each word that no field covers."""
        covered = {}
        for number, (offset, info, _) in enumerate(relocations):
            kind = info & 0xFFFFFFFF
            width = TYPES[kind][1] if kind in TYPES else 4
            covered.update((byte, number) for byte in range(offset, offset + width))
        for number, (offset, info, _) in enumerate(relocations):
            if info & 0xFFFFFFFF in BRANCHES:
                for byte in range(offset + 4, offset + 8):
                    covered.setdefault(byte, number)
        said = set(told)
        for start in range(0, len(found), 4096):
            if found[start : start + 4096] == expected[start : start + 4096]:
                continue
            for at in range(start, min(start + 4096, len(found))):
                if found[at] == expected[at]:
                    continue
                number = covered.get(at)
                key = ("word", at // 4) if number is None else number
                if key in said:
                    continue
                said.add(key)
                self.say(section, expected, found, at, number, relocations)

    def say(self, section, expected, found, at, number, relocations):
        kind, symbol, width = "no relocation", "", 4
        at -= at % 4
        if number is not None:
            offset, info, addend = relocations[number]
            kind, symbol = type_name(info & 0xFFFFFFFF), self.elf.symbol_name(info >> 32)
            symbol += f"{addend:+#x}" if addend else ""
            if at < offset + 8:
                at, width = offset, TYPES[info & 0xFFFFFFFF][1] or 4
                if found[at : at + width] == expected[at : at + width]:
                    at, width, kind = offset + 4, 4, kind + ", the word behind"
        show = lambda data: data[at : at + width][::-1].hex()
        self.differ(f"{section.name}+{at:#x}", kind, symbol, show(expected), show(found))

    def not_in_memory(self, section):
        if not section.is_alloc or not section.size:
            return
        if section.name not in FILE_ONLY and not section.name.startswith(".note"):
            self.differ(section.name, "section", "", "in memory", "not in memory")

    def listed_sites(self):
        """The compiler's own list of call sites and the branches that were found."""
        section = self.elf.section("__mcount_loc")
        self.report.counts["call sites"] += len(self.sites)
        if section is None:
            return
        listed = set()
        for _, info, addend in self.elf.relocations(section.index):
            self.report.types[info & 0xFFFFFFFF] += 1
            self.report.counts["entries of lists of call sites"] += 1
            listed.add((self.values[info >> 32] or 0) + addend)
        for at in sorted(listed ^ self.sites):
            which = ("listed", "no call") if at in listed else ("not listed", "call")
            self.differ(f"__mcount_loc: {at:#x}", "call site", HOOK, *which)

    def patchable_sites(self):
        """The compiler's list of functions with a nop, and the stubs for such nops."""
        expected = set()
        self.functions = {value: symbol for value, symbol in zip(self.values, self.elf.symbols)
                          if symbol.is_function}
        for section in self.elf.sections:
            if section.name != "__patchable_function_entries":
                continue
            for _, info, addend in self.elf.relocations(section.index):
                self.report.types[info & 0xFFFFFFFF] += 1
                self.report.counts["patchable functions"] += 1
                site = self.nop_of((self.values[info >> 32] or 0) + addend)
                expected |= {site} - {None}
        self.report.counts["patchable call sites"] += len(self.patchable)
        for at in sorted(expected ^ self.patchable):
            which = ("a stub", "none") if at in expected else ("no stub", "one")
            self.differ(f"patchable: {at:#x}", "call site", "", *which)

    def nop_of(self, listed):
        """The nop at the local entry of the function that an entry of the list is for.

        Compilers list the nop, the global entry, or a nop before that; None if there
        is no nop at the local entry.
        """
        word = lambda at: struct.unpack("<I", self.image.read(at, 4))[0]
        for entry in [listed, listed - 8, *range(listed + 4, listed + 64, 4)]:
            symbol = self.functions.get(entry)
            if symbol and (entry != listed - 8 or symbol.local_entry == 8):
                site = entry + (symbol.local_entry or 0)
                return site if word(site) == stub.NOP else None
            if entry >= listed and word(entry) != stub.NOP:
                break
        return None

    # --- what no branch of the file leads to

    def explained(self, start, size):
        """A mask of the bytes of a range that some followed branch has used."""
        mask = bytearray(size)
        for outcome in self.outcomes.values():
            for at, length in getattr(outcome, "explained", []):
                if start <= at < start + size:
                    mask[at - start : at - start + length] = b"\1" * length
        return mask

    def rest_of_stubs(self):
        """The stubs for call sites that are off, and nothing else."""
        start, size = self.image.stubs
        found = self.image.read(start, size)
        mask = self.explained(start, size)
        hooks = 0
        for offset in range(0, size, 16):
            if any(mask[offset : offset + 16]) or not any(found[offset : offset + 16]):
                continue
            try:
                outcome = self.follow(start + offset)
                self.unused(outcome)
                hooks += outcome.hook is None
                for at, length in outcome.explained:
                    if start <= at < start + size:
                        mask[at - start : at - start + length] = b"\1" * length
            except stub.Lost as why:
                shown = found[offset : offset + 4][::-1].hex()
                self.differ(f"(stubs)+{offset:#x}", "stub", "", str(why), shown)
                mask[offset : offset + 16] = b"\1" * 16
        if self.sites and not hooks:
            self.differ("(stubs)", "stub", HOOK, "a stub for the call sites", "none")
        self.report.counts["stubs"] += len(self.outcomes)
        self.only_zeros("(stubs)", found, mask)
        start, size = self.image.targets
        mask = self.explained(start, size)
        for word in self.words:
            mask[word - start : word - start + 8] = b"\1" * 8
        self.only_zeros("(targets)", self.image.read(start, size), mask)

    def unused(self, outcome):
        """No branch leads here yet: it has to be a hook's, or a patchable nop's."""
        facts = self.machine.facts
        if outcome.hook is not None:
            word = struct.unpack("<I", self.image.read(outcome.back - 4, 4))[0]
            if word != stub.NOP:
                raise stub.Lost(f"comes back to {outcome.back:#x}, behind no nop")
            self.patchable.add(outcome.back - 4)
            outcome = self.follow(outcome.hook)
        if outcome.target not in (facts["mcount"], facts["mcount_late"]):
            raise stub.Lost("no branch leads here, and it is no call site's")
        if outcome.saves_toc or outcome.sibling or outcome.changed != {12}:
            raise stub.Lost("does not leave r2, 24(r1) and all registers but r12 alone")

    def only_zeros(self, name, found, mask):
        for offset, (byte, known) in enumerate(zip(found, mask)):
            if byte and not known:
                self.differ(f"{name}+{offset:#x}", "no branch", "", "00", f"{byte:02x}")

    def gaps(self, ranges):
        """Between sections there is nothing."""
        end = self.image.base
        for address, size in sorted(ranges) + [(self.image.base + len(self.image.data), 0)]:
            if address > end and any(self.image.read(end, address - end)):
                self.differ(f"{end:#x}", "gap", "", "zeros", "something else")
            self.report.counts["bytes between"] += max(0, address - end)
            end = max(end, address + size)


def check(name, elf, image, machine):
    """Compares every byte of a module's image; returns a Report."""
    return Check(name, elf, image, machine).run()
