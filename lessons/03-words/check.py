"""Assembles the stub for several distances and runs its words (tools/corpus/stub.py)."""

import os
import re
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
# What each of five words is for; and what it means that one is not understood.
DUTIES = ("to find something that is right whoever calls", "to add the distance's high half",
          "to add the low half, and load the target's address", "to put that address where a jump takes it from",
          "to jump there, and change nothing else")
ORDINALS = ("first", "second", "third", "fourth", "last")
WRONG = (
    ("stores", "writes to memory; every place that it knows belongs to somebody else"),
    ("computes with", "uses a register that no word before it has set, and that holds nothing known"),
    ("loads from", "loads from a place where what you need is not"),
    ("ends up", "jumps, but no word has said where to"),
    ("gets to", "jumps, but the target wants its own address in r12"),
    ("", "does something that this stub has no use for: what it changes may be in use"),
)


def check(lab):
    for distance in DISTANCES:
        words = assemble(lab, distance)
        if not words:
            raise NotYet("stub.S: no instruction yet")
        at = STUB
        memory = {STUB + at: words[at:at + 4] for at in range(0, len(words), 4)}
        place = KERNEL_TOC + distance & (1 << 64) - 1

        def read(address, length):
            nonlocal at
            if length == 4:
                at = address
            if length == 8 and address == place:
                return struct.pack("<Q", TARGET)
            if STUB <= address < STUB + SLOT and length == 4:
                return memory.get(address, bytes(4))
            raise simulator.Lost(f"loads from {address:#x}; the target's address lies at {place:#x}")

        try:
            end = simulator.run(STUB, MODULE_TOC, read, {PACATOC: KERNEL_TOC}, None)
        except simulator.Lost as why:
            raise NotYet(f"with a distance of {distance:#x}: {explained(lab, (at - STUB) // 4, str(why))}") from None
        if end.saves_toc:
            raise NotYet("24(r1) is the caller's: it may hold the caller's r2 at this very moment")
        if 11 in end.changed:
            raise NotYet("r11 may hold the environment of a nested function: leave it alone")
        if end.changed - {12}:
            raise NotYet(f"it changes r{min(end.changed - {12})}, which is in use")
        if end.target != TARGET:
            raise NotYet(f"it jumps to {end.target:#x}; the target is at {TARGET:#x}, and {place:#x} is where that is kept")
        if len(words) > 20:
            raise NotYet("five instructions are enough")


def explained(lab, number, why):
    """What is wrong with one word of the stub, counted from 0."""
    done = subprocess.run([CROSS + "objdump", "-d", "--no-show-raw-insn", os.path.join(lab.work, "stub.o")],
                          stdout=subprocess.PIPE, check=True)
    words = [" ".join(row.split()) for row in re.findall(r"^ +[0-9a-f]+:\t(.*)$", done.stdout.decode(), re.M)]
    if number >= len(words):
        return f"the stub does not end: behind word {len(words)}, `{words[-1]}`, the CPU goes on with whatever is there"
    what = next(meaning for mark, meaning in WRONG if why.startswith(mark))
    what += f" ({why})" if why.startswith("loads from 0x") else ""
    duty = DUTIES[min(number, len(DUTIES) - 1)]
    return f"word {number + 1}, `{words[number]}`, {what}. Of five words the {ORDINALS[min(number, 4)]} is there {duty}"


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
