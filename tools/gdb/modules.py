"""Modules come and go, and gdb with them.

The kernel never changes its list of modules but replaces it: one pointer in
`kernel::modules::MODULES`. A watchpoint on that word stops gdb at each change,
unseen. A module that is new has its symbols added, before its init runs; those of
one that has gone are taken away. So `break answer` works before `demo` is loaded.

The file with the symbols is the one that was loaded, read from the guest's memory,
also if it was packed or lay elsewhere: target/gdb/NAME.ko. It has lines of its
source if it was built with `make module MODULE_FLAGS=-g`.
"""

import os
import sys

import gdb

import rust

sys.path.insert(0, os.path.join(os.getcwd(), "tools", "corpus"))
import elf  # noqa: E402

# Addresses that this machine has not: for sections that are in a file and not in memory.
NOWHERE = 0xE000000000000000
FOLDER = os.path.join("target", "gdb")
LIST = "tocsin::kernel::modules::MODULES"


class Module:
    """A loaded module, as the kernel has it."""

    def __init__(self, value):
        self.name = rust.string(value["name"])
        self.number = int(value["number"])
        self.slot_bytes = int(value["layout"]["slot_bytes"])
        self.views, self.file = self.joined(value["viewed"])
        linked = self.views["linked"]
        self.base = rust.number(linked["base"])
        self.toc = rust.number(linked["toc"])
        layout = value["layout"]
        table, count = [int(n) for n in rust.vec(layout["table"])], int(layout["sections"])
        # Offsets by the file's sections, then which of these are in memory, by rising offset.
        self.placed = [(index, self.base + table[index]) for index in table[count:]]

    @staticmethod
    def joined(viewed):
        """The two halves of a `self_cell`: the file's owner, and what borrows from it."""
        cell = rust.first_pointer(viewed)
        kind = gdb.lookup_type(
            "self_cell::unsafe_self_cell::JoinedCell<"
            "tocsin::kernel::module_file::ModuleFile, tocsin::kernel::modules::Views>"
        )
        cell = cell.cast(kind.pointer()).dereference()
        return cell["dependent"], cell["owner"]

    @property
    def sections(self):
        """(name, address, size) of each section that is in memory."""
        of_file = elf.Elf(self.bytes()).sections
        return [(of_file[index].name, at, of_file[index].size) for index, at in self.placed]

    def bytes(self):
        """The module's file, unpacked."""
        unpacked = self.file["unpacked"]
        copy = some(unpacked)
        if copy is None:
            return rust.slice_bytes(rust.field(self.file, "file", "data"))
        return rust.bytes_of(rust.number(copy["pages"]["start"]), int(copy["len"]))

    def stubs(self):
        """(address, kind) of each stub."""
        table = self.views["linked"]["stubs"]
        base = rust.number(table["base"])
        for record in rust.vec(table["records"]):
            yield base + int(record["offset"]), str(record["kind"]).rpartition("::")[2]

    def add_symbols(self):
        os.makedirs(FOLDER, exist_ok=True)
        path = os.path.join(FOLDER, f"{self.name}.ko")
        with open(path, "wb") as file:
            file.write(self.bytes())
        placed = [(name, address) for name, address, _ in self.sections]
        # gdb puts what it is not told of at 0, and would name small numbers after it.
        known = {name for name, _ in placed}
        absent = [s for s in elf.Elf(self.bytes()).sections if s.is_alloc and s.name not in known]
        at = NOWHERE
        for section in absent:
            placed.append((section.name, at))
            at += section.size + 0x1000
        places = " ".join(f"-s {name} {address:#x}" for name, address in placed)
        gdb.execute(f"add-symbol-file {path} {places}", to_string=True)
        self.path = os.path.abspath(path)

    def remove_symbols(self):
        for objfile in gdb.objfiles():
            if objfile.filename == self.path:
                gdb.execute(f"remove-symbol-file {self.path}", to_string=True)
                return


def some(option):
    """What an `Option` holds, or None."""
    for f in option.type.fields():
        if f.name == "Some":
            return rust.field(option, "Some", "__0")
    return None


def stub_name(address):
    """What an address in a slot of stubs is called, or None."""
    for module in loaded():
        for number, (at, kind) in enumerate(module.stubs()):
            if at <= address < at + module.slot_bytes:
                return f"{kind} stub {number} of {module.name}"
    return None


def list_address():
    value = rust.field(rust.static(LIST), "data", "value")
    return int(value.address)


def loaded():
    """The loaded modules, in the order in which they came."""
    at = rust.u64_at(list_address())
    if at == 0:
        return []
    kind = gdb.lookup_type(
        "alloc::sync::ArcInner<alloc::vec::Vec<alloc::sync::Arc<tocsin::kernel::modules::Module, "
        "alloc::alloc::Global>, alloc::alloc::Global>>"
    )
    modules = gdb.Value(at).cast(kind.pointer()).dereference()["data"]
    return [Module(rust.arc(module)) for module in rust.vec(modules)]


def named(name):
    for module in loaded():
        if module.name.replace("-", "_") == name.replace("-", "_"):
            return module
    raise gdb.GdbError(f"{name}: no module of that name (see lsmod)")


class Watch(gdb.Breakpoint):
    """Stops at each change of the list, looks, and goes on."""

    def __init__(self):
        gdb.execute("set language c")
        super().__init__(
            f"*(unsigned long *){list_address():#x}",
            gdb.BP_WATCHPOINT,
            gdb.WP_WRITE,
            internal=True,
        )
        gdb.execute("set language auto")
        self.silent = True
        self.known = {}

    def stop(self):
        now = {module.number: module for module in loaded()}
        for number in self.known.keys() - now.keys():
            self.known.pop(number).remove_symbols()
        for number in now.keys() - self.known.keys():
            self.known[number] = now[number]
            now[number].add_symbols()
        return False


class WatchModules(gdb.Command):
    """watch-modules: from now on modules' symbols come and go by themselves."""

    def __init__(self):
        super().__init__("watch-modules", gdb.COMMAND_RUNNING)

    def invoke(self, argument, from_tty):
        Watch().stop()


WatchModules()
