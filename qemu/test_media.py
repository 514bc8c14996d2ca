#!/usr/bin/env python3
"""Boot media, booted as a machine boots them: what `make image` makes, under SLOF.

    test_media.py            rules of files, then every medium on every processor
    MEDIA='iso-vscsi' CPUS='power9' test_media.py

SLOF needs 5 s of processor time before the kernel's first instruction, so this is not
part of `make test` but for one medium (`make test-media` is all of it). Each medium
boots the demo, a module made for this test, and commands that show what came from
where; both translations have their turn on each medium.

PowerVM's rules for a client's file are checked with readelf: nothing here runs PowerVM.
"""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
KERNEL = os.environ.get("KERNEL") or os.path.join(ROOT, "target/tocsin.stripped")
GRUB = os.environ.get("TOCSIN_GRUB_DIR") or os.path.join(
    ROOT, "target/grub/usr/lib/grub/powerpc-ieee1275")
MEDIA = (os.environ.get("MEDIA") or
         "mbr-virtio mbr-vscsi gpt-virtio gpt-vscsi iso-virtio iso-vscsi net-vlan net-virtio "
         "grub-virtio grub-vscsi").split()
CPUS = (os.environ.get("CPUS") or "power8 power9 power10").split()
# What a test says itself is not inherited.
OWN = {"CMD", "MODULES", "WORDS", "EMBED", "ONLY", "OUT", "MEDIUM", "IMAGES", "CPU", "SMP", "MEM",
       "MMU", "CAS", "FIRMWARE", "ICOUNT", "THREADS", "QEMUFLAGS", "TIMEOUT", "GDB", "KERNEL"}

UNSEEN = """#include <linux/module.h>
int unseen(int x);
noinline int unseen(int x) { return x * 3 + 1; }
static int __init unseen_init(void) { printk("unseen: here\\n"); return 0; }
static void __exit unseen_exit(void) { }
module_init(unseen_init);
module_exit(unseen_exit);
MODULE_LICENSE("GPL");
"""

MIB = 1 << 20
FILES_AT = 9 * MIB  # the second partition: behind 1 MiB and the kernel's 8


def environment(**settings):
    return {k: v for k, v in os.environ.items() if k not in OWN} | settings


