"""Reads values of Rust's own types: vectors, texts, counted pointers.

Their layouts are the compiler's, so nothing here counts bytes: gdb knows the
members from the kernel's debug information, and this knows their names.
"""

import gdb


def field(value, *names):
    """A member of a member ..., by names."""
    for name in names:
        value = value[name]
    return value


def newtype(value):
    """What a structure with one number in it holds (`Vaddr(u64)`, an atomic, a cell)."""
    while value.type.strip_typedefs().code == gdb.TYPE_CODE_STRUCT:
        inner = [f for f in value.type.strip_typedefs().fields() if f.type.sizeof]
        if len(inner) != 1:
            raise ValueError(f"{value.type}: not one number")
        value = value[inner[0]]
    return value


def number(value):
    return int(newtype(value))


def first_pointer(value):
    """The first pointer in a structure: where a vector's elements are."""
    kind = value.type.strip_typedefs()
    if kind.code == gdb.TYPE_CODE_PTR:
        return value
    if kind.code == gdb.TYPE_CODE_STRUCT:
        for f in kind.fields():
            found = first_pointer(value[f])
            if found is not None:
                return found
    return None


def vec(value):
    """The elements of a `Vec<T>`, as a list."""
    element = value.type.strip_typedefs().template_argument(0)
    at = first_pointer(value["buf"]).cast(element.pointer())
    return [at[i] for i in range(int(value["len"]))]


def bytes_of(pointer, length):
    return bytes(gdb.selected_inferior().read_memory(int(pointer), int(length))) if length else b""


def string(value):
    """A `String`."""
    inner = value["vec"]
    return bytes_of(first_pointer(inner["buf"]), int(inner["len"])).decode("utf-8", "replace")


def slice_bytes(value):
    """A `&[u8]` or a `&str`, as bytes."""
    return bytes_of(value["data_ptr"], int(value["length"]))


def arc(value):
    """What an `Arc<T>` leads to."""
    return first_pointer(value).dereference()["data"]


def u64_at(address):
    return int.from_bytes(bytes_of(address, 8), "little")


def static(name):
    """A static variable by its path, such as `tocsin::kernel::modules::MODULES`."""
    symbol = gdb.lookup_static_symbol(name) or gdb.lookup_global_symbol(name)
    if symbol is None:
        raise gdb.GdbError(f"{name}: no such variable in target/tocsin")
    return symbol.value()
