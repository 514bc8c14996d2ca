#!/usr/bin/env python3
"""Runs the console transcripts in qemu/cases and compares every line.

    cases.py [NAME|FILE.case]...          all of them without a name

A transcript is what a person would have seen, and reads as documentation:

    # A comment. The first one says what is shown.
    machine SMP=2 TIMEOUT=20        variables of qemu/run.sh (else vof, 60 s)
    modules crc7 bad/truncated.ko   more files for /lib/modules, see below
    > insmod crc7                   a command, one a line
    < exact line                    what it prints: each line in its turn,
    <~ load address 0x[0-9a-f]+     or a pattern for a whole line,
    <*                              or any number of lines, none included
    tocsin: ok                      the verdict, last; `…` at its end: any rest

A group `(?P<NAME>...)` keeps what it fits; `(?P=NAME)` in a later pattern is that
same text: an address that must come again, a count that must not change.

Lines before the first command are the boot's; without `<` there, they may be
any. `set -x` makes the kernel print `> COMMAND` before each command, and that
is where its output is cut.

`modules` names are looked for in target/modules, in tests/fixtures, and by base
name in TOCSIN_MODULES_DIR, the unpacked modules of a Debian kernel. A case that
needs one of those is skipped while that variable is not set.

At the end every case audits what is still loaded (AUDIT=1): text, constants or
relocated data that differ from what was linked are lines that no case expects.

The environment (CPU, FIRMWARE, ICOUNT, QEMUFLAGS, ...) reaches every machine;
what a case says of its own machine comes first. A case for one CPU is skipped
when another is asked for.
"""

import concurrent.futures
import difflib
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
AT_ONCE = 2
SETTINGS = {
    "CPU", "SMP", "MEM", "MMU", "CAS", "MACHINE", "FIRMWARE", "ICOUNT", "THREADS", "QEMUFLAGS", "TIMEOUT",
}


def memory(lines):
    """What `mem` says, so that it can be compared with what it says later.

    Pages for translation tables are taken when there is first need for them, and
    kept: they count as pages that modules could have.
    """
    text = "\n".join(lines)
    tables = int(re.search(r"^tables (\d+)$", text, re.M)[1])
    text = re.sub(r"^tables \d+\n", "", text, flags=re.M)
    return re.sub(r"^modules (\d+)", lambda pages: f"pages {int(pages[1]) + tables}", text, flags=re.M)


class Malformed(Exception):
    """A transcript that cannot be run: where and why."""


class Skipped(Exception):
    """Why a case cannot run here."""


class Case:
    """One transcript, read."""

    def __init__(self, path):
        self.name = os.path.splitext(os.path.basename(path))[0]
        self.path = path
        self.machine = {}
        self.modules = []
        self.boot = []       # what is expected before the first command
        self.steps = []      # (command, what is expected of it)
        self.verdict = None
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    self.read(line.rstrip("\n"))
                except Malformed as why:
                    raise Malformed(f"{path}:{number}: {why}") from None
        if not self.steps or self.verdict is None:
            raise Malformed(f"{path}: a command and a verdict are needed")

    def read(self, line):
        if not line.strip() or line.startswith("#"):
            return
        if self.verdict is not None:
            raise Malformed("the verdict is the last line")
        expected = self.steps[-1][1] if self.steps else self.boot
        if line.startswith("> "):
            command = line[2:].strip()
            if splits(command):
                raise Malformed("one command a line")
            self.steps.append((command, []))
        elif line == "<*" or line == "<" or line[:2] == "< " or line[:3] == "<~ ":
            expected.append(line)
        elif line.startswith("tocsin: "):
            self.verdict = line
        elif line.startswith("machine ") and not self.steps:
            for word in line.split()[1:]:
                name, _, value = word.partition("=")
                if name not in SETTINGS:
                    raise Malformed(f"{name}: not one of {' '.join(sorted(SETTINGS))}")
                self.machine[name] = value
        elif line.startswith("modules ") and not self.steps:
            self.modules += line.split()[1:]
        else:
            raise Malformed(f"not a line of a transcript: {line}")


