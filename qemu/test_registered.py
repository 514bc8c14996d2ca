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


if __name__ == "__main__":
    os.chdir(HERE)
    unittest.main()
