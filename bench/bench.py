#!/usr/bin/env python3
"""Counts what Tocsin's work costs, and what the same costs Linux: `make bench`.

    bench.py [--docs DIR] [--top]     with these in the environment:

    ROWS                 keys of the rows that are wanted, as 'link-* boot'; all
    LINUX=0              leaves Linux out
    TOCSIN_MODULES_DIR   Debian's kernel package, unpacked (target/debian)

    runs.py      what each boot does      \\
    machines.py  boots both, count.c counts  >  rows.py  ->  report.py, chart.py
    init.c, bench_*.c                     /
    text.py      compares what both print of the same calls

Results: a table on stdout, target/bench.json, target/bench.svg. With --docs a
complete run also puts them into the book. --top shows, command by command, which
functions of Tocsin took most.
"""

import argparse
import concurrent.futures
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import time

import chart
import report
import rows as table
import runs
from machines import ROOT, Bench, Failed, Linux, Tocsin

KERNEL = os.path.join(ROOT, "target", "tocsin")


def choose(patterns):
    """The rows whose keys fit one of the patterns; all without any."""
    if not patterns:
        return table.ROWS
    chosen = [row for row in table.ROWS
              if any(fnmatch.fnmatch(row.key, pattern) for pattern in patterns)]
    for pattern in patterns:
        if not any(fnmatch.fnmatch(row.key, pattern) for row in table.ROWS):
            keys = " ".join(row.key for row in table.ROWS)
            raise Failed(f"ROWS: {pattern}: no such row; there are {keys}")
    return chosen