def splits(command):
    """Whether the shell would see more than one command."""
    outside = re.sub(r'"(\\.|[^"\\])*"', "", command)
    return ";" in outside


# --- what a line may be ----------------------------------------------------


def fits(pattern, line):
    if pattern.startswith("<~ "):
        return re.fullmatch(pattern[3:], line) is not None
    return line == pattern[2:]


def with_kept(pattern, kept):
    """The pattern with what earlier ones have kept in the place of `(?P=NAME)`.

    A name that nothing has kept fits no line.
    """
    own = set(re.findall(r"\(\?P<(\w+)>", pattern))
    return re.sub(
        r"\(\?P=(\w+)\)",
        lambda m: m[0] if m[1] in own else re.escape(kept[m[1]]) if m[1] in kept else "(?!)",
        pattern,
    )


def fill_in(patterns, lines, kept):
    """The patterns with everything in place; keeps what theirs keep in turn."""
    filled = []
    for pattern in patterns:
        if pattern.startswith("<~ "):
            pattern = with_kept(pattern, kept)
            found = (re.fullmatch(pattern[3:], line) for line in lines)
            kept.update(next((m.groupdict() for m in found if m), {}))
        filled.append(pattern)
    return filled


def all_fit(patterns, lines):
    """Whether `lines` are what `patterns` say. `<*` takes as few as it can."""
    reached = {0}  # how many lines the patterns so far may have taken
    for pattern in patterns:
        if pattern == "<*":
            reached = set(range(min(reached), len(lines) + 1)) if reached else set()
        else:
            reached = {n + 1 for n in reached if n < len(lines) and fits(pattern, lines[n])}
    return len(lines) in reached


def verdict_fits(expected, line):
    if expected.endswith("…"):
        return line.startswith(expected[:-1])
    return line == expected


def cut(case, lines):
    """Cuts console lines into what each part printed, the boot's first.

    Parts that never began are missing at the end.
    """
    blocks, block, steps = [], [], iter(case.steps)
    command = next(steps)[0]
    for line in lines:
        if command is not None and line == "> " + command:
            blocks.append(block)
            block = []
            command = next(steps, (None,))[0]
        else:
            block.append(line)
    blocks.append(block)
    return blocks


def compare(case, lines):
    """What is wrong with the console's lines, as lines for a person; or []."""
    verdict = lines[-1] if lines else "(nothing)"
    blocks = cut(case, lines[:-1])
    wrong = []
    parts = [(None, case.boot or ["<*"])] + case.steps
    kept = {}
    for index, (command, expected) in enumerate(parts):
        title = "  before the first command" if command is None else f"> {command}"
        if index >= len(blocks):
            wrong += [title, "  was not reached"]
            break
        got = blocks[index]
        expected = fill_in(expected, got, kept)
        if not all_fit(expected, got):
            wrong.append(title)
            wrong += difference(expected, got)
    if not verdict_fits(case.verdict, verdict):
        wrong += ["verdict", f"- {case.verdict}", f"+ {verdict}"]
    return wrong


def difference(expected, got):
    """- expected, + got; a pattern stands as the line that it fits, if any."""
    shown = [
        next((line for line in got if p != "<*" and fits(p, line)), p if p[:2] != "< " else p[2:])
        for p in expected
    ]
    rows = difflib.ndiff(shown, got)
    return [row for row in rows if not row.startswith("?")]


# --- running ---------------------------------------------------------------


def find_module(name):
    """The file that a `modules` line names; a folder is one too."""
    for folder in ("target/modules", "tests/fixtures"):
        for ending in ("", ".ko"):
            path = os.path.join(ROOT, folder, name + ending)
            if os.path.exists(path):
                return path
    tree = os.environ.get("TOCSIN_MODULES_DIR")
    if not tree:
        raise Skipped(f"needs {name}, and TOCSIN_MODULES_DIR is not set")
    wanted = {name + ending for ending in ("", ".ko", ".ko.xz", ".ko.zst")}
    for folder, folders, files in os.walk(tree):
        folders.sort()
        found = wanted.intersection(files)
        if found:
            return os.path.join(folder, found.pop())
    raise Malformed(f"{name}: no such module in target/modules, tests/fixtures or {tree}")


