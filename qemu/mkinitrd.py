#!/usr/bin/env python3
"""Packs kernel modules into an initrd: a cpio archive (newc) of /lib/modules.

    mkinitrd.py [--base DIR] [--commands FILE] [--seal] OUT
                [FILE.ko|FILE.ko.xz|FILE.ko.zst|FOLDER]...

Folders are searched through; every file is stored under its base name, as it is:
the kernel unpacks what is compressed. Two files of one name are refused, also if
they are compressed differently, and `-` and `_` count as one character, because
module names make no difference there. Of modules that gzip has compressed, which the
kernel does not unpack, those in a folder are left out and counted, and a named one
is refused.

Each file's data begins at a multiple of eight in the archive, so that a loader
may view ELF structures in place: a name that would misplace it is followed by
four more zero bytes, which newc allows (namesize counts them).

    header 110 bytes of hex | name, NUL | to 4 | data | to 4 | header ...

For boot media: --seal puts an entry in front that says how long the archive is and
what it sums up to, so that the kernel sees when it was cut or damaged on its way
(src/initrd.rs); --commands adds boot words and commands (src/media.rs).
"""

import argparse
import io
import os
import sys
import zlib

ENDINGS = (".ko", ".ko.xz", ".ko.zst")
GZIP = ".ko.gz"
HEADER_BYTES = 110


class Refused(Exception):
    """Why no archive was made, as one line for a person."""


def ending_of(path):
    """The ending in ENDINGS that `path` has, or None."""
    return next((e for e in ENDINGS if path.endswith(e)), None)


def find_modules(path, left_out):
    """Yields every module at or below `path`, in an order that repeats.

    What a folder has besides and cannot be loaded is appended to `left_out`."""
    if os.path.isdir(path):
        for folder, folders, files in os.walk(path, followlinks=False):
            folders.sort()
            for name in sorted(files):
                if ending_of(name):
                    yield os.path.join(folder, name)
                elif name.endswith(GZIP):
                    left_out.append(os.path.join(folder, name))
    elif not os.path.exists(path):
        raise Refused(f"{path}: no such file or folder")
    elif path.endswith(GZIP):
        raise Refused(f"{path}: compressed with gzip, which is not supported; gunzip it")
    elif not ending_of(path):
        raise Refused(f"{path}: not a module ({', '.join(ENDINGS)})")
    else:
        yield path


def collect(paths, left_out=None):
    """Maps each name in the archive to its file; refuses two of one name.

    Appends to the list `left_out`, if there is one, the modules that gzip has compressed."""
    found, seen = {}, {}
    for path in paths:
        for file in find_modules(path, [] if left_out is None else left_out):
            name = os.path.basename(file)
            key = name[: -len(ending_of(name))].replace("-", "_")
            if key in seen:
                if os.path.realpath(seen[key]) == os.path.realpath(file):
                    continue
                raise Refused(f"{file}: a module of this name is there already: {seen[key]}")
            seen[key] = file
            found[name] = file
    return found


def told(left_out):
    """A line on what was left out, if anything was."""
    if not left_out:
        return None
    more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
    return f"{left_out[0]}{more}: left out, for gzip is not supported; gunzip first"


def contents(path):
    """The bytes of a file."""
    with open(path, "rb") as file:
        return file.read()


class Archive:
    """Writes newc entries one after the other."""

    def __init__(self, out):
        self.out, self.at, self.inode = out, 0, 0

    def put(self, data):
        self.out.write(data)
        self.at += len(data)

    def add(self, name, mode, data=b"", device=(0, 0)):
        """One entry; `data` begins at a multiple of eight. A device file has a number."""
        name = name.encode() + b"\0"
        while (self.at + HEADER_BYTES + len(name)) % 8:
            name += b"\0"
        self.inode += 1
        # ino mode uid gid nlink mtime filesize, two device numbers, namesize,
        # check. No times and owners: the same modules give the same archive.
        fields = [self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name), 0]
        self.put(b"070701" + b"".join(b"%08X" % f for f in fields))
        self.put(name)
        self.put(data)
        self.put(b"\0" * (-self.at % 4))


SEAL_DIGITS = 16


def write_sealed(out, files, commands):
    """The same behind a seal: 8 hex digits of length, 8 of Adler-32."""
    rest = io.BytesIO()
    head = Archive(io.BytesIO())
    head.add("boot/seal", 0o100644, b"0" * SEAL_DIGITS)
    write_archive(rest, files, commands, head.at)
    rest = rest.getvalue()
    seal = b"%08x%08x" % (head.at + len(rest), zlib.adler32(rest))
    Archive(out).add("boot/seal", 0o100644, seal)
    out.write(rest)


def write_archive(out, files, commands=None, at=0):
    """Writes the archive of `files`, a map from name to path. `at` is where it begins."""
    archive = Archive(out)
    archive.at = at
    if commands is not None:
        archive.add("boot/commands", 0o100644, commands)
    for folder in ("lib", "lib/modules"):
        archive.add(folder, 0o040755)
    for name in sorted(files):
        archive.add("lib/modules/" + name, 0o100644, contents(files[name]))
    archive.add("TRAILER!!!", 0)


def main():
    parser = argparse.ArgumentParser(usage="%(prog)s [--base DIR] [--commands FILE] [--seal] OUT [FILE|FOLDER]...")
    parser.add_argument("--base", default=".")
    parser.add_argument("--commands")
    parser.add_argument("--seal", action="store_true")
    parser.add_argument("out")
    parser.add_argument("paths", nargs="*")
    args = parser.parse_args()
    try:
        left_out = []
        files = collect((os.path.join(args.base, path) for path in args.paths), left_out)
        if left_out:
            print(f"mkinitrd: {told(left_out)}", file=sys.stderr)
        commands = contents(args.commands) if args.commands else None
        with open(args.out, "wb") as out:
            (write_sealed if args.seal else write_archive)(out, files, commands)
    except (Refused, OSError) as why:
        sys.exit(f"mkinitrd: {why}")


if __name__ == "__main__":
    main()
