#!/usr/bin/env python3
"""Links modules on the host and in the machine, and checks every relocated field.

    corpus.py [--jobs N] [--names FILE] [FILE.ko|FOLDER]...

    modules ─┬─> machine: insmod --link-only, sections ──> addresses, digests
             └─> host: corpus-link, at those addresses ──> bytes ─┬─> digests equal?
                 model.py, from the file and the ABI ─────────────┴─> every byte equal?

Three that have to agree: the kernel in QEMU, the library on the host (the same
code: a difference is the machine's, or memory written afterwards), and a model
that shares nothing with either. Where a digest differs, the machine is started
again and dumps what differs, and the model judges that.

The kernel exports few of the names that modules import, so most calls lead to a
trap there. The host therefore links each module a second time, against a kernel
that exports every name, far from the module, and the model judges that, too.

Without files and folders, MODULES has them, as for qemu/run.sh; a module that is
refused is then counted by its reason. Without MODULES, TOCSIN_MODULES_DIR is
searched, and each module in it has to load. `--names` keeps the modules that FILE
lists, one a line. The status is 0 if nothing differs.
"""

import argparse
import collections
import concurrent.futures
import hashlib
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(ROOT, "qemu")]

import cases  # noqa: E402
import elf  # noqa: E402
import mkinitrd  # noqa: E402
import model  # noqa: E402

LINKER = os.path.join(ROOT, "target", "debug", "corpus-link")
# What one machine gets: commands of 128 KiB are the limit, and memory.
GROUP_BYTES, GROUP_MODULES = 40 << 20, 800
# Where a kernel that exports every name has the first of them, and the next.
FAR, FAR_STEP = 0xC008_0000_0000_0000, 0x1_2348
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


UNPACK = {".ko": ["cat"], ".ko.xz": ["xz", "-dc"], ".ko.zst": ["zstd", "-dcq"]}


def word_of(path):
    """What `insmod` calls a module's file."""
    return os.path.basename(path)[: -len(mkinitrd.ending_of(path))]