def without_make(env=os.environ):
    """`env` as a person's shell has it, also where `make` runs the tests."""
    return {k: v for k, v in env.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}


def environment(case):
    """The variables that qemu/run.sh sees for this case."""
    mine = {"CMD", "MODULES", "GDB", "CALLER"}
    # An empty variable is one that nobody set: `make` exports them so.
    env = {k: v for k, v in os.environ.items() if k not in mine and (v or k not in SETTINGS)}
    asked = env.get("CPU")
    if asked and case.machine.get("CPU", asked) != asked:
        raise Skipped(f"is for CPU={case.machine['CPU']}")
    if env.get("MACHINE", "pseries") != "pseries":
        cpu = "power" + env["MACHINE"].removeprefix("powernv")
        if case.machine.get("MACHINE", env["MACHINE"]) != env["MACHINE"]:
            raise Skipped(f"is for MACHINE={case.machine['MACHINE']}")
        # Memory below the kernel, which is at 512 MiB there, is not used.
        env.setdefault("MEM", "2G")
        if {"ICOUNT", "MEM"}.intersection(case.machine) or case.machine.get("CPU", cpu) != cpu:
            raise Skipped(f"is for pseries, with {' '.join(f'{k}={v}' for k, v in case.machine.items())}")
    elif case.machine.get("MACHINE", "pseries") != "pseries":
        if {"CPU", "MMU", "ICOUNT"}.intersection(env):
            raise Skipped(f"is for MACHINE={case.machine['MACHINE']}")
    env = {"FIRMWARE": "vof", "TIMEOUT": "60", **env}
    env.update(case.machine)
    env["AUDIT"] = "1"
    env["CMD"] = "\n".join(["set -x"] + [command for command, _ in case.steps])
    env["MODULES"] = " ".join(f'"{find_module(name)}"' for name in case.modules)
    env["CONSOLE_LOG"] = os.path.join(ROOT, "target", "cases", case.name + ".log")
    return env


def run(path):
    """Runs one case: (name, "ok" | "FAIL" | "skip", seconds, lines about it)."""
    began = time.monotonic()
    name = os.path.splitext(os.path.basename(path))[0]
    try:
        case = Case(path)
        done = subprocess.run(
            [os.path.join(HERE, "run.sh")],
            env=environment(case),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        lines = done.stdout.decode("utf-8", "replace").splitlines()
        wrong = compare(case, lines)
        # Two ways of saying how it went: they have to agree.
        if lines and (lines[-1] == "tocsin: ok") != (done.returncode == 0):
            wrong.append(f"status {done.returncode} after {lines[-1]}")
        if wrong:
            errors = done.stderr.decode("utf-8", "replace").splitlines()
            wrong += ["the console:"] + ["  " + line for line in lines + errors]
        result = "FAIL" if wrong else "ok"
    except Skipped as why:
        result, wrong = "skip", [str(why)]
    except Malformed as why:
        result, wrong = "FAIL", [str(why)]
    return name, result, time.monotonic() - began, wrong


def find_case(name):
    if name.endswith(".case"):
        return name
    return os.path.join(HERE, "cases", name + ".case")


def main(names):
    folder = os.path.join(HERE, "cases")
    paths = [find_case(n) for n in names] or [
        os.path.join(folder, f) for f in sorted(os.listdir(folder)) if f.endswith(".case")
    ]
    missing = [p for p in paths if not os.path.exists(p)]
    if missing:
        sys.exit(f"cases: {missing[0]}: no such case")
    os.makedirs(os.path.join(ROOT, "target", "cases"), exist_ok=True)
    count = {"ok": 0, "FAIL": 0, "skip": 0}
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for name, result, seconds, about in pool.map(run, paths):
            count[result] += 1
            why = f": {about[0]}" if result == "skip" else ""
            print(f"{result:4} {name} ({seconds:.1f} s){why}")
            if result == "FAIL":
                print("\n".join("     " + line for line in about))
            sys.stdout.flush()
    print(f"{count['ok']} passed, {count['FAIL']} failed" + (f", {count['skip']} skipped" if count["skip"] else ""))
    return 1 if count["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
