#!/usr/bin/env python3
"""late.py IN.ko OUT.ko: gives what a patch borrows the form that Linux gives it.

Symbols `.klp.sym.*` get the section index 0xff20, and sections with relocations that
use them the flag SHF_RELA_LIVEPATCH.
"""

import struct
import sys

data = bytearray(open(sys.argv[1], "rb").read())
(offset,) = struct.unpack_from("<Q", data, 40)
(count,) = struct.unpack_from("<H", data, 60)
sections = [(offset + i * 64, struct.unpack_from("<IIQQQQIIQQ", data, offset + i * 64)) for i in range(count)]
_, table = next(section for section in sections if section[1][1] == 2)
strings = sections[table[6]][1][4]
borrowed = set()
for index in range(table[5] // 24):
    at = table[4] + index * 24
    (name,) = struct.unpack_from("<I", data, at)
    if data[strings + name :].startswith(b".klp.sym."):
        struct.pack_into("<H", data, at + 6, 0xFF20)
        borrowed.add(index)
for at, fields in sections:
    relas = range(fields[4], fields[4] + fields[5], 24) if fields[1] == 4 else ()
    if any(struct.unpack_from("<Q", data, rela + 8)[0] >> 32 in borrowed for rela in relas):
        struct.pack_into("<Q", data, at + 8, fields[2] | 0x100000)
assert borrowed, "it borrows nothing"
open(sys.argv[2], "wb").write(data)
