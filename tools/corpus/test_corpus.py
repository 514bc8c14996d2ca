#!/usr/bin/env python3
"""Tests of the corpus check: that it agrees where all is well, and only there.

The first class boots the machine, with our own modules and with the few of
Debian's in sample.txt. The second alters a linked image byte by byte and wants
exactly that place named: a check that cannot fail would show nothing.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(os.path.dirname(HERE)), "qemu")]

import cases  # noqa: E402
import corpus  # noqa: E402
import model  # noqa: E402

OURS = os.path.join(corpus.ROOT, "target", "modules")


def describe(found):
    return [" ".join(map(str, difference)) for difference in found]


class Agree(unittest.TestCase):
    """Kernel, host and model say the same of every byte."""

    def compare(self, paths, names=None):
        result = corpus.compare(paths, names, jobs=2)
        wrong = describe(result.report.differences + result.far.differences)
        self.assertEqual((wrong, result.digests_wrong, result.broken), ([], [], []))
        self.assertEqual(dict(result.refusals), {})
        return result

    def test_our_own_modules(self):
        paths = [os.path.join(OURS, name) for name in os.listdir(OURS) if name.endswith(".ko")]
        result = self.compare(paths)
        self.assertEqual(result.loaded, len(paths))
        self.assertLessEqual({"REL16_HA", "REL16_LO", "TOC16_HA", "TOC16_LO", "REL24", "ADDR64"},
                             {model.TYPES[kind][0] for kind in result.report.types})

    def test_what_only_assembly_has(self):
        """Types that no module here has, DS and DQ forms: the fixtures of the loader's tests."""
        with tempfile.TemporaryDirectory() as scratch:
            paths = []
            for name in ("fields", "parts", "prefixed", "pcrel"):
                paths.append(os.path.join(scratch, f"only_{name}.ko"))
                source = os.path.join(corpus.ROOT, "tests", "fixtures", name + ".S")
                subprocess.run(["powerpc64le-linux-gnu-as", "-mpower10", "-o", paths[-1], source],
                               check=True)
            result = self.compare(paths)
        self.assertLessEqual({"TOC16_DS", "TOC16_LO_DS", "TOC16_HI", "REL14", "ADDR32",
                              "ADDR16", "ADDR16_HIGHESTA", "REL16_HIGHESTA", "REL24_NOTOC",
                              "PCREL34", "GOT_PCREL34", "PLT_PCREL34"},
                             {model.TYPES[kind][0] for kind in result.report.types})

    def test_compressed_ones_are_compared_as_well(self):
        with tempfile.TemporaryDirectory() as scratch:
            paths = [os.path.join(scratch, "demo_xz.ko.xz"), os.path.join(scratch, "rust_zst.ko.zst")]
            for path, name, pack in zip(paths, ("demo", "rust_hello"), (["xz", "-c", "-C", "crc32"],
                                                                        ["zstd", "-cq"])):
                with open(path, "wb") as out:
                    subprocess.run([*pack, os.path.join(OURS, name + ".ko")], stdout=out, check=True)
            result = self.compare(paths)
        self.assertEqual(result.loaded, 2)
        counts = result.report.counts
        self.assertEqual(counts["patchable functions"], counts["patchable call sites"])
        self.assertGreater(counts["patchable call sites"], 5)

    def test_one_that_cannot_be_read_leaves_the_others(self):
        with tempfile.TemporaryDirectory() as scratch:
            for name in ("demo", "hello"):
                # Under another name, for the machine has ours already.
                shutil.copy(os.path.join(OURS, name + ".ko"), f"{scratch}/copy_{name}.ko")
            with open(os.path.join(scratch, "cut.ko.zst"), "wb") as file:
                file.write(bytes.fromhex("28b52ffd") + b"cut")
            with open(os.path.join(scratch, "other.ko.gz"), "wb") as file:
                file.write(bytes.fromhex("1f8b08"))
            # As `make corpus` runs it: nothing of zstd's own reaches the terminal.
            done = subprocess.run([corpus.__file__, "--jobs", "1", scratch], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.assertIn("2 modules: 2 loaded, 0 refused\n", done.stdout)
        self.assertRegex(done.stdout, r"not compared: \S+/cut.ko.zst: zstd cannot read it \(.+\)\n")
        self.assertRegex(done.stdout, r"not compared: \S+/other.ko.gz: left out, for gzip is not supported")

    def test_a_sample_of_debians_modules(self):
        tree = os.environ.get("TOCSIN_MODULES_DIR")
        if not tree:
            self.skipTest("needs Debian's modules, and TOCSIN_MODULES_DIR is not set")
        result = self.compare([tree], os.path.join(HERE, "sample.txt"))
        self.assertGreaterEqual(result.loaded, 20)
        # All types that occur in any of the 3,126.
        self.assertEqual({10, 26, 38, 44, 48, 50, 64, 118}, set(result.report.types))
        self.assertGreater(result.report.counts["nops behind a call site, kept"], 0)


BASE = 0x2000_0000
FACTS = {"mcount": 0x440_0280, "mcount_late": 0x440_0300, "sibling": 0x440_0380,
         "kernel_toc": 0x44C_A700, "paca_kernel_toc": 16, "paca_sibling": 24,
         "paca_shadow_sp": 32, "paca_shadow_limit": 40, "paca_shadow_return": 56}


class Alter(unittest.TestCase):
    """A wrong byte is found, wherever it is, and the place is named."""

    @classmethod
    def setUpClass(cls):
        try:
            paths = [cases.find_module("cachefiles"), cases.find_module("crc32c-vpmsum")]
        except cases.Skipped:
            paths = []
        paths += [os.path.join(OURS, "seed_ibmvscsi.ko"), os.path.join(OURS, "rust_hello.ko")]
        cls.scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.scratch.cleanup)
        paca = {FACTS["paca_kernel_toc"]: FACTS["kernel_toc"],
                FACTS["paca_sibling"]: FACTS["sibling"]}
        # Some names are exported, near and far, and some are not.
        exports = {"_mcount": FACTS["mcount"], "_printk": 0x440_1000,
                   "mutex_lock": 0xC008_0000_1234_8000}
        text = "".join(f"fact {name} {value:#x}\n" for name, value in FACTS.items())
        text += "".join(f"export {name} {value:#x}\n" for name, value in exports.items())
        cls.machine = model.Machine(exports, paca, FACTS)
        cls.modules = []
        with corpus.Linker(text, cls.scratch.name) as linker:
            for path in paths:
                module = corpus.Module(path, cls.scratch.name)
                rows, data = linker.link(BASE, module.file)
                cls.modules.append((module, data, corpus.image_of(data, rows)))

    def check(self, module, image, data):
        image = model.Image(image.base, bytes(data), image.sections, image.stubs,
                            image.targets, image.toc)
        return model.check(module.name, module.elf, image, self.machine).differences

    def altered(self, module, data, image, at, bit=1):
        spoiled = bytearray(data)
        spoiled[at - image.base] ^= bit
        return self.check(module, image, spoiled)

    def test_as_linked_nothing_differs(self):
        for module, data, image in self.modules:
            self.assertEqual(describe(self.check(module, image, data)), [], module.name)

    def test_a_bit_of_any_field_is_missed(self):
        chosen = random.Random("tocsin corpus")
        for module, data, image in self.modules:
            places = {}
            for index, (start, _) in image.sections.items():
                for offset, info, _ in module.elf.relocations(index):
                    kind = info & 0xFFFFFFFF
                    places.setdefault(kind, []).append((index, offset, start + offset))
            for kind, all_places in places.items():
                for index, offset, at in chosen.sample(all_places, min(8, len(all_places))):
                    width = model.TYPES[kind][1] or 4
                    byte = chosen.randrange(width)
                    found = self.altered(module, data, image, at + byte, 1 << chosen.randrange(8))
                    name = f"{module.elf.sections[index].name}+{offset:#x}"
                    self.assertIn((name, model.type_name(kind)),
                                  [(one.place, one.kind) for one in found], describe(found))
                    # A stub that nothing leads to any more is said as well.
                    rest = [one for one in found if one.place != name]
                    self.assertEqual([one for one in rest if not one.place.startswith("(")], [])

    def test_a_bit_that_no_relocation_covers_is_missed_too(self):
        chosen = random.Random("tocsin corpus gaps")
        for module, data, image in self.modules:
            covered = set()
            for index, (start, _) in image.sections.items():
                for offset, info, _ in module.elf.relocations(index):
                    covered.update(range(start + offset, start + offset + 8))
            free = [at for at in range(image.base, image.base + len(data)) if at not in covered]
            for at in chosen.sample(free, 60):
                found = self.altered(module, data, image, at, 1 << chosen.randrange(8))
                self.assertNotEqual(found, [], f"{module.name} {at:#x}")

    def test_every_word_of_every_stub_matters(self):
        chosen = random.Random("tocsin corpus stubs")
        for module, data, image in self.modules:
            for start, size in image.stubs, image.targets:
                words = range(start, start + size, 4)
                for at in chosen.sample(words, min(60, len(words))):
                    found = self.altered(module, data, image, at, 0x10)
                    self.assertNotEqual(found, [], f"{module.name} {at:#x}")


if __name__ == "__main__":
    unittest.main()