class Results:
    """Boots what is asked for, each run once."""

    def __init__(self, linux, tocsin):
        self.machines = {"linux": linux, "tocsin": tocsin}
        self.records = {}

    def boot_all(self, wanted):
        """Boots pairs of machine and run, as many at a time as there are CPUs."""
        def boot(pair):
            side, name = pair
            run = getattr(runs, side.upper())[name]
            began = time.monotonic()
            try:
                record = self.machines[side].boot(name, run)
            except Failed as why:
                record = why
            print(f"bench: {side} {name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
            return pair, record
        # Linux's runs are the long ones; they go first.
        order = sorted(wanted)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            self.records.update(pool.map(boot, order))

    def figure(self, side, what):
        """A figure, or None and why there is none."""
        if isinstance(what, str):
            return None, what
        if self.machines[side] is None:
            return None, "left out (LINUX=0)"
        sides = ("linux", "tocsin") if isinstance(what, table.Both) else (side,)
        if any(self.machines[one] is None for one in sides):
            return None, "what it is compared with was left out (LINUX=0)"
        records = [self.records[one, name] for one in sides for name in what.runs]
        try:
            for record in records:
                if isinstance(record, Failed):
                    raise record
            return what.figure(*records), None
        except Failed as why:
            return None, str(why)
        except (KeyError, ValueError, ZeroDivisionError) as why:
            return None, f"not found in what was measured: {why}"

    def entry(self, row):
        linux, why_linux = self.figure("linux", row.linux)
        tocsin, why_tocsin = self.figure("tocsin", row.tocsin)
        budget = row.budget
        if isinstance(budget, table.Take):
            budget, _ = self.figure("tocsin", budget)
        return {"key": row.key, "title": row.title, "unit": row.unit, "linux": linux,
                "tocsin": tocsin, "ratio": report.ratio(linux, tocsin), "budget": budget,
                "why_linux": why_linux, "why_tocsin": why_tocsin, "how": row.how}

    def points(self):
        """The chart's points, if the modules were loaded: one a module."""
        there = [record for (_, name), record in self.records.items()
                 if name == "load" and not isinstance(record, Failed)]
        points = []
        for module in runs.CHART if there else ():
            relocations = there[0].facts(module).relocations
            point = {"module": module, "relocations": relocations}
            for side, link in (("linux", table.linux_link), ("tocsin", table.tocsin_link)):
                if (side, "load") in self.records:
                    total, _ = self.figure(side, table.take("load")(lambda r: link(r, module)))
                else:
                    total = None
                point[side] = total / relocations if total else None
            points.append(point)
        return points

    def hot(self):
        """Where Tocsin's instructions go, command by command."""
        found = {}
        for (side, name), record in sorted(self.records.items()):
            if side == "tocsin" and not isinstance(record, Failed):
                found.update({f"{name}: {label}": window.top(8)
                              for label, window in record.windows.items()})
        return found


def needed(chosen, sides):
    """Pairs of machine and run that the rows want."""
    wanted = set()
    for row in chosen:
        for side in sides:
            for what in (getattr(row, side), row.budget if side == "tocsin" else None):
                if isinstance(what, table.Take):
                    wanted.update((side, name) for name in what.runs)
    return wanted


def version(command, pattern):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    found = re.search(pattern, done.stdout)
    return found[1] if found else "unknown"


def build_modules(bench):
    """Builds the modules of ours that runs name, by `make module`."""
    for name in ("bench_calls", "bench_far", "bench_fix", "bench_text"):
        source, out = os.path.join("bench", name + ".c"), bench.path(name + ".ko")
        bench.tool(["make", "-sC", ROOT, "module", f"SRC={source}", f"OUT={out}"])
    for run in (*runs.TOCSIN.values(), *runs.LINUX.values()):
        run.files = [bench.path(os.path.basename(name) + ".ko") for name in run.files]


def measure(rows, with_linux):
    chosen = choose(rows.split())
    if not shutil.which("qemu-system-ppc64"):
        raise Failed("qemu-system-ppc64: not installed (Debian: apt install qemu-system-ppc)")
    bench = Bench(os.environ.get("TOCSIN_MODULES_DIR") or os.path.join(ROOT, "target", "debian"),
                  os.path.join(ROOT, "target", "bench"))
    build_modules(bench)
    tocsin = Tocsin(bench, KERNEL)
    linux = Linux(bench) if with_linux else None
    results = Results(linux, tocsin)
    sides = ["tocsin"] + (["linux"] if linux else [])
    results.boot_all(needed(chosen, sides))
    return bench, chosen, results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--docs")
    parser.add_argument("--top", action="store_true")
    args = parser.parse_args()
    try:
        rows, with_linux = os.environ.get("ROWS", ""), os.environ.get("LINUX") != "0"
        bench, chosen, results = measure(rows, with_linux)
    except Failed as why:
        sys.exit(f"bench: {why}")
    entries = [results.entry(row) for row in chosen]
    result = {
        "qemu": version(["qemu-system-ppc64", "--version"], r"(QEMU emulator version \S+)"),
        "linux_version": "Debian's Linux " + ", ".join(
            os.listdir(os.path.join(bench.linux_dir, "lib", "modules"))),
        "tocsin_version": version(["sed", "-n", "/^version/p", os.path.join(ROOT, "Cargo.toml")],
                                  '"(.*)"'),
        "rows": entries, "chart": results.points(), "hot": results.hot()}
    report.write_json(os.path.join(ROOT, "target", "bench.json"), result)
    print(report.table(entries))
    if result["chart"]:
        svg = chart.draw(result["chart"])
        with open(os.path.join(ROOT, "target", "bench.svg"), "w", encoding="utf-8") as file:
            file.write(svg)
    if args.top:
        for label, functions in result["hot"].items():
            print(f"{label}:")
            for name, count in functions:
                print(f"  {count:>12,}  {name}")
    if args.docs and with_linux and not rows.split():
        with open(os.path.join(args.docs, "bench.svg"), "w", encoding="utf-8") as file:
            file.write(svg)
        path = os.path.join(args.docs, "benchmarks.md")
        with open(path, encoding="utf-8") as file:
            page = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(report.put_between(page, report.markdown(result)))
    kept = [report.verdict(entry) for entry in entries]
    print(f"{kept.count('yes')} budgets kept, {kept.count('NO')} exceeded, "
          f"{kept.count('-')} without a figure")


if __name__ == "__main__":
    main()
