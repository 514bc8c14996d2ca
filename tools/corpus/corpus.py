#!/usr/bin/env python3
"""Links modules on the host and in the machine, and checks every relocated field.

    corpus.py [--jobs N] [--all] [--names FILE] [FILE.ko|FOLDER]...

    modules ─┬─> machine: insmod --link-only, sections ──> addresses, digests
             └─> host: corpus-link, at those addresses ──> bytes ─┬─> digests equal?
                 model.py, from the file and the ABI ─────────────┴─> every byte equal?

Three that have to agree: the kernel in QEMU, the library on the host (the same
code: a difference is the machine's, or memory written afterwards), and a model
that shares nothing with either. Where a digest differs, the machine is started
again and dumps what differs, and the model judges that.

Without files and folders, TOCSIN_MODULES_DIR is searched. `--names` keeps the
modules that FILE lists, one a line. With `--all`, a module that is refused is a
failure; else it is counted by its reason. The status is 0 if nothing differs.
"""

import argparse
import collections
import concurrent.futures
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(ROOT, "qemu")]

import elf  # noqa: E402
import mkinitrd  # noqa: E402
import model  # noqa: E402

LINKER = os.path.join(ROOT, "target", "debug", "corpus-link")
# What one machine gets: commands of 128 KiB are the limit, and memory.
GROUP_BYTES, GROUP_MODULES = 40 << 20, 800
# A digest that differs is looked into for this many modules, this many bytes.
DUMP_MODULES, DUMP_BYTES = 4, 1 << 16
SHOWN = 20  # differences printed one by one


class Broken(Exception):
    """Something that keeps modules from being compared at all."""


# --- the machine -----------------------------------------------------------


class Row:
    """One line of `sections`."""

    def __init__(self, line):
        number, address, size, digest, self.name = line.split(" ", 4)
        self.number = None if number == "-" else int(number)
        self.address, self.size = int(address, 16), int(size)
        self.digest = None if digest == "-" else digest


class Module:
    """A file on its way."""

    def __init__(self, path, scratch):
        self.path, self.file = path, path
        data = mkinitrd.contents(path)
        if not path.endswith(".ko"):  # the host's linker reads no compressed files
            self.file = os.path.join(scratch, mkinitrd.name_in_archive(path))
            with open(self.file, "wb") as file:
                file.write(data)
        self.word = mkinitrd.name_in_archive(path)[:-3]
        self.name = (elf.module_name(data) or self.word).replace("-", "_")
        self.rows, self.refusal = {}, None


