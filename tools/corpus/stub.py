"""Where does a branch really go? Runs a stub's instructions and says what they do.

A handful of instructions is enough for every stub there is. Registers hold numbers,
or a place and a distance from it where the number is not known:

    r1  ("stack", 0)    r2  the module's TOC     r13 ("paca", 0)
    lr  ("lr", 0)       what r0, r11, r12 and ctr held before is gone: None

Anything that is not understood ends the run with `Lost`. So a stub is not believed
because it looks like one: it is believed because it gets to its target, with r12
holding it, and has done nothing else that it may not do.

Encodings: Power ISA Book I, chapters "Branch Facility" and "Fixed-Point Facility".
"""

import struct

NOP, TRAP = 0x60000000, 0x7FE00008
BCTR, MFLR_R0, MTLR_R0 = 0x4E800420, 0x7C0802A6, 0x7C0803A6
MISSING = int.from_bytes(b"mis\0", "little")
NOTOC = int.from_bytes(b"ntc\0", "little")
TOC_SLOT = ("stack", 24)
WORDS_MAX = 16


class Lost(Exception):
    """A stub that does something else, in one line."""


class Outcome:
    """What becomes of somebody who branches to a stub."""

    def __init__(self):
        self.target = None      # where it ends up, with r12 = target
        self.saves_toc = False  # r2 was put into 24(r1)
        self.sibling = False    # by way of the routine for sibling calls
        self.notoc = False      # says that it is for code without a TOC pointer
        self.missing = None     # traps, naming this symbol
        self.hook = None        # calls this with r0 = lr on the way (out-of-line)
        self.back = None        # ... and then goes here
        self.changed = set()    # registers
        self.explained = []     # (address, length) of what was run or loaded


def signed(value, bits):
    """The low `bits` of a number, the highest of them as its sign."""
    half = 1 << bits - 1
    return (value & (half << 1) - 1 ^ half) - half


def branch_target(word, at):
    """Where an I-form branch at `at` goes; None if the word is none, or absolute."""
    if word >> 26 != 18 or word & 2:
        return None
    return at + signed(word & 0x03FFFFFC, 26) & 0xFFFFFFFFFFFFFFFF


def plus(value, distance):
    if value is None:
        raise Lost("computes with a register that holds nothing known")
    if isinstance(value, tuple):
        return (value[0], value[1] + distance)
    return value + distance & 0xFFFFFFFFFFFFFFFF


def run(at, toc, read, paca, sibling):
    """Runs the stub at `at`.

    `read(address, length)` gives bytes of the image, `paca` what lies at an offset
    of the block that r13 points at, `sibling` is the kernel's routine.
    """
    outcome = Outcome()
    registers = [None] * 32
    registers[1], registers[2], registers[13] = ("stack", 0), toc, ("paca", 0)
    lr, ctr = ("lr", 0), None

    def word_at(address):
        return struct.unpack("<I", read(address, 4))[0]

    def load(address):
        if isinstance(address, tuple):
            if address[0] != "paca" or address[1] not in paca:
                raise Lost(f"loads from {address[1]}({address[0]})")
            return paca[address[1]]
        outcome.explained.append((address, 8))
        return struct.unpack("<Q", read(address, 8))[0]

    for step in range(WORDS_MAX):
        here = at + 4 * step
        word = word_at(here)
        opcode, rt, ra = word >> 26, word >> 21 & 31, word >> 16 & 31
        outcome.explained.append((here, 4))
        if opcode in (14, 15):  # addi, addis
            distance = signed(word, 16) << (16 if opcode == 15 else 0)
            registers[rt] = plus(registers[ra] if ra else 0, distance)
            outcome.changed.add(rt)
        elif opcode == 58 and word & 3 == 0:  # ld
            registers[rt] = load(plus(registers[ra] if ra else 0, signed(word & 0xFFFC, 16)))
            outcome.changed.add(rt)
        elif opcode == 62 and word & 3 == 0:  # std
            place = plus(registers[ra] if ra else 0, signed(word & 0xFFFC, 16))
            if place != TOC_SLOT or rt != 2 or registers[2] != toc:
                raise Lost(f"stores r{rt} at {place}")
            outcome.saves_toc = True
        elif word & 0xFC1FFFFF == 0x7C0903A6:  # mtctr
            ctr = registers[rt]
        elif word == BCTR:
            if ctr is None or isinstance(ctr, tuple):
                raise Lost("ends up nowhere known")
            outcome.sibling = ctr == sibling
            if not outcome.sibling and registers[12] != ctr:
                raise Lost(f"gets to {ctr:#x}, but r12 is not that")
            outcome.target = registers[12]
            if step == 4 and word_at(here + 4) == NOTOC:
                outcome.notoc = True
                outcome.explained.append((here + 4, 4))
            return outcome
        elif word == MFLR_R0:
            registers[0] = lr
        elif word == MTLR_R0:
            lr = registers[0]
        elif opcode == 18 and word & 1 and outcome.hook is None and registers[0] == ("lr", 0):
            outcome.hook = branch_target(word, here)
            lr = None  # the hook comes back, with r0 as it was
        elif opcode == 18 and not word & 1 and outcome.hook is not None and lr == ("lr", 0):
            outcome.back = branch_target(word, here)
            return outcome
        elif word == TRAP and step == 0:
            mark, symbol, inverse = struct.unpack("<III", read(here + 4, 12))
            if mark != MISSING or symbol ^ inverse != 0xFFFFFFFF:
                raise Lost("traps and does not say what for")
            outcome.explained.append((here + 4, 12))
            outcome.missing = symbol
            return outcome
        else:
            raise Lost(f"{word:08x} at word {step}")
    raise Lost("does not end")
