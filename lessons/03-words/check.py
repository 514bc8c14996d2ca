"""Assembles the stub for several distances and runs its words (tools/corpus/stub.py)."""

import os
import struct
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools", "corpus"))
import stub as simulator  # noqa: E402

CROSS = "powerpc64le-linux-gnu-"
STUB, TARGET, KERNEL_TOC, MODULE_TOC = 0x12000000, 0x4400380, 0x44F9100, 0x12AEE000
PACATOC, SLOT = 16, 32
# Low halves of both signs, either end of what two halves reach, and close by.
DISTANCES = (0xE5E8FA8, 0x12348000, 0x12347FF8, 0x7FFF7FF8, -0x80008000, 8, -8)


def check(lab):
    for distance in DISTANCES:
        words = assemble(lab, distance)
        if not words:
            raise NotYet("stub.S: no instruction yet")
        memory = {STUB + at: words[at:at + 4] for at in range(0, len(words), 4)}
        place = KERNEL_TOC + distance & (1 << 64) - 1

        def read(address, length):
            if length == 8 and address == place:
                return struct.pack("<Q", TARGET)
            if STUB <= address < STUB + SLOT and length == 4:
                return memory.get(address, bytes(4))
            raise simulator.Lost(f"goes on, or loads, at {address:#x}, where nothing of its is")

        try:
            end = simulator.run(STUB, MODULE_TOC, read, {PACATOC: KERNEL_TOC}, None)
        except simulator.Lost as why:
            raise NotYet(f"with a distance of {distance:#x}: {why}") from None
        if end.saves_toc:
            raise NotYet("24(r1) is the caller's: it may hold the caller's r2 at this very moment")
        if 11 in end.changed:
            raise NotYet("r11 may hold the environment of a nested function: leave it alone")
        if end.changed - {12}:
            raise NotYet(f"it changes r{min(end.changed - {12})}, which is in use")
        if end.target != TARGET:
            raise NotYet("it goes elsewhere")
        if len(words) > 20:
            raise NotYet("five instructions are enough")


def assemble(lab, distance):
    """The words of stub.S, as bytes."""
    obj, raw = os.path.join(lab.work, "stub.o"), os.path.join(lab.work, "stub.bin")
    done = subprocess.run(
        [CROSS + "as", "-mregnames", "-mpower8", "--defsym", f"DISTANCE={distance}", "-o", obj, lab.path("stub.S")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )
    if done.returncode:
        raise NotYet("stub.S: does not assemble:\n" + done.stdout.decode())
    subprocess.run([CROSS + "objcopy", "-O", "binary", "-j", ".text", obj, raw], check=True)
    with open(raw, "rb") as file:
        return file.read()