def unpacked(path):
    """The bytes of a module, by another's code than the kernel's."""
    command = UNPACK[mkinitrd.ending_of(path)]
    done = subprocess.run([*command, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        # Their messages begin with program and file, or are several lines.
        said = done.stderr.decode("utf-8", "replace").split("\n")[0].rpartition(" : ")[2]
        said = said.removeprefix(f"{command[0]}: ").removeprefix(f"{path}: ").strip()
        raise Broken(f"{path}: {command[0]} cannot read it ({said or done.returncode})")
    return done.stdout


class Module:
    """A file on its way."""

    def __init__(self, path, scratch):
        self.path, self.file = path, path
        data = unpacked(path)
        if not path.endswith(".ko"):  # the host's linker reads no compressed files
            self.file = os.path.join(scratch, word_of(path) + ".ko")
            with open(self.file, "wb") as file:
                file.write(data)
        self.word = word_of(path)
        self.elf = elf.parse(data)
        self.name = (self.elf and self.elf.module_name() or self.word).replace("-", "_")
        self.rows, self.refusal = {}, None


def boot(commands, paths):
    """Runs commands in a machine that has these modules; blocks of lines."""
    with tempfile.TemporaryDirectory() as scratch:
        # A folder, because one variable does not hold so many paths.
        folder = os.path.join(scratch, "modules")
        os.mkdir(folder)
        for path in paths:
            os.symlink(os.path.abspath(path), os.path.join(folder, os.path.basename(path)))
        settings = {
            "CMD": "\n".join(["set -x", "set +e", *commands]),
            "MODULES": f'"{folder}"',
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
    values = [("fact", facts), ("export", exports)]
    known = {offset: value for offset, value in
             (fields["kernel_toc"], fields["sibling"])}
    text = "".join(f"{kind} {name} {value:#x}\n"
                   for kind, table in values for name, value in table.items())
    return model.Machine(exports, known, facts), text


def far_kernel(machine, facts, modules):
    """The same kernel as if it exported every name that the modules import."""
    wanted = {symbol.name for module in modules if module.elf for symbol in module.elf.symbols
              if symbol.section == elf.SHN_UNDEF and symbol.name
              # Borrowed of a module, which is near, or not there yet.
              and not symbol.name.startswith(".klp.sym.")}
    more = sorted(wanted - machine.exports.keys() - {".TOC."})
    far = {name: FAR + number * FAR_STEP for number, name in enumerate(more)}
    text = facts + "".join(f"export {name} {value:#x}\n" for name, value in far.items())
    return model.Machine(machine.exports | far, machine.paca, machine.facts), text


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
    if cases.memory(before) != cases.memory(after):
        raise Broken(f"memory before: {before}\nand after: {after}")
    for module, loaded, listed in zip(modules, rest[1:-1:3], rest[2:-1:3]):
        refused = [line for line in loaded[1] if line.startswith("insmod: ")]
        if refused:  # other lines only tell what is special
            module.refusal = refused[-1].removeprefix(f"insmod: {module.word}: ")
        else:
            module.rows = read_rows(listed[1])
    return machine, facts


def read_rows(lines):
    rows = [Row(line) for line in lines]
    return {row.name if row.number is None else row.number: row for row in rows}


def places(rows):
    return [(row.number, row.address, row.size, row.name) for row in rows.values()]


def dump(module, wrong):
    """The machine's bytes where its digest is not the host's: rows, address -> bytes."""
    [(_, said), (_, listed)] = boot(
        [f"insmod {module.word} --link-only", f"sections {module.name}"], [module.path])
    if said and said[-1].startswith("insmod: "):
        raise Broken(f"{module.path}: refused at the second try: {said[-1]}")
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

    def __init__(self, facts, scratch):
        with tempfile.NamedTemporaryFile("w", dir=scratch, delete=False) as file:
            file.write(facts)
        self.process = subprocess.Popen([LINKER, file.name], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate()

    def link(self, base, path):
        """The image's rows and bytes; without rows, the reason why there is none."""
        self.process.stdin.write(f"{base:#x} {path}\n".encode())
        self.process.stdin.flush()
        rows = []
        while True:
            line = self.process.stdout.readline().decode().rstrip("\n")
            kind, _, rest = line.partition(" ")
            if kind == "image":
                return read_rows(rows), self.process.stdout.read(int(rest))
            if kind == "refused":
                return None, rest
            if not rest:
                raise Broken(f"{path}: corpus-link said {line!r}")
            rows.append(line)


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
        self.far = model.Report()  # with every import exported
        self.loaded, self.refusals = 0, collections.Counter()
        self.digests, self.digests_wrong = 0, []  # (path, keys of rows)
        self.looked_into = {}  # path -> how many differences the machine's bytes have
        self.broken = []

    def add(self, other):
        self.report.add(other.report)
        self.far.add(other.far)
        self.loaded += other.loaded
        self.refusals += other.refusals
        self.digests += other.digests
        self.digests_wrong += other.digests_wrong
        self.looked_into |= other.looked_into
        self.broken += other.broken


def one(module, kernels, result):
    (machine, linker), (far, far_linker) = kernels
    if module.refusal is not None:
        base = 0x20000000
    elif "(image)" in module.rows:
        base = module.rows["(image)"].address
    else:
        raise Broken(f"{module.path}: it was loaded, but its sections were not listed")
    rows, linked = linker.link(base, module.file)
    if module.refusal is not None:
        result.refusals[reason(module.refusal)] += 1
        # The machine also refuses what comes after linking.
        if rows is None and reason(linked) != reason(module.refusal):
            raise Broken(f"{module.path}: the machine: {module.refusal}; the host: {linked}")
        return
    if rows is None:
        raise Broken(f"{module.path}: the machine has loaded it; the host: {linked}")
    if places(rows) != places(module.rows):
        raise Broken(f"{module.path}: the host lays out its sections in another way")
    result.loaded += 1
    result.digests += sum(row.digest is not None for row in module.rows.values())
    wrong = differing(linked, module.rows)
    if wrong:
        result.digests_wrong.append((module.path, wrong))
    image = image_of(linked, module.rows)
    result.report.add(model.check(module.name, module.elf, image, machine))
    rows, linked = far_linker.link(base, module.file)
    if rows is None:
        raise Broken(f"{module.path}: refused if everything is exported: {linked}")
    image = image_of(linked, rows)
    result.far.add(model.check(f"{module.name} (all exported)", module.elf, image, far))


def reason(refusal):
    """A refusal without what is peculiar to the module, for counting."""
    return re.sub(r"(?<!\w)(0x[0-9a-f]+|\d+)", "N", refusal)


def group(paths):
    """Everything about one group, in a process of its own."""
    result = Result()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            modules = []
            for path in paths:  # one that cannot be read leaves the others
                try:
                    modules.append(Module(path, scratch))
                except Broken as why:
                    result.broken.append(str(why))
            if not modules:
                return result
            machine, facts = load_all(modules)
            far, far_facts = far_kernel(machine, facts, modules)
            with Linker(facts, scratch) as linker, Linker(far_facts, scratch) as far_linker:
                for module in modules:
                    try:
                        one(module, ((machine, linker), (far, far_linker)), result)
                    except Broken as why:
                        result.broken.append(str(why))
                for path, wrong in result.digests_wrong[:DUMP_MODULES]:
                    module = next(module for module in modules if module.path == path)
                    found = look_into(module, wrong, machine, linker)
                    result.looked_into[path] = len(found.differences)
                    result.report.add(found)
        except Broken as why:
            result.broken.append(str(why))
    return result


def look_into(module, wrong, machine, linker):
    """What the model says of the machine's own bytes."""
    sections = [key for key in wrong if key != "(image)"] or wrong
    rows, parts = dump(module, sections)
    base = rows["(image)"].address
    data = bytearray(linker.link(base, module.file)[1])
    for at, part in parts.items():
        data[at - base : at - base + len(part)] = part
    image = image_of(bytes(data), rows)
    found = model.check(f"{module.name} (in the machine)", module.elf, image, machine)
    only = model.Report()
    only.differences = found.differences
    return only


def groups_of(paths, jobs):
    """Cuts a list of files into what one machine can take, the largest first."""
    most = min(GROUP_BYTES, sum(map(os.path.getsize, paths)) // (2 * jobs) + 1)
    groups, size = [[]], 0
    for path in sorted(paths, key=os.path.getsize, reverse=True):
        size += os.path.getsize(path)
        if groups[-1] and (size > most or len(groups[-1]) == GROUP_MODULES):
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
    differences = report.differences + result.far.differences
    print(f"{sum(report.types.values())} relocations compared, {len(differences)} differences")
    for kind, count in report.types.most_common():
        print(f"{count:10} {model.type_name(kind)}")
    print("branches and bytes (and if every name were exported):")
    for what in sorted(counts | result.far.counts):
        far = result.far.counts[what]
        print(f"{counts[what]:10} {what}" + (f" ({far})" if far != counts[what] else ""))
    print(f"{result.digests} digests of the machine, {len(result.digests_wrong)} modules differ")
    for path, wrong in result.digests_wrong[:SHOWN]:
        print(f"  {os.path.basename(path)}: {', '.join(str(key) for key in wrong)}")
        if path in result.looked_into:
            print(f"    in the machine's own bytes: {result.looked_into[path]} differences")
    for found in differences[:SHOWN]:
        symbol = f" {found.symbol}" if found.symbol else ""
        print(f"difference: {found.module} {found.place} {found.kind}{symbol}: "
              f"expected {found.expected}, found {found.found}")
    by_kind = collections.Counter(found.kind for found in differences)
    if len(differences) > SHOWN:
        print(f"... and {len(differences) - SHOWN} more, by type:",
              ", ".join(f"{kind} {count}" for kind, count in by_kind.most_common()))
    for why in result.broken[:SHOWN]:
        print(f"not compared: {why}")
    if len(result.broken) > SHOWN:
        print(f"... and {len(result.broken) - SHOWN} more not compared")
    print(f"corpus: {seconds:.0f} s")


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--names")
    parser.add_argument("paths", nargs="*")
    args = parser.parse_args(arguments)
    began = time.monotonic()
    named = args.paths or named_modules()
    result = compare(named or default_paths(), args.names, args.jobs)
    show(result, time.monotonic() - began)
    bad = result.report.differences + result.far.differences + result.digests_wrong + result.broken
    return 1 if bad or result.refusals and not named or not result.loaded else 0


def named_modules():
    """What MODULES says, from the folder that make was called in."""
    caller = os.environ.get("CALLER") or os.getcwd()
    return [os.path.join(caller, word) for word in shlex.split(os.environ.get("MODULES", ""))]


def default_paths():
    folder = os.environ.get("TOCSIN_MODULES_DIR")
    if not folder:
        sys.exit("corpus: no modules: name some, or set TOCSIN_MODULES_DIR")
    return [folder]


def compare(paths, names, jobs):
    """Compares all modules at or below `paths`; returns a Result."""
    try:
        left_out = []
        files = sorted(mkinitrd.collect(paths, left_out).values())
    except mkinitrd.Refused as why:
        sys.exit(f"corpus: {why}")
    if names:
        with open(names, encoding="utf-8") as file:
            kept = {line.split("#")[0].strip() for line in file}
        files = [path for path in files if word_of(path) in kept]
    result = Result()
    if left_out:
        result.broken.append(mkinitrd.told(left_out))
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        for part in pool.map(group, groups_of(files, jobs)):
            result.add(part)
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