def boot(commands, paths):
    """Runs commands in a machine that has these modules; blocks of lines."""
    with tempfile.TemporaryDirectory() as scratch:
        settings = {
            "CMD": "\n".join(["set -x", "set +e", *commands]),
            "MODULES": " ".join(f'"{os.path.abspath(path)}"' for path in paths),
            "CONSOLE_LOG": os.path.join(scratch, "console.log"),
            "FIRMWARE": "vof", "TIMEOUT": "900",
        }
        env = {k: v for k, v in os.environ.items() if k not in ("GDB", "CALLER", "SMP", "MEM")}
        done = subprocess.run([os.path.join(ROOT, "qemu", "run.sh")], env=env | settings,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    blocks = []
    for line in lines[:-1]:
        if line.startswith("> "):
            blocks.append((line[2:], []))
        elif blocks:
            blocks[-1][1].append(line)
    wanted = ["set +e", *commands]
    if [command for command, _ in blocks] != wanted:
        last = blocks[-1] if blocks else ("", [])
        errors = done.stderr.decode("utf-8", "replace").splitlines()[-5:]
        raise Broken("\n".join(["the machine ended early, in " + last[0], *last[1][-5:],
                                *lines[-1:], *errors]))
    return blocks[1:]


ABOUT = ["cat /proc/exports", "sym mcount_late", "paca 0"]


def describe(blocks):
    """The `Machine` that the answers to ABOUT speak of, and lines for the linker."""
    (_, exports), (_, late), (_, paca) = blocks
    exports = dict(line.split()[::-1] for line in exports)
    exports = {name: int(address, 16) for name, address in exports.items()}
    fields = {}
    for line in paca:
        words = line.split()
        if words[0].startswith("+"):
            fields[words[1]] = (int(words[0][1:]), int(words[2], 16))
    facts = {
        "mcount": exports["_mcount"], "mcount_late": int(late[0].split()[0], 16),
        "sibling": fields["sibling"][1], "kernel_toc": fields["kernel_toc"][1],
    }
    facts |= {f"paca_{name}": offset for name, (offset, _) in fields.items()}
    known = {offset: value for offset, value in
             (fields["kernel_toc"], fields["sibling"])}
    text = "".join(f"fact {name} {value:#x}\n" for name, value in facts.items())
    text += "".join(f"export {name} {value:#x}\n" for name, value in exports.items())
    return model.Machine(exports, known, facts), text


def load_all(modules):
    """Loads and unloads each in a machine: fills in rows or refusals."""
    # The first module also makes what stays; memory is compared from then on.
    warm = [f"insmod {modules[0].word} --link-only", f"rmmod {modules[0].name}"]
    commands = [*ABOUT, *warm, "mem"]
    for module in modules:
        commands += [f"insmod {module.word} --link-only", f"sections {module.name}",
                     f"rmmod {module.name}"]
    blocks = boot([*commands, "mem"], [module.path for module in modules])
    machine, facts = describe(blocks[: len(ABOUT)])
    rest = blocks[len(ABOUT) + len(warm) :]
    (_, before), (_, after) = rest[0], rest[-1]
    if before != after:
        raise Broken(f"memory before: {before}\nand after: {after}")
    for module, loaded, listed in zip(modules, rest[1:-1:3], rest[2:-1:3]):
        if loaded[1]:
            module.refusal = loaded[1][-1].removeprefix(f"insmod: {module.word}: ")
        else:
            module.rows = read_rows(listed[1])
    return machine, facts


def read_rows(lines):
    rows = [Row(line) for line in lines]
    return {row.name if row.number is None else row.number: row for row in rows}


def dump(module, wrong):
    """The machine's bytes where its digest is not the host's: rows, address -> bytes."""
    [(_, refused), (_, listed)] = boot(
        [f"insmod {module.word} --link-only", f"sections {module.name}"], [module.path])
    if refused:
        raise Broken(f"{module.path}: refused at the second try: {refused[-1]}")
    rows = read_rows(listed)
    ranges = [(rows[key].address, min(rows[key].size, DUMP_BYTES)) for key in wrong]
    blocks = boot([f"insmod {module.word} --link-only", f"sections {module.name}",
                   *(f"x {at:#x} {size}" for at, size in ranges)], [module.path])
    if blocks[1][1] != listed:
        raise Broken(f"{module.path}: two machines, two answers")
    parts = {}
    for (at, _), (_, lines) in zip(ranges, blocks[2:]):
        parts[at] = b"".join(bytes.fromhex(line.split(": ")[1]) for line in lines)
    return rows, parts


# --- the host --------------------------------------------------------------


class Linker:
    """corpus-link, which is asked for one module after the other."""

    def __init__(self, facts):
        with tempfile.NamedTemporaryFile("w", suffix=".facts", delete=False) as file:
            file.write(facts)
        self.facts = file.name
        self.process = subprocess.Popen([LINKER, self.facts], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def link(self, base, path):
        """The image's bytes, or the reason why there is none, as a text."""
        self.process.stdin.write(f"{base:#x} {path}\n".encode())
        self.process.stdin.flush()
        kind, _, rest = self.process.stdout.readline().decode().rstrip("\n").partition(" ")
        if kind == "image":
            return self.process.stdout.read(int(rest))
        if kind == "refused":
            return rest
        raise Broken(f"{path}: corpus-link said {kind!r}")

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        os.remove(self.facts)


def image_of(data, rows):
    whole, toc = rows["(image)"], rows["(toc)"]
    placed = {key: (row.address, row.size) for key, row in rows.items() if row.number is not None}
    stubs, targets = ((rows[key].address, rows[key].size) for key in ("(stubs)", "(targets)"))
    return model.Image(whole.address, data, placed, stubs, targets, toc.address)


def differing(image, rows):
    """Rows whose digest is not that of the same bytes here."""
    wrong = []
    for key, row in rows.items():
        start = row.address - rows["(image)"].address
        data = image[start : start + row.size]
        if row.digest and hashlib.blake2b(data, digest_size=8).hexdigest() != row.digest:
            wrong.append(key)
    return wrong


# --- a group of modules ----------------------------------------------------


class Result:
    """What came of a group."""

    def __init__(self):
        self.report = model.Report()
        self.loaded, self.refusals = 0, collections.Counter()
        self.digests, self.digests_wrong = 0, []  # (path, keys of rows)
        self.broken = []

    def add(self, other):
        self.report.add(other.report)
        self.loaded += other.loaded
        self.refusals += other.refusals
        self.digests += other.digests
        self.digests_wrong += other.digests_wrong
        self.broken += other.broken


def one(module, machine, linker, result):
    if module.refusal is not None:
        base = 0x20000000
    elif "(image)" in module.rows:
        base = module.rows["(image)"].address
    else:
        raise Broken(f"{module.path}: it was loaded, but its sections were not listed")
    linked = linker.link(base, module.file)
    if isinstance(linked, str) or module.refusal is not None:
        here = linked if isinstance(linked, str) else "no reason"
        result.refusals[reason(module.refusal or "no reason")] += 1
        if here != module.refusal:
            raise Broken(f"{module.path}: the machine has {module.refusal}, the host {here}")
        return
    result.loaded += 1
    result.digests += sum(row.digest is not None for row in module.rows.values())
    wrong = differing(linked, module.rows)
    if wrong:
        result.digests_wrong.append((module.path, wrong))
    with open(module.file, "rb") as file:
        parsed = elf.Elf(file.read())
    result.report.add(model.check(module.name, parsed, image_of(linked, module.rows), machine))


def reason(refusal):
    """A refusal without what is peculiar to the module, for counting."""
    # `section+0x10: R_... against x: what is wrong; what to do`
    return re.sub(r"0x[0-9a-f]+|\d+", "N", refusal)


def group(paths):
    """Everything about one group, in a process of its own."""
    result = Result()
    with tempfile.TemporaryDirectory() as scratch:
        linker = None
        try:
            modules = [Module(path, scratch) for path in paths]
            machine, facts = load_all(modules)
            linker = Linker(facts)
            for module in modules:
                try:
                    one(module, machine, linker, result)
                except Broken as why:
                    result.broken.append(str(why))
            for path, wrong in result.digests_wrong[:DUMP_MODULES]:
                module = next(module for module in modules if module.path == path)
                result.report.add(look_into(module, wrong, machine, linker))
        except Broken as why:
            result.broken.append(str(why))
        finally:
            if linker:
                linker.close()
    return result


def look_into(module, wrong, machine, linker):
    """What the model says of the machine's own bytes."""
    sections = [key for key in wrong if key != "(image)"] or wrong
    rows, parts = dump(module, sections)
    base = rows["(image)"].address
    data = bytearray(linker.link(base, module.file))
    for at, part in parts.items():
        data[at - base : at - base + len(part)] = part
    with open(module.file, "rb") as file:
        parsed = elf.Elf(file.read())
    found = model.check(module.name + " in the machine", parsed,
                        image_of(bytes(data), rows), machine)
    only = model.Report()
    only.differences = found.differences
    return only


def groups_of(paths):
    """Cuts a list of files into what one machine can take, the largest first."""
    groups, size = [[]], 0
    for path in sorted(paths, key=os.path.getsize, reverse=True):
        size += os.path.getsize(path)
        if groups[-1] and (size > GROUP_BYTES or len(groups[-1]) == GROUP_MODULES):
            groups.append([])
            size = os.path.getsize(path)
        groups[-1].append(path)
    return [paths for paths in groups if paths]


# --- the whole -------------------------------------------------------------


def show(result, seconds):
    report, counts = result.report, result.report.counts
    refused = sum(result.refusals.values())
    print(f"{result.loaded + refused} modules: {result.loaded} loaded, {refused} refused")
    for why, count in result.refusals.most_common():
        print(f"  {count} refused: {why}")
    print(f"{sum(report.types.values())} relocations compared, "
          f"{len(report.differences)} differences")
    for kind, count in report.types.most_common():
        print(f"  {count:8} {model.type_name(kind)}")
    for what in sorted(counts):
        print(f"{counts[what]:10} {what}")
    print(f"{result.digests} digests of the machine, {len(result.digests_wrong)} modules differ")
    for path, wrong in result.digests_wrong[:SHOWN]:
        print(f"  {os.path.basename(path)}: {', '.join(str(key) for key in wrong)}")
    for found in report.differences[:SHOWN]:
        symbol = f" {found.symbol}" if found.symbol else ""
        print(f"difference: {found.module} {found.place} {found.kind}{symbol}: "
              f"expected {found.expected}, found {found.found}")
    by_kind = collections.Counter(found.kind for found in report.differences)
    if len(report.differences) > SHOWN:
        print(f"... and {len(report.differences) - SHOWN} more, by type:",
              ", ".join(f"{kind} {count}" for kind, count in by_kind.most_common()))
    for why in result.broken[:SHOWN]:
        print(f"not compared: {why}")
    print(f"corpus: {seconds:.0f} s")


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--names")
    parser.add_argument("paths", nargs="*")
    args = parser.parse_args(arguments)
    began = time.monotonic()
    result = compare(args.paths or default_paths(), args.names, args.jobs)
    show(result, time.monotonic() - began)
    bad = result.report.differences or result.digests_wrong or result.broken
    return 1 if bad or args.all and result.refusals or not result.loaded else 0


def default_paths():
    folder = os.environ.get("TOCSIN_MODULES_DIR")
    if not folder:
        sys.exit("corpus: no modules: name some, or set TOCSIN_MODULES_DIR")
    return [folder]


def compare(paths, names, jobs):
    """Compares all modules at or below `paths`; returns a Result."""
    try:
        files = sorted(mkinitrd.collect(paths).values())
    except mkinitrd.Refused as why:
        sys.exit(f"corpus: {why}")
    if names:
        with open(names, encoding="utf-8") as file:
            kept = {line.split("#")[0].strip() for line in file}
        files = [path for path in files if mkinitrd.name_in_archive(path)[:-3] in kept]
    result = Result()
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        for part in pool.map(group, groups_of(files)):
            result.add(part)
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
