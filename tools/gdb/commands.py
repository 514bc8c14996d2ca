"""Commands of `make debug`: `paca`, `lsmod`, `stubs`, `sites`."""

import os
import struct
import sys

import gdb

import modules
import rust
from names import symbol_at

sys.path.insert(0, os.path.join(os.getcwd(), "tools", "corpus"))
import stub as simulator  # noqa: E402  (what runs a stub's words, see there)


class Command(gdb.Command):
    """A command whose help is its docstring."""

    def __init__(self, name):
        super().__init__(name, gdb.COMMAND_DATA)
        self.dont_repeat()


def needed(argument, command):
    """A module's name, which the command cannot do without."""
    if not argument:
        raise gdb.GdbError(f"use: {command} MODULE (lsmod lists them)")


class Paca(Command):
    """paca [CPU]: the data of a CPU (without a number: of all that run)."""

    def __init__(self):
        super().__init__("paca")

    def invoke(self, argument, from_tty):
        kind = gdb.lookup_type("tocsin::machine::paca::Paca").pointer()
        at = [rust.number(value) for value in array(rust.static("tocsin::machine::smp::PACAS"))]
        for cpu, address in enumerate(at):
            if address and argument in ("", str(cpu)):
                value = gdb.Value(address).cast(kind).dereference()
                print(value.format_string(pretty_structs=True))


def array(value):
    low, high = value.type.range()
    return [value[i] for i in range(low, high + 1)]


class Lsmod(Command):
    """lsmod: the loaded modules, and where their sections are."""

    def __init__(self):
        super().__init__("lsmod")

    def invoke(self, argument, from_tty):
        for module in modules.loaded():
            print(f"{module.name} at {module.base:#x}, r2 {module.toc:#x}")
            for name, address, size in module.sections:
                print(f"  {address:#x} {size:#8x} {name}")


class Stubs(Command):
    """stubs MODULE: its stubs, and what each leads to: found by running its words.

    The words are read from memory and run one by one here; the module's own table is
    only asked where stubs begin, and as what they were built."""

    def __init__(self):
        super().__init__("stubs")

    def invoke(self, argument, from_tty):
        needed(argument, "stubs")
        module = modules.named(argument)
        paca = gdb.lookup_type("tocsin::machine::paca::Paca")
        block = rust.number(array(rust.static("tocsin::machine::smp::PACAS"))[0])
        held = {
            f.bitpos // 8: rust.u64_at(block + f.bitpos // 8)
            for f in paca.fields()
            if f.type.sizeof == 8
        }
        sibling = held[next(f.bitpos // 8 for f in paca.fields() if f.name == "sibling")]
        for at, kind in module.stubs():
            try:
                end = simulator.run(at, module.toc, rust.bytes_of, held, sibling)
                print(f"{at:#x} {kind}: {outcome(end)}")
            except simulator.Lost as why:
                print(f"{at:#x} {kind}: {why}")


def outcome(end):
    if end.missing is not None:
        return f"traps: nobody exports its symbol {end.missing}"
    if end.hook is not None:
        return f"calls {symbol_at(end.hook)}, goes on at {symbol_at(end.back)}"
    how = "saves r2, " if end.saves_toc else ""
    how += "by way of the shadow stack, " if end.sibling else ""
    return f"{how}to {symbol_at(end.target)}"


class Sites(Command):
    """sites MODULE: its call sites, and what each does now."""

    def __init__(self):
        super().__init__("sites")

    def invoke(self, argument, from_tty):
        needed(argument, "sites")
        table = rust.static("tocsin::kernel::tracing::SITES")
        table = rust.field(table, "data", "value")
        for module in rust.vec(table["modules"]):
            if rust.string(module["name"]).replace("-", "_") == argument.replace("-", "_"):
                break
        else:
            raise gdb.GdbError(f"{argument}: no sites of a module of that name (see lsmod)")
        traced = [int(word) for word in rust.vec(module["traced"]["words"])]
        redirected = [int(word) for word in rust.vec(module["redirected"]["words"])]
        for index, site in enumerate(rust.vec(module["sites"])):
            if index < int(module["first"]):
                continue
            state = [
                word
                for word, bits in (("traced", traced), ("redirected", redirected))
                if bits and bits[index // 64] >> index % 64 & 1
            ]
            word = struct.unpack("<I", rust.bytes_of(int(site["at"]), 4))[0]
            print(f"{site.format_string()}; now {word:08x}: {' and '.join(state) or 'off'}")


Paca()
Lsmod()
Stubs()
Sites()
