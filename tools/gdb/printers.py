"""Shows the kernel's structures as what they mean.

    p site          0x12ae2004 answer+4: early; on: bl 0x12ae2760 <stub 2 of demo>
    paca            whose it is, what its CPU does, how deep its stacks are

What is not listed here prints as gdb prints any structure; `p/r` does so always.
"""

import gdb
import gdb.printing

import rust
from names import symbol_at

NOP = 0x60000000
KINDS = ("early", "early, behind a store", "late", "patchable")
FOREVER = (1 << 64) - 1


class Address:
    """`Vaddr`: a number and what lies there."""

    def __init__(self, value):
        self.at = rust.number(value)

    def to_string(self):
        name = symbol_at(self.at)
        return f"{self.at:#x}" if name == f"{self.at:#x}" else f"{self.at:#x} <{name}>"


class Word:
    """`Insn`: an instruction word."""

    def __init__(self, value):
        self.word = rust.number(value)

    def to_string(self):
        return f"{self.word:#010x}" + (" nop" if self.word == NOP else "")


def branch(word, at):
    """A branch to a named place, or the word."""
    if word >> 26 != 18 or word & 2:
        return f"{word:#010x}"
    distance = (word & 0x03FFFFFC ^ 0x02000000) - 0x02000000
    return f"{'bl' if word & 1 else 'b'} {symbol_at(at + distance)}"


class Site:
    """A row of the site table."""

    def __init__(self, value):
        self.at = int(value["at"])
        self.on = rust.number(value["on"])
        self.kind = KINDS[int(value["function_and_kind"]) >> 30]

    def to_string(self):
        return f"{self.at:#x} {symbol_at(self.at)}: {self.kind}; on: {branch(self.on, self.at)}"


class Stub:
    """A row of a module's table of stubs, as found (`Entry`)."""

    def __init__(self, value):
        self.at = rust.number(value["at"])
        self.kind = str(value["kind"]).rpartition("::")[2]
        self.owner = int(value["owner"])

    def to_string(self):
        whose = "site" if self.kind in ("OutOfLine", "Redirect") else "symbol"
        return f"{self.at:#x} {self.kind} stub for {whose} {self.owner}"


class Paca:
    """The data of one CPU. Entries of its stacks are the innermost last."""

    ENTRY = 32  # bytes, on each of the three stacks

    def __init__(self, value):
        self.value = value

    def at(self, name):
        return int(self.value[name])

    def to_string(self):
        right = "" if self.at("this") == int(self.value.address) else ", which it does not say of itself"
        return f"PACA of CPU {self.at('cpu')} at {int(self.value.address):#x}{right}"

    def stack(self, name):
        """Where the calls on a stack will return to."""
        low, high = self.at(f"{name}_base"), self.at(f"{name}_sp")
        if low == 0 or high < low:
            return "none"
        back = [symbol_at(rust.u64_at(at)) for at in range(low, high, self.ENTRY)]
        return f"{len(back)} deep" + (": back to " + ", ".join(back) if back else "")

    def children(self):
        at = self.at
        yield "kernel_toc", f"{at('kernel_toc'):#x}"
        if at("call_number"):
            limit = "" if at("stop_at") == FOREVER else f", ends at timebase {at('stop_at'):#x}"
            yield "call", f"number {at('call_number')}, {symbol_at(at('call_entry'))}{limit}"
        else:
            yield "call", "none"
        yield "stack", f"{at('stack_low'):#x} to {at('stack_high'):#x}"
        yield "emergency stack", f"{at('emergency_low'):#x} to {at('emergency_high'):#x}"
        yield "shadow stack", self.stack("shadow")
        yield "graph stack", self.stack("graph")
        yield "probe stack", self.stack("probe")
        if at("ring_base"):
            yield "ring", f"{at('ring_head')} records ever, room for {at('ring_mask') + 1}"
        else:
            yield "ring", "off"
        yield "ticks", str(at("ticks"))
        yield "trap_depth", str(at("trap_depth"))
        if at("stopped") or at("reporting"):
            yield "stopped at", f"{symbol_at(at('where_nip'))}, reporting {at('reporting')}"


def register():
    printers = gdb.printing.RegexpCollectionPrettyPrinter("tocsin")
    printers.add_printer("Vaddr", "^tocsin::addr::Vaddr$", Address)
    printers.add_printer("Insn", "^tocsin::isa::Insn$", Word)
    printers.add_printer("Site", "^tocsin::trace::sites::Site$", Site)
    printers.add_printer("Stub", "^tocsin::loader::stubs::table::Entry$", Stub)
    printers.add_printer("Paca", "^tocsin::machine::paca::Paca$", Paca)
    gdb.printing.register_pretty_printer(None, printers, replace=True)


register()
