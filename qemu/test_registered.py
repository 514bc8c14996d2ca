#!/usr/bin/env python3
"""Tests of unmodified Debian modules that run, and of what they register.

debian-runs.list names the modules that load with every symbol resolved. Each is
loaded, initialised and unloaded; character sets are compared with Python's codecs
over their whole range, keymaps with the tables in the files, digests of texts of
many lengths with hashlib. Published vectors are in cases/registered-*.case.

Needs TOCSIN_MODULES_DIR, the unpacked modules of Debian's 6.1 kernel.
"""

import hashlib
import os
import re
import struct
import unittest
import zlib

import cases
from test_kernel import HERE, Booted, read, sections

# What init functions load besides: Linux asks modprobe for it.
ASKED_FOR = {"nls_euc-jp": ["nls_cp932"], "nls_koi8-ru": ["nls_koi8-u"]}
GOAL = 280
NONE = "none is registered (insmod a module that registers one)"


def listed():
    with open(os.path.join(HERE, "debian-runs.list"), encoding="ascii") as file:
        return [line for line in file.read().split("\n") if line and not line.startswith("#")]


def modinfo(path, key):
    found = re.search(rb"\0%s=([^\0]*)\0" % key.encode(), read(path))
    return found[1].decode() if found else ""


class Elf:
    """As much of an ELF file as these tests need, by struct alone."""

    def __init__(self, path):
        self.data = read(path)
        _, self.headers = sections(self.data)
        names = self.headers[struct.unpack_from("<H", self.data, 62)[0]][4]
        self.names = [self.text(names + h[0]) for h in self.headers]
        table = next(h for h in self.headers if h[1] == 2)
        strings = self.headers[table[6]][4]
        self.symbols = [(self.text(strings + name), *rest) for name, *rest in
                        struct.iter_unpack("<IBBHQQ", self.data[table[4] : table[4] + table[5]])]

    def text(self, at):
        return self.data[at : self.data.index(b"\0", at)].decode()

    def defines(self, name):
        return any(symbol[0] == name and symbol[3] for symbol in self.symbols)

    def bytes_at(self, section, offset, size):
        start = self.headers[section][4] + offset
        return self.data[start : start + size]

    def pointer(self, section, offset):
        """Where the pointer there leads: section and offset."""
        for h in self.headers:
            if h[1] == 4 and h[7] == section:
                for at, info, addend in struct.iter_unpack("<QQq", self.data[h[4] : h[4] + h[5]]):
                    if at == offset:
                        symbol = self.symbols[info >> 32]
                        return symbol[3], symbol[4] + addend
        raise AssertionError(f"no relocation at {offset}")

    def keymap(self):
        """Name and lines of the `rc_map_list`, the one object of 56 bytes."""
        section, at = next((s[3], s[4]) for s in self.symbols if s[5] == 56 and s[1] & 15 == 1
                           and self.names[s[3]].startswith(".data"))
        size, = struct.unpack("<I", self.bytes_at(section, at + 24, 4))
        table, start = self.pointer(section, at + 16)
        name, offset = self.pointer(section, at + 40)
        lines = [struct.unpack("<QI", self.bytes_at(table, start + 16 * n, 12)) for n in range(size)]
        return self.text(self.headers[name][4] + offset), lines


def key_names():
    """Numbers of key codes by name, as the C library's headers have them."""
    try:
        text = read("/usr/include/linux/input-event-codes.h").decode()
    except FileNotFoundError:
        return None
    found = re.findall(r"#define ((?:KEY|BTN)_\w+)\s+(0x[0-9a-f]+|\d+)\b", text)
    return {name: int(number, 0) for name, number in found}


class Registered(Booted):
    def setUp(self):
        super().setUp()
        self.debian("crc7")  # or skip

    def shell(self, commands, modules, **settings):
        """Runs the commands; returns what each printed."""
        paths = " ".join(cases.find_module(name) for name in modules)
        _, _, lines = self.boot("\n".join(["set -x", *commands]), MODULES=paths, **settings)
        self.assertEqual(lines[-1], "tocsin: ok", lines[-5:])
        blocks = []
        for line in lines[1:-1]:
            if line.startswith("> "):
                blocks.append([])
            else:
                blocks[-1].append(line)
        return blocks