def run(*command, **settings):
    """Runs a program that has to succeed; its output."""
    done = subprocess.run(command, env=environment(**settings), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{command}: status {done.returncode}\n{done.stdout}")
    return done.stdout


def image(out, **settings):
    """Makes media in `out`."""
    return run(os.path.join(ROOT, "tools/image.sh"), OUT=out, **settings)


class Folder(unittest.TestCase):
    """Tests with a folder of their own."""

    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)

    def boot(self, medium, images=None, **settings):
        """Boots a medium; the status, the kernel's lines, and what firmware said."""
        settings = {"TIMEOUT": "180", "CONSOLE_LOG": os.path.join(self.dir, "log")} | settings
        done = subprocess.run(
            [os.path.join(HERE, "run.sh")],
            env=environment(MEDIUM=medium, IMAGES=images or self.dir, **settings),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        text, errors = (b.decode("utf-8", "replace") for b in (done.stdout, done.stderr))
        return done.returncode, text.splitlines() or [""], errors


class Client(Folder):
    """The ELF32 wrapping, by PowerVM's rules."""

    def readelf(self, path):
        text = run("powerpc64le-linux-gnu-readelf", "-hlnW", path)
        heads = re.findall(r"^  (LOAD|NOTE) +" + r"(0x[0-9a-f]+) " * 5, text, re.M)
        return text, [(kind, *(int(n, 16) for n in numbers)) for kind, *numbers in heads]

    def client(self, archive=None):
        out = os.path.join(self.dir, "client")
        run(os.path.join(ROOT, "tools/client-image.sh"), KERNEL, out, *([archive] if archive else []))
        return out

    def check(self, path):
        text, heads = self.readelf(path)
        for rule in (r"Class: +ELF32$", r"Data: .*big endian$", r"Type: +EXEC ", r"Machine: +PowerPC$"):
            self.assertRegex(text, re.compile(rule, re.M))
        entry = int(re.search(r"Entry point address: +(0x[0-9a-f]+)", text)[1], 16)
        (load,) = [head for head in heads if head[0] == "LOAD"]
        _, offset, virtual, physical, in_file, in_memory = load
        self.assertEqual(virtual, physical)
        self.assertNotEqual(entry, 0)
        # QEMU's -kernel enters the lowest address, whatever the header says.
        self.assertEqual(entry, virtual)
        # The raw file is read to load-base; Open Firmware sits at real-base, up to
        # the image: three ranges that do not touch.
        load_base, real_base = 0x4000, 0x2000000
        self.assertLessEqual(load_base + os.path.getsize(path), real_base)
        self.assertGreaterEqual(virtual, real_base + 32 * MIB)
        # Inside the real mode area of the smallest machine, below 4 GiB.
        self.assertLess(virtual + in_memory, 256 * MIB)
        self.assertGreaterEqual(in_memory, in_file)
        notes = [head for head in heads if head[0] == "NOTE"]
        self.assertEqual(len(notes), 2)
        for _, at, _, _, size, _ in notes:
            self.assertLess(at + size, 16 * 1024, "notes lie at the file's start")
        found = dict(re.findall(r"^  (\S+) +0x[0-9a-f]+\t.*\((0x[0-9a-f]+)\)", text, re.M))
        self.assertEqual(found, {"PowerPC": "0x00001275", "IBM,RPA-Client-Config": "0x12759999"})
        words = [bytes.fromhex(data) for data in re.findall(r"description data: ([0-9a-f ]+)", text)]
        chrp, rpa = ([int.from_bytes(data[i:i + 4], "big") for i in range(0, len(data), 4)]
                     for data in words)
        none = 0xffffffff
        self.assertEqual(chrp, [none, real_base, none, none, none, load_base])
        self.assertEqual(rpa[0:1] + rpa[2:], [0, 0, 40, 1, none, 0, 1])
        # With what firmware and RTAS take there, and the least that the kernel works in.
        self.assertGreaterEqual(rpa[1] * MIB, virtual + in_memory + (38 + 37 + 16) * MIB)
        self.assertLess(rpa[1], 256)
        return offset, in_file, in_memory

    def kernel_bytes(self):
        (load,) = [h for h in self.readelf64() if h[0] == "LOAD"]
        _, offset, _, _, in_file, in_memory = load
        with open(KERNEL, "rb") as file:
            file.seek(offset)
            return file.read(in_file), in_memory

    def readelf64(self):
        text, heads = self.readelf(KERNEL)
        self.assertRegex(text, re.compile(r"Class: +ELF64$", re.M))
        self.assertRegex(text, re.compile(r"Data: .*little endian$", re.M))
        return heads

    def test_a_client_is_what_powervm_loads_and_has_the_kernels_bytes(self):
        path = self.client()
        offset, in_file, in_memory = self.check(path)
        want, want_memory = self.kernel_bytes()
        with open(path, "rb") as file:
            data = file.read()[offset:offset + in_file]
        self.assertEqual(data[0x10000:0x10000 + len(want)], want)
        self.assertLess(in_file - 0x10000 - len(want), 4)
        self.assertGreaterEqual(in_memory - 0x10000, want_memory)

    def test_an_archive_follows_where_the_kernels_memory_ends(self):
        archive = os.path.join(self.dir, "archive")
        with open(archive, "wb") as file:
            file.write(b"070701" * 1000)
        path = self.client(archive)
        offset, in_file, in_memory = self.check(path)
        want, want_memory = self.kernel_bytes()
        self.assertEqual(in_file, in_memory)
        with open(path, "rb") as file:
            data = file.read()[offset:]
        self.assertEqual(data[0x10000:0x10000 + len(want)], want)
        self.assertFalse(any(data[0x10000 + len(want):0x10000 + want_memory]))
        at = -(-(0x10000 + want_memory) // 0x10000) * 0x10000
        self.assertEqual(data[at:at + 6000], b"070701" * 1000)

    def test_what_firmware_could_not_read_is_refused(self):
        archive = os.path.join(self.dir, "archive")
        with open(archive, "wb") as file:
            file.truncate(31 * MIB)
        with self.assertRaisesRegex(AssertionError, "firmware reads at most 33538048"):
            self.client(archive)


class Media(Folder):
    """Every medium on every processor."""

    @classmethod
    def setUpClass(cls):
        cls.images = tempfile.mkdtemp()
        source = os.path.join(cls.images, "unseen.c")
        with open(source, "w") as file:
            file.write(UNSEEN)
        run("make", "--no-print-directory", "-C", ROOT, "module", f"SRC={source}",
            f"OUT={cls.images}/unseen.ko", CALLER=cls.images)
        with open(os.path.join(HERE, "demo.cmds")) as file:
            demo = "".join(line for line in file if line.strip() and line[0] != "#")
        image(cls.images, MODULES=f"{cls.images}/unseen.ko", CMD=demo + (
            "set -x\ninsmod unseen\ncall unseen 13\ncall -c 1 unseen 2\ncpus\nmaps\ndmesg\n"))
        if any(medium.startswith("grub") for medium in MEDIA) and os.path.isdir(GRUB):
            run(os.path.join(ROOT, "tools/grub-disk.sh"), GRUB, cls.images,
                os.path.join(cls.images, "tocsin-grub.img"))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.images)

    def medium(self, medium, cpu):
        # POWER8 has no radix; the others take it by themselves, which GRUB leaves them to:
        # it hands over its own line of arguments, not boot-file.
        grub = medium.startswith("grub")
        asks_hash = cpu == "power10" and medium.endswith("vscsi") and not grub
        mmu = "hash" if cpu == "power8" or asks_hash else "radix"
        if grub and not os.path.isdir(GRUB):
            self.skipTest("no GRUB modules for powerpc-ieee1275 (TOCSIN_GRUB_DIR)")
        asked = {} if grub else {"MMU": mmu, "AUDIT": "1"}
        status, lines, errors = self.boot(medium, self.images, CPU=cpu, SMP="2", **asked)
        shown = "\n".join([*lines, errors[-2000:]])
        self.assertEqual((status, lines[-1]), (0, "tocsin: ok"), shown)
        for line in ("= 0x2a", "unseen: here", "= 0x28", "= 0x7"):
            self.assertIn(line, lines, shown)
        self.assertIn(f"translation {mmu}", lines, shown)
        self.assertTrue(any(line.startswith("cpu 1 hardware 1 ") for line in lines), shown)
        where = {"grub": "whoever started the kernel", "net": r".*:,\\tocsin\\initrd.img",
                 "iso": r".*:,\\boot\\initrd.img"}.get(medium.split("-")[0], r".*:2,\\boot\\initrd.img")
        self.assertRegex(shown, re.compile(rf"^boot: archive .* from {where}$", re.M))

    def test_every_medium_boots_on_every_processor(self):
        for medium in MEDIA:
            for cpu in CPUS:
                with self.subTest(medium=medium, cpu=cpu):
                    self.medium(medium, cpu)


@unittest.skipUnless(os.path.isdir(GRUB), "no GRUB modules for powerpc-ieee1275 (TOCSIN_GRUB_DIR)")
class Grub(Folder):
    """The menu entry where GRUB's root is another partition than that of the files."""

    def test_files_that_lie_apart_are_found_and_words_with_them_count(self):
        image(self.dir, ONLY="grub", WORDS="mmu=hash", CMD="insmod demo; call -c 1 demo:answer; maps; cpus",
              MODULES=os.path.join(ROOT, "target/modules/demo.ko"))
        run(os.path.join(ROOT, "tools/grub-disk.sh"), GRUB, self.dir,
            os.path.join(self.dir, "tocsin-grub.img"), "apart")
        status, lines, errors = self.boot("grub-vscsi", SMP="2", TIMEOUT="60")
        self.assertEqual((status, lines[-1]), (0, "tocsin: ok"), [*lines, errors[-2000:]])
        self.assertIn("= 0x29", lines)
        self.assertIn("translation hash", lines)
        self.assertTrue(any(line.startswith("cpu 1 hardware 1 ") for line in lines), lines)


class Spoiled(Folder):
    """What is damaged is told in one line, and no command runs."""

    def setUp(self):
        super().setUp()
        image(self.dir, CMD="echo ran", ONLY="mbr net")
        self.disk = os.path.join(self.dir, "tocsin-mbr.img")

    def at(self, needle, start):
        with open(self.disk, "rb") as file:
            return file.read().index(needle, start)

    def put(self, at, data):
        with open(self.disk, "r+b") as file:
            file.seek(at)
            file.write(data)

    def refused(self, medium, why, **settings):
        status, lines, errors = self.boot(medium, **settings)
        shown = "\n".join([*lines, errors[-2000:]])
        self.assertEqual(status, 1, shown)
        self.assertRegex(lines[-1], rf"^tocsin: failed: boot: {why}$", shown)
        self.assertNotIn("ran", lines, shown)
        self.assertEqual(len([line for line in lines if "boot" in line]), 2, shown)

    def copy(self, path, name):
        run("mcopy", "-o", "-i", f"{self.disk}@@{FILES_AT}", path, f"::/boot/{name}",
            MTOOLS_SKIP_CHECK="1")

    def test_a_kernel_that_was_cut_says_so_and_leaves(self):
        self.put(MIB + 300_000, bytes(7 * MIB))
        status, lines, errors = self.boot("mbr-vscsi", TIMEOUT="40")
        self.assertEqual(status, 1)
        self.assertIn("tocsin: failed: boot: the kernel's file is damaged or was cut short: write it "
                      "again", lines, errors)

    def test_one_wrong_byte_in_the_archive(self):
        at = self.at(b"070701", FILES_AT) + 100_000
        with open(self.disk, "rb") as file:
            file.seek(at)
            old = file.read(1)[0]
        self.put(at, bytes([old ^ 0x10]))
        self.refused("mbr-virtio", r".*:2,\\boot\\initrd.img: damaged: its bytes are not .*")

    def test_a_file_that_was_cut_on_disk_and_on_a_server(self):
        full = os.path.join(self.dir, "initrd.img")
        size = os.path.getsize(full)
        for path in (full, os.path.join(self.dir, "net/tocsin/initrd.img")):
            os.truncate(path, 100_000)
        self.copy(full, "initrd.img")
        with self.subTest("disk"):
            self.refused("mbr-vscsi", rf".*initrd.img: cut short: \d+ bytes of {size}")
        with self.subTest("net"):
            self.refused("net-virtio", rf".*initrd.img: cut short: 100000 bytes of {size}")

    def test_something_else_than_an_archive(self):
        path = os.path.join(self.dir, "other")
        with open(path, "wb") as file:
            file.write(b"\x1f\x8b" * 5000)
        self.copy(path, "initrd.img")
        self.refused("mbr-vscsi", r".*initrd.img: not a cpio archive \(newc\) of modules")

    def test_the_longest_commands_and_one_byte_more(self):
        path = os.path.join(self.dir, "commands")
        text = b"echo so far\n".ljust(128 * 1024 - 1, b"#") + b"\n"
        with open(path, "wb") as file:
            file.write(text)
        self.copy(path, "commands.txt")
        status, lines, errors = self.boot("mbr-vscsi", TIMEOUT="90")
        self.assertEqual((status, lines[-1]), (0, "tocsin: ok"), errors)
        self.assertIn("so far", lines)
        with open(path, "ab") as file:
            file.write(b"\n")
        self.copy(path, "commands.txt")
        self.refused("mbr-vscsi", r".*commands.txt: too large: at most 131072 bytes are read")

    def test_commands_that_were_cut_or_lost(self):
        with open(os.path.join(self.dir, "commands.txt")) as file:
            whole = file.read()
        path = os.path.join(self.dir, "commands")
        for text, why in ((whole[:whole.rindex("#")], "cut short: it has no line `# end of commands`"),
                          (whole[:20], "no command is in it"), ("", "no command is in it")):
            with self.subTest(text=text):
                with open(path, "w") as file:
                    file.write(text)
                self.copy(path, "commands.txt")
                status, lines, errors = self.boot("mbr-vscsi")
                self.assertEqual(status, 1, errors)
                self.assertRegex(lines[-1], rf"^tocsin: failed: boot: .*:2,\\boot\\commands.txt: {why}$")
                self.assertNotIn("ran", lines)

    def test_more_than_there_is_memory_for(self):
        path = os.path.join(self.dir, "big.ko")
        with open(path, "wb") as file:
            file.truncate(150 * MIB)
        image(self.dir, CMD="echo ran", ONLY="mbr", MODULES=path)
        self.refused("mbr-vscsi", r".*initrd.img: too large: \d+ bytes, memory for \d+ \(give .*\)",
                     MEM="256M")


def changed_tree(*changes):
    """Flags with which SLOF changes its tree before it boots: node, value in Forth, property."""
    script = " ".join(f'" {node}" find-device {value} encode-int " {name}" property device-end'
                      for node, value, name in changes)
    return f"-prom-env use-nvramrc?=true -prom-env 'nvramrc={script}'"


def rtas_of(size):
    """Flags with which RTAS asks for so many bytes."""
    return changed_tree(("/rtas", f"d# {size}", "rtas-size"))


class Rtas(Folder):
    """PowerVM's RTAS has tens of MiB; QEMU's has two KiB, and may say otherwise."""

    def test_a_large_one_finds_its_place_beside_what_the_medium_has(self):
        image(self.dir, ONLY="mbr", MODULES=os.path.join(ROOT, "target/modules/demo.ko"),
              CMD="insmod demo; call demo:answer; cpus")
        status, lines, errors = self.boot("mbr-vscsi", SMP="2", MEM="256M",
                                          QEMUFLAGS=rtas_of(37_000_000))
        self.assertEqual((status, lines[-1]), (0, "tocsin: ok"), errors)
        self.assertIn("= 0x29", lines)
        self.assertTrue(any(line.startswith("cpu 1 ") for line in lines), lines)

    def test_one_that_there_is_no_room_for_is_told(self):
        image(self.dir, ONLY="mbr", CMD="echo here")
        # Nothing can switch the machine off then.
        _, lines, errors = self.boot("mbr-vscsi", TIMEOUT="15", QEMUFLAGS=rtas_of(2_000_000_000))
        self.assertIn("boot: no RTAS: one CPU runs, and the kernel cannot switch the machine off",
                      lines, errors)
        self.assertIn("here", lines)


class Tree(Folder):
    """Trees that QEMU does not make, and machines may have."""

    def test_the_cpu_that_boots_need_not_be_the_first(self):
        image(self.dir, ONLY="mbr", MODULES=os.path.join(ROOT, "target/modules/demo.ko"),
              CMD="insmod demo; call -c 1 demo:answer; cpus")
        number = "ibm,ppc-interrupt-server#s"
        status, lines, errors = self.boot("mbr-vscsi", SMP="2", QEMUFLAGS=changed_tree(
            ("/cpus/@0", "1", number), ("/cpus/@1", "0", number),
            ("/chosen", '" /cpus/@1" open-dev', "cpu")))
        self.assertEqual((status, lines[-1]), (0, "tocsin: ok"), errors)
        self.assertIn("= 0x29", lines)
        for cpu in 0, 1:
            self.assertTrue(any(line.startswith(f"cpu {cpu} hardware {cpu} ") for line in lines), lines)


class Ways(Folder):
    """Words, commands and files that differ from what was made."""

    def test_the_archive_inside_the_kernels_file_is_enough(self):
        image(self.dir, EMBED="1", ONLY="mbr", CMD="insmod demo; call demo:answer; dmesg")
        # Nothing else on the disk.
        with open(os.path.join(self.dir, "tocsin-mbr.img"), "r+b") as file:
            file.seek(FILES_AT)
            file.write(bytes(4 * MIB))
        status, lines, errors = self.boot("mbr-virtio")
        self.assertEqual((status, lines[-1]), (0, "tocsin: ok"), errors)
        self.assertIn("= 0x29", lines)

    def test_commands_and_words_can_be_edited_on_the_disk(self):
        image(self.dir, ONLY="mbr", CMD="echo old")
        path = os.path.join(self.dir, "new.txt")
        with open(path, "w", newline="") as file:
            file.write("# by hand, on some other system\r\n\r\nreboot --\r\necho new\r\nno-such\r\n")
        run("mcopy", "-o", "-i", f"{self.dir}/tocsin-mbr.img@@{FILES_AT}", path, "::/boot/commands.txt",
            MTOOLS_SKIP_CHECK="1")
        # A machine that does start again: the same lines twice, and no power-off.
        _, lines, errors = self.boot("mbr-vscsi", TIMEOUT="90", QEMUFLAGS="-action reboot=reset")
        self.assertGreaterEqual(lines.count("new"), 2, errors)
        self.assertGreaterEqual(len([line for line in lines if line.startswith("tocsin: failed: no-such")]), 2)
        self.assertNotIn("old", lines)

    def test_an_archive_made_by_cpio_alone(self):
        image(self.dir, ONLY="mbr iso", CMD="echo old")
        folder = os.path.join(self.dir, "root/lib/modules")
        os.makedirs(folder)
        shutil.copy(os.path.join(ROOT, "target/modules/demo.ko"), folder)
        archive = os.path.join(self.dir, "other.img")
        run("sh", "-c", f"cd {self.dir}/root && find . | cpio --quiet -o -H newc >{archive}")
        commands = os.path.join(self.dir, "other.txt")
        with open(commands, "w") as file:
            file.write("insmod demo\ncall demo:answer\nls")
        for path, name in (archive, "initrd.img"), (commands, "commands.txt"):
            run("mcopy", "-o", "-i", f"{self.dir}/tocsin-mbr.img@@{FILES_AT}", path, f"::/boot/{name}",
                MTOOLS_SKIP_CHECK="1")
        status, lines, errors = self.boot("mbr-vscsi")
        self.assertEqual((status, lines[-1]), (0, "tocsin: ok"), errors)
        self.assertIn("= 0x29", lines)

    def test_another_terminal_can_be_the_console(self):
        image(self.dir, ONLY="iso", WORDS="console=hvc1", CMD="echo there")
        other = os.path.join(self.dir, "other")
        self.boot("iso-vscsi", TIMEOUT="90", QEMUFLAGS=(
            f"-chardev file,id=other,path={other} -device spapr-vty,chardev=other"))
        with open(other) as file:
            self.assertEqual(file.read().splitlines()[-2:], ["there", "tocsin: ok"])

    def test_a_console_that_is_not_there_is_told_on_the_one_that_is(self):
        image(self.dir, ONLY="iso", WORDS="console=hvc7", CMD="echo there")
        status, lines, _ = self.boot("iso-vscsi")
        self.assertEqual(status, 1)
        self.assertRegex(lines[-1], r"^tocsin: failed: boot: console=hvc7: no such terminal \(vty@71000000\)$")

    def test_a_hundred_megabytes_of_modules(self):
        folder = os.environ.get("TOCSIN_MODULES_DIR")
        if not folder:
            self.skipTest("TOCSIN_MODULES_DIR is not set")
        chosen, total = os.path.join(self.dir, "chosen"), 0
        os.mkdir(chosen)
        for where, folders, files in os.walk(folder):
            folders.sort()
            for name in sorted(files):
                path = os.path.join(where, name)
                if name.endswith(".ko") and (total < 100_000_000 or name == "crc16.ko"):
                    os.symlink(path, os.path.join(chosen, name))
                    total += os.path.getsize(path)
        self.assertGreaterEqual(total, 100_000_000)
        image(self.dir, ONLY="mbr iso", MODULES=chosen,
              CMD='insmod crc16; call crc16 0 "123456789" 9')
        for medium, memory in ("mbr-vscsi", "256M"), ("iso-virtio", "8G"):
            with self.subTest(medium=medium, memory=memory):
                status, lines, errors = self.boot(medium, MEM=memory)
                self.assertEqual((status, lines[-1]), (0, "tocsin: ok"), errors)
                self.assertIn("= 0xbb3d", lines)


if __name__ == "__main__":
    unittest.main()
