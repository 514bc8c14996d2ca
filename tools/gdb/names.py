"""Names of addresses: gdb's symbols, and the stubs of modules, which have none."""

import gdb

import modules


def symbol_at(address):
    """`NAME+4`, `stub of MODULE`, or the address if nothing is known of it."""
    stub = modules.stub_name(address)
    if stub:
        return stub
    text = gdb.execute(f"info symbol {address:#x}", to_string=True)
    if text.startswith("No symbol"):
        return f"{address:#x}"
    return text.split(" in section")[0].strip().replace(" + ", "+")
