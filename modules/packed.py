"""Good modules, compressed, and some of those spoiled: packed.py GOOD_DIR OUT_DIR.

`hello_xz.ko.xz` is hello.ko packed as Linux's build packs modules, and so on:
the file's name says how, the module's own name stays. The spoiled ones are cut
short, changed in one byte, or say that they are huge.
"""

import lzma
import os
import struct
import subprocess
import sys
import zlib

GOOD, OUT = sys.argv[1:]


def good(name):
    with open(os.path.join(GOOD, name + ".ko"), "rb") as file:
        return file.read()


def put(name, data):
    with open(os.path.join(OUT, name), "wb") as file:
        file.write(data)


def xz(data, check=lzma.CHECK_CRC32, filters=()):
    chain = list(filters) + [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]
    return lzma.compress(data, format=lzma.FORMAT_XZ, check=check, filters=chain)


def zstd(data, *options):
    return subprocess.run(["zstd", "-qc", *options], input=data, stdout=subprocess.PIPE,
                          check=True).stdout


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def number(value):
    """A number as `.xz` writes it: seven bits a byte, lowest first."""
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


def huge(data):
    """An .xz file whose index says that its block unpacks to 2^60 bytes."""
    footer = data[-12:]
    size = (struct.unpack("<I", footer[4:8])[0] + 1) * 4
    # Behind the type and the count, the block's packed size is right.
    packed = data[-12 - size + 2:]
    packed = packed[:next(at for at, byte in enumerate(packed) if byte < 0x80) + 1]
    index = b"\0\1" + packed + number(1 << 60)
    index += bytes(-len(index) % 4)
    index += struct.pack("<I", zlib.crc32(index))
    ends = struct.pack("<I", len(index) // 4 - 1) + footer[8:10]
    return data[:-12 - size] + index + struct.pack("<I", zlib.crc32(ends)) + ends + b"YZ"


def with_symbols(data, count):
    """A module with so many symbols more, which are all one local number."""
    shoff, = struct.unpack_from("<Q", data, 40)
    shnum, = struct.unpack_from("<H", data, 60)
    headers = bytearray(data[shoff:shoff + 64 * shnum])
    out = data[:shoff] + bytes(-len(data[:shoff]) % 8)
    table = next(at for at in range(0, len(headers), 64)
                 if struct.unpack_from("<I", headers, at + 4)[0] == 2)
    offset, size = struct.unpack_from("<QQ", headers, table + 24)
    more = struct.pack("<IBBHQQ", 0, 0, 0, 0xfff1, 0, 0) * count
    struct.pack_into("<QQ", headers, table + 24, len(out), size + len(more))
    out = bytearray(out + data[offset:offset + size] + more)
    struct.pack_into("<Q", out, 40, len(out))
    return bytes(out + headers)


def main():
    os.makedirs(OUT, exist_ok=True)
    hello, demo = good("hello"), good("demo")
    put("hello_xz.ko.xz", xz(hello))
    put("hello_crc64.ko.xz", xz(hello, lzma.CHECK_CRC64, [{"id": lzma.FILTER_POWERPC}]))
    put("demo_zst.ko.zst", zstd(demo))
    # Two streams with zeros between; frames, the first of which is skipped.
    put("two_streams.ko.xz", xz(hello[:5000]) + bytes(8) + xz(hello[5000:]))
    put("two_frames.ko.zst", struct.pack("<II", 0x184d2a5f, 3) + b"any" +
        zstd(demo[:5000]) + zstd(demo[5000:]))
    put("pair_b_xz.ko.xz", xz(good("pair_b")))
    packed, other = xz(hello), zstd(demo)
    put("xz_cut.ko.xz", packed[:len(packed) // 2])
    put("zst_cut.ko.zst", other[:len(other) // 2])
    # The first byte of the first block's data, and the last before the checksum.
    put("xz_changed.ko.xz", flipped(packed, 40))
    put("zst_changed.ko.zst", flipped(other, len(other) - 5))
    put("xz_huge.ko.xz", huge(packed))
    put("zst_huge.ko.zst", b"\x28\xb5\x2f\xfd\x00\x90" + b"\x02\x00\x10\0" * 9000 + b"\x03\0\0\0")
    put("xz_sha.ko.xz", xz(hello, lzma.CHECK_SHA256))
    put("zst_symbols.ko.zst", zstd(with_symbols(hello, 800_000)))
    put("xz_text.ko.xz", xz(b"no module at all\n"))


main()