class Runs(Registered):
    """Modules that need nothing that is not there."""

    def closure(self, name, names):
        """What modprobe may load before a module, in that order."""
        found = []
        for other in filter(None, modinfo(cases.find_module(name), "depends").split(",")):
            other = names.get(other.replace("-", "_"))
            if other:
                found += [m for m in [*self.closure(other, names), other] if m not in found]
        return found

    def test_every_listed_module_runs_and_goes_without_a_trace(self):
        modules = listed()
        names = {name.replace("-", "_"): name for name in modules}
        commands = []
        for name in modules:
            commands.append(f"modprobe {name}")
            others = self.closure(name, names)[::-1] + ASKED_FOR.get(name, [])
            commands += [f"rmmod {other}" for other in [name, *others]]
            if name in (modules[0], modules[-1]):
                commands.append("mem")
        commands += ["lsmod", "registered"]
        blocks = self.shell(commands, modules)
        said = {command: block for command, block in zip(commands, blocks) if block}
        memory = [block for command, block in zip(commands, blocks) if command == "mem"]
        self.assertEqual(memory[0], memory[1])
        self.assertEqual(said.pop("lsmod"), ["Module                  Size  Used by"])
        self.assertEqual(said.pop("registered"), [NONE])
        said.pop("mem")
        self.assertEqual(said, {"modprobe bsd_comp": ["PPP BSD Compression module registered"]})
        elves = [Elf(cases.find_module(name)) for name in modules]
        inits = sum(elf.defines("init_module") for elf in elves)
        self.assertTrue(all(elf.defines("cleanup_module") for elf in elves if elf.defines("init_module")))
        print(f"{len(modules)} modules run, {inits} of them with an init function")
        self.assertGreaterEqual(inits, GOAL)

    def test_keymaps_are_those_of_the_files(self):
        modules = [name for name in listed() if name.startswith("rc-")]
        maps = [Elf(cases.find_module(name)).keymap() for name in modules]
        commands = [f"insmod {name}" for name in modules] + [f"keymap {name}" for name, _ in maps]
        blocks = self.shell([*commands, "registered"], modules)
        self.assertEqual(len(blocks.pop()), len(maps))
        numbers, keys = key_names(), 0
        for (name, lines), block in zip(maps, blocks[len(maps) :]):
            self.assertEqual(len(lines), len(block), name)
            for (scan, key), line in zip(lines, block):
                shown, word = line.split(" ")
                self.assertEqual(int(shown, 16), scan)
                if word.startswith("0x"):
                    self.assertEqual(int(word, 16), key)
                elif numbers:
                    self.assertEqual(numbers[word], key, name)
                keys += not word.startswith("0x")
        self.assertGreater(keys, sum(len(lines) for _, lines in maps) * 9 // 10)


# Charsets whose Python codec has another name; None has none.
CODECS = {"maccenteuro": "mac_latin2", "cp936": "gbk", "utf8": "utf-8", "koi8-ru": "koi8_u",
          "macceltic": None, "macgaelic": None, "macinuit": None}
# Where Linux's tables differ from Python's, byte by byte: they are older, or read
# an ambiguous standard another way. 0 is none everywhere: it ends names.
OLDER = {
    "cp1255": {0xAF: 0x203E, 0xDF: 0x2017, 0xFD: None, 0xFE: None},
    "cp874": {0x80: None},
    "iso8859-6": {0x30 + digit: 0x660 + digit for digit in range(10)},
    "iso8859-7": {0xA1: 0x2BD, 0xA2: 0x2BC, 0xA4: None, 0xA5: None, 0xAA: None},
    # Its author tested for the two letters that koi8-u lacks, and turned it round.
    "koi8-ru": {b: 0x40E if b & 0x10 else 0x45E for b in range(256) if b & 0xEF != 0xAE},
}
# Characters that Linux reads but cannot write, or writes as another byte.
ONE_WAY = {
    "cp1251": {0x20AC: None, 0x490: None, 0x491: 0xA5},
    "cp1255": {0xA1: None, 0x203E: None, 0xBF: None, 0x2017: None},
    "iso8859-14": {0x10A: 0xA6, 0x10B: 0xAB},
}
WIDE = ["cp932", "cp936", "cp949", "cp950", "euc-jp", "utf8"]


def shown(code):
    return "-" if code is None else f"U+{code:04x}"


class Charsets(Registered):
    """nls against Python's codecs, byte for byte."""

    def codec(self, charset):
        name = charset.replace("iso8859-", "iso8859_")
        return CODECS.get(charset, re.sub("^mac", "mac_", name))

    def decoded(self, codec, data):
        try:
            return ord(data.decode(codec))
        except UnicodeDecodeError:
            return None

    def test_charsets_of_one_byte(self):
        modules = [m for m in listed() if m.startswith(("nls_", "mac-"))]
        names = {m: m.removeprefix("nls_").replace("mac-", "mac") for m in modules}
        modules = [m for m in modules if names[m] not in WIDE]
        self.assertGreaterEqual(len(modules), 45)
        load = [f"modprobe {m}" for m in modules]  # one loads another
        every = bytes(range(256)).hex()
        files = [*modules, "nls_koi8-u"]
        blocks = self.shell(load + [f"nls {names[m]} hex:{every}" for m in modules], files)
        tables = {names[m]: block[0].split() for m, block in zip(modules, blocks[len(load):])}
        for charset, table in tables.items():
            codec = self.codec(charset)
            if codec:
                expected = [self.decoded(codec, bytes([byte])) for byte in range(256)]
                for byte, code in {0: None, **OLDER.get(charset, {})}.items():
                    expected[byte] = code
                self.assertEqual(table, list(map(shown, expected)), charset)
        del tables["koi8-ru"]
        codes = {charset: [int(code[2:], 16) for code in table if code != "-"]
                 for charset, table in tables.items()}
        blocks = self.shell(load + [f"nls {charset} " + " ".join(map(hex, codes[charset]))
                                    for charset in tables], files)
        for (charset, table), block in zip(tables.items(), blocks[len(load):]):
            back = {code: byte for byte, code in enumerate(table)}
            expected = [ONE_WAY.get(charset, {}).get(code, back[shown(code)]) for code in codes[charset]]
            expected = ["-" if byte is None else f"hex:{byte:02x}" for byte in expected]
            self.assertEqual(block[0].split(), expected, charset)

    # What Linux's tables lack: by bytes, by character.
    LACKS = {
        "cp932": lambda data, code: code >= 0xE000 and len(data) == 2 and data[0] >= 0xF0 and code < 0xF900
                 or data in (b"\x80", b"\xa0", b"\xfd", b"\xfe", b"\xff"),  # user-defined
        "cp950": lambda data, code: len(data) == 2 and b"\xc6\xa1" <= data <= b"\xc8\xff",  # ETEN
        "euc-jp": lambda data, code: data[0] == 0x8F,  # JIS X 0212
    }
    # Microsoft's reading of JIS X 0208.
    JIS = {0xA2: 0xFFE0, 0xA3: 0xFFE1, 0xAC: 0xFFE2, 0x2016: 0x2225, 0x2212: 0xFF0D, 0x301C: 0xFF5E}

    def test_charsets_of_many_bytes(self):
        for charset in WIDE:
            codec = self.codec(charset)
            pairs = []
            for code in range(1, 0x10000):
                try:
                    data = chr(code).encode(codec)
                except UnicodeEncodeError:
                    continue
                if data.decode(codec) == chr(code) and code != 0x0A:
                    pairs.append((code, data))
            pairs = pairs[::3] if charset == "utf8" else pairs
            wrong = lacking = 0
            for start in range(0, len(pairs), 9000):
                part = pairs[start : start + 9000]
                # A line end between characters: a damaged one spoils no other.
                data = b"\n".join(data for _, data in part)
                module = f"nls_{charset}"
                block, = self.shell([f"insmod {module}", f"nls {charset} hex:{data.hex()}"],
                                    [module, *ASKED_FOR.get(module, [])])[1]
                found = block.split("U+000a")
                self.assertEqual(len(found), len(part))
                for (code, data), words in zip(part, found):
                    if self.LACKS.get(charset, lambda *_: False)(data, code):
                        lacking += 1
                        continue
                    jis = self.JIS.get(code, code) if charset == "euc-jp" else code
                    if words.split() != [shown(jis)]:
                        wrong += 1
            self.assertEqual(wrong, 0, charset)
            print(f"{charset}: {len(pairs) - lacking} characters as Python has them, {lacking} not in the table")


class Driven(Registered):
    """Hashes and compressors with texts of many lengths; what is refused."""

    def test_digests_are_those_of_hashlib(self):
        hashes = {"sha1": "sha1", "sha384": "sha384", "sha512": "sha512", "blake2b-512": "blake2b",
                  "sha3-224": "sha3_224", "sha3-256": "sha3_256", "sha3-384": "sha3_384",
                  "sha3-512": "sha3_512"}
        modules = ["sha1-powerpc", "sha512_generic", "blake2b_generic", "sha3_generic", "crc32_generic"]
        # Both sides of each block, of 64 to 144 bytes, and of the padding.
        lengths = [1, 55, 56, 63, 64, 65, 71, 72, 73, 103, 104, 111, 112, 113, 127, 128, 129, 135, 136,
                   137, 143, 144, 145, 255, 256, 257, 1000]
        texts = [bytes((7 * n + length) & 0xFF for n in range(length)) for length in lengths]
        commands = [f"hash {name} hex:{text.hex()}" for name in [*hashes, "crc32"] for text in texts]
        blocks = self.shell([f"insmod {m}" for m in modules] + commands, modules)[len(modules):]
        expected = [hashlib.new(name, text).hexdigest() for name in hashes.values() for text in texts]
        # Linux's seed is 0 without a key, and nothing is inverted.
        expected += [(zlib.crc32(text, 0xFFFFFFFF) ^ 0xFFFFFFFF).to_bytes(4, "little").hex() for text in texts]
        self.assertEqual(blocks, [[f"hex:{digest}"] for digest in expected])

    def test_what_is_compressed_comes_back(self):
        modules = ["lz4_compress", "lz4", "lz4hc_compress", "lz4hc"]
        texts = [b"", b"a", b"ab" * 2000, bytes(range(256)) * 3,
                 hashlib.shake_128(b"tocsin").digest(3000), read(__file__)[:5000]]
        load = [f"insmod {m}" for m in modules]
        names = [name for name in ("lz4", "lz4hc") for _ in texts]
        pairs = list(zip(names, texts * 2))
        packed = self.shell(load + [f"compress {n} hex:{t.hex()}" for n, t in pairs], modules)[4:]
        back = self.shell(load + [f"compress -d {n} {p[0]}" for (n, _), p in zip(pairs, packed)], modules)[4:]
        self.assertEqual(back, [[f"hex:{text.hex()}"] for _, text in pairs])
        self.assertLess(len(packed[2][0]), 200)

    def test_another_kernels_module_is_refused(self):
        data = read(self.debian("nls_cp437"))
        found = re.search(rb"vermagic=6\.1\.0-(\d\d)-", data)
        for number, accepted in [(b"50", True), (b"49", False)]:
            spoiled = data[: found.start(1)] + number + data[found.end(1) :]
            with open(os.path.join(self.dir, "nls_cp437.ko"), "wb") as file:
                file.write(spoiled)
            command = "insmod nls_cp437" if accepted else "! insmod nls_cp437"
            _, _, lines = self.boot(f"{command}; registered; lsmod", MODULES=self.dir)
            self.assertEqual(lines[-1], "tocsin: ok", lines)
            if accepted:
                self.assertEqual(lines[1], "nls cp437 [nls_cp437]")
                continue
            self.assertRegex(lines[1], '^register nls 0x[0-9a-f]+: nls_cp437 was built for '
                                       '"6.1.0-49-powerpc64le", and how 6.1.0-50 and later 6.1 '
                                       'lay it out is known alone \\(ENOEXEC\\)$')
            self.assertEqual(lines[2:5], [
                "insmod: nls_cp437: its init function returned -8 (ENOEXEC), so it was unloaded",
                NONE, "Module                  Size  Used by"])

    def test_linux_would_not_have_both_either(self):
        # Both are for the destination options header.
        _, _, lines = self.boot("insmod nhc_dest; ! insmod nhc_ghc_ext_dest; rmmod nhc_dest; "
                                "insmod nhc_ghc_ext_dest; registered nhc",
                                MODULES=" ".join(map(self.debian, ["nhc_dest", "nhc_ghc_ext_dest"])))
        self.assertRegex(lines[1], "^register nhc 0x[0-9a-f]+: .* is registered already$")
        self.assertIn("returned -17 (EEXIST)", lines[2])
        self.assertEqual(lines[3], "nhc RFC7400 Destination Extension Header [nhc_ghc_ext_dest]")
        self.assertEqual(lines[4:7], ["  nexthdr = 60", "  nexthdrlen = 0", "  id = 182"])


if __name__ == "__main__":
    os.chdir(HERE)
    unittest.main()
