"""The table's rows: what is compared, where the figures come from, the budget.

A row takes its figures from runs of runs.py. To add one, add a run or a command
there and a Row here; table, chart, JSON and book follow.
"""

from dataclasses import dataclass
from typing import Any, Callable

import text
from machines import Failed, Tocsin
from runs import CALLS, CHART, FOUR, TEXT

# Work that Linux's linking consists of, and ours.
LINUX_LINK = ("module_frob_arch_sections", "resolve_symbol", "apply_relocate_add",
              "ftrace_module_init", "module_finalize")
TOCSIN_LINK = Tocsin.SPANS[:2]
# Linux places the sections elsewhere (`layout_sections`), and copies them elsewhere
# (`move_module`), so these are taken off.
TOCSIN_NOT_LINK = Tocsin.SPANS[3:]

NO_LIVEPATCH = "Debian builds its kernel without CONFIG_LIVEPATCH"
INSNS, BYTES = "instructions", "bytes"
PER_CALL, PER_SITE = "instructions a call", "instructions a site"
PER_RELOCATION = "instructions a relocation"


@dataclass
class Take:
    """Computes a figure from the records of these runs."""

    runs: tuple
    figure: Callable[..., float]


class Both(Take):
    """Compares: the records of these runs of Linux, then Tocsin's of the same runs."""


@dataclass
class Row:
    """One line of the table. Without a Take the figure is `-`, for that reason."""

    key: str
    title: str
    unit: str
    linux: Any
    tocsin: Any
    # A number, or computed from Tocsin's records.
    budget: Any
    # How it is measured, for the book.
    how: str = ""


def take(*runs):
    """Makes a Take of a function: `take("load")(lambda load: ...)`."""
    return lambda figure: Take(runs, figure)


def per_call(with_it, without):
    """What one call takes more in one window than in another.

    One digit behind the point: a tick of the timer, a hundredth of an instruction a call,
    falls into one of them or into both.
    """
    return round((with_it.busy - without.busy) / CALLS, 1)


def per_job(with_it, without):
    """The same in Tocsin: of the command `call`, the calls without the look-up."""
    run = Tocsin.SPANS[2]
    return round((with_it.within(run) - without.within(run)) / CALLS, 1)


# --- reading what was printed -----------------------------------------------------


def mem(window):
    """Tocsin's `mem`: lines of a word and numbers, some after another word."""
    found = {}
    for line in window.lines:
        words = line.split()
        found.update({words[0]: int(words[1])} if len(words) == 2 else {})
        found.update({words[0]: int(words[3])} if words[2:3] == ["used"] else {})
    return found


def used(window):
    """Bytes that Tocsin's `mem` shows as taken; kmalloc's are part of the heap's."""
    parts = mem(window)
    parts.pop("total", None)
    return sum(parts.values())


def kib(window, name):
    """A line of Linux's /proc/meminfo, in bytes."""
    for line in window.lines:
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise Failed(f"/proc/meminfo: no line {name}")


def module_bytes(window, name):
    """A line of Linux's /proc/modules: the size."""
    for line in window.lines:
        if line.startswith(name + " "):
            return int(line.split()[1])
    raise Failed(f"/proc/modules: {name} is not listed")


def number_after(window, word):
    """The number behind a word in what Tocsin printed."""
    for line in window.lines:
        words = line.split()
        if word in words[:-1]:
            return int(words[words.index(word) + 1])
    raise Failed(f"{word}: not in what was printed")


def stub_bytes(window, module):
    """A module's `.stubs` in `lsmod -v`."""
    inside = False
    for line in window.lines:
        if not line.startswith(" "):
            inside = line.split()[0] == module
        elif inside and line.split()[0] in (".stubs", ".stub_targets"):
            return int(line.split()[2])
    raise Failed(f"lsmod -v: no stubs of {module}")


# --- load -------------------------------------------------------------------------


def linux_link(load, module):
    return load[module].within(*LINUX_LINK)


def tocsin_link(load, module):
    return load[module].within(*TOCSIN_LINK) - load[module].within(*TOCSIN_NOT_LINK)


def growth(link):
    """How much more a relocation of amdgpu costs than one of xfs."""
    def figure(load):
        big, small = (link(load, m) / load.facts(m).relocations for m in ("amdgpu", "xfs"))
        return big / small
    return take("load")(figure)


def against_line(link):
    """The worst module of the chart against 6,000 and 60 a relocation."""
    return take("load")(lambda load: max(
        link(load, m) / (6000 + 60 * load.facts(m).relocations) for m in CHART))


def link_row(module, budget):
    return Row(f"link-{module}", f"link {module}.ko", INSNS,
               take("load")(lambda load: linux_link(load, module)),
               take("load")(lambda load: tocsin_link(load, module)), budget,
               f"Linux: {', '.join(f'`{n}`' for n in LINUX_LINK)}, with what they call. "
               "Tocsin: `Layout::plan` and `relocate::link`, without `Layout::place`. Neither "
               "includes placing the sections or copying them.")


def insmod_row(module, budget):
    only = "" if module == "crc7" else " `--link-only`"
    return Row(f"insmod-{module}", f"insmod {module}.ko", INSNS,
               take("load")(lambda load: load[module].busy),
               take("load")(lambda load: load[module].busy), budget,
               f"Linux: open, `finit_module`, close. Tocsin: the command `insmod`{only}.")


def memory_row(module, budget):
    return Row(f"memory-{module}", f"memory of {module}", BYTES,
               take("load")(lambda load: module_bytes(load["modules"], module)),
               take("load")(lambda load: used(load[f"after {module}"])
                            - used(load[f"before {module}"])), budget,
               "Linux: the size in `/proc/modules`, which leaves out what it allocates beside it. "
               "Tocsin: what `mem` shows more afterwards, the heap's share included.")


def sections_and_stubs(load):
    alloc = load.facts("amdgpu").alloc_bytes
    return int((alloc + stub_bytes(load["sections"], "amdgpu")) * 1.05)


def text_row(key, tracer):
    run = f"text {tracer}"
    return Row(key, f"{tracer} text unlike Linux's", "lines",
               take(run)(lambda linux: len(text.of(linux["show"].lines))),
               Both((run,), lambda linux, tocsin: text.compare(
                   run, linux["show"].lines, tocsin["show"].lines)), 0,
               f"Lines of `trace` for the same calls of {', '.join(TEXT)} in both kernels, the "
               "header's too. Left out of the comparison: task, CPU, flags, times.")


ROWS = [
    link_row("crc7", 6000 + 60 * 11),
    link_row("xfs", 2_900_000),
    link_row("btrfs", 3_000_000),
    link_row("amdgpu", 13_000_000),
    Row("growth", "a relocation of amdgpu against one of xfs", "times",
        growth(linux_link), growth(tocsin_link), 1.1,
        "Link cost by the number of relocations, of the one and of the other. 1 is a flat line."),
    Row("line", "worst module against 6,000 + 60 a relocation", "times",
        against_line(linux_link), against_line(tocsin_link), 1,
        f"Over the modules of the chart: {', '.join(CHART)}."),
    insmod_row("crc7", 40_000),
    insmod_row("xfs", 6_000_000),
    insmod_row("amdgpu", 20_000_000),
    memory_row("crc7", 24 * 1024),
    memory_row("amdgpu", take("load")(sections_and_stubs)),

    # --- tracing on and off ---
    Row("trace-on", "trace every site", PER_SITE,
        take("trace")(lambda trace: trace["on"].busy / trace["sites"].result),
        take("trace")(lambda t: t["on"].executed / number_after(t["status"], "traced")), 30,
        f"`echo function > current_tracer` with {', '.join(FOUR)} loaded, the second time, "
        "by the number of sites; nothing is recorded meanwhile."),
    Row("trace-off", "trace nothing again", PER_SITE,
        take("trace")(lambda trace: trace["off"].busy / trace["sites"].result),
        take("trace")(lambda t: t["off"].executed / number_after(t["status"], "traced")), 30,
        "`echo nop > current_tracer`."),
    Row("attach", "trace one function", INSNS,
        take("trace")(lambda trace: trace["attach"].busy),
        take("trace")(lambda trace: trace["attach"].executed), 3000,
        "The same with one name in the filter."),
    Row("filter", "set a filter of one name", INSNS,
        take("trace")(lambda trace: trace["filter"].busy),
        take("trace")(lambda trace: trace["filter"].executed), 100_000,
        "`echo NAME > set_ftrace_filter`."),

    # --- one call ---
    Row("site", "call at a disabled site", PER_CALL,
        "Debian has no twin without a site; by the ABI 2",
        take("calls")(lambda calls: per_job(calls["site"], calls["plain"])), 2,
        "Two functions that do the same, one of them `notrace`."),
    Row("record", "function tracer, recording", PER_CALL,
        take("calls")(lambda calls: per_call(calls["traced"], calls["site"])),
        take("calls")(lambda calls: per_job(calls["traced"], calls["site"])), 40,
        f"{CALLS:,} calls with the site on against as many with it off. Linux: `getppid`, in "
        "whose system call everything else is the same."),
    Row("quiet", "function tracer, tracing_on=0", PER_CALL,
        take("calls")(lambda calls: per_call(calls["quiet"], calls["site"])),
        take("tracing off", "calls")(
            lambda off, calls: per_job(off["traced"], calls["site"])), 12,
        "The site is on and nothing is recorded."),
    Row("graph", "graph tracer, recording", PER_CALL,
        take("calls")(lambda calls: per_call(calls["graph traced"], calls["site"])),
        take("graph", "calls")(
            lambda graph, calls: per_job(graph["traced"], calls["site"])), 90,
        "Entry and exit."),
    Row("graph-quiet", "graph tracer, tracing_on=0", PER_CALL,
        take("calls")(lambda calls: per_call(calls["graph quiet"], calls["site"])),
        take("graph", "calls")(
            lambda graph, calls: per_job(graph["quiet"], calls["site"])), 12,
        "Entry and exit, nothing recorded."),
    Row("probe", "probe at entry, one argument", PER_CALL,
        take("calls")(lambda calls: per_call(calls["probe traced"], calls["site"])),
        take("probe", "calls")(
            lambda probe, calls: per_job(probe["traced"], calls["site"])), 60,
        "An event of `kprobe_events`."),
    Row("probe-args", "probe at entry, four arguments", PER_CALL,
        take("calls")(lambda calls: per_call(calls["four traced"], calls["site"])),
        take("probe args", "calls")(
            lambda probe, calls: per_job(probe["traced"], calls["site"])), 60,
        "The same with four registers."),
    Row("probe-memory", "probe at entry, a word of memory", PER_CALL,
        take("calls")(lambda calls: per_call(calls["memory traced"], calls["site"])),
        take("probe args", "calls")(
            lambda probe, calls: per_job(probe["fetched"], calls["site"])), 1120,
        "A read that may fail: the hook asks the kernel. The budget is what Linux takes for a "
        "register."),
    Row("return-probe", "probe at return", PER_CALL,
        take("calls")(lambda calls: per_call(calls["return traced"], calls["site"])),
        take("return probe", "calls")(
            lambda probe, calls: per_job(probe["traced"], calls["site"])), 110,
        "The same at the return."),
    Row("patch", "live-patched call, extra", PER_CALL,
        NO_LIVEPATCH,
        take("patch")(lambda patch: per_job(patch["after"], patch["before"])), 25,
        "A function replaced by one that takes as many instructions."),
    Row("patch-burnt", "live-patched call, burnt in, by a stub", PER_CALL, NO_LIVEPATCH,
        take("burn")(lambda burn: per_job(burn["far after"], burn["far before"])), 0,
        "From another module: its stub leads to the replacement."),
    Row("patch-burnt-near", "live-patched call, burnt in, by a bl", PER_CALL, NO_LIVEPATCH,
        take("burn")(lambda burn: per_job(burn["near after"], burn["near before"])), 0,
        "From the function's own module, the replacement having no TOC of its own."),
    Row("patch-on", "live patch of one function, enable", INSNS, NO_LIVEPATCH,
        take("patch")(lambda patch: patch["enable"].busy), None,
        "The command, from the check of what is there to the last CPU's answer; the module is "
        "loaded, and was enabled once before."),
    Row("patch-off", "live patch of one function, disable", INSNS, NO_LIVEPATCH,
        take("patch")(lambda patch: patch["disable"].busy), None, "The same the other way."),
    Row("patch-burn", "burn-in of one function", INSNS, NO_LIVEPATCH,
        take("burn")(lambda burn: burn["burn on"].busy), None,
        "`livepatch burn on`: two calls in two modules."),
    Row("patch-idle", "transition, three other CPUs idle", INSNS, NO_LIVEPATCH,
        take("patch-4", "burn")(lambda four, one: four["enable"].busy - one["enable"].busy), None,
        "What all CPUs together execute more for `livepatch enable` than one alone: each is "
        "woken, and looks at its stack."),
    Row("patch-busy", "transition, three other CPUs in the function", INSNS, NO_LIVEPATCH,
        take("patch-4", "burn")(lambda four, one: four["enable busy"].busy - one["enable"].busy),
        None, "The same while they call it without end, so that it lasts to their next tick "
        "outside of it; what they do meanwhile is in the figure."),

    # --- what is printed ---
    text_row("text", "function"),
    text_row("text-graph", "function_graph"),

    # --- the kernel itself ---
    Row("image", "kernel image, stripped", BYTES,
        take("boot")(lambda boot: boot.image_bytes),
        take("boot")(lambda boot: boot.image_bytes), 1_000_000,
        "The file that boots. Debian's vmlinux has its symbols."),
    Row("memory-boot", "memory after boot", BYTES,
        take("boot")(lambda boot: (1 << 30) - kib(boot["memory"], "MemAvailable")),
        take("boot")(lambda boot: used(boot["first"])), 4_000_000,
        "Of 1 GiB, with one CPU. Linux: what is not MemAvailable. Tocsin: all that `mem` "
        "shows as taken; no rings yet."),
    Row("boot", "first instruction to prompt, own", INSNS,
        take("boot")(lambda boot: boot.seen[boot.start] - boot.seen[boot.entry]),
        take("boot")(lambda boot: boot["first"].before - boot.seen[boot.entry]), 6_000_000,
        "Linux: to the first instruction of `/init`, with SLOF. Tocsin: to the first command, "
        "with QEMU's own firmware, which takes no instructions."),
    Row("boot-slof", "first instruction to prompt, with SLOF's share", INSNS,
        take("boot")(lambda boot: boot.seen[boot.start] - boot.seen[boot.entry]),
        take("boot-slof")(lambda boot: boot["first"].before - boot.seen[boot.entry]), 60_000_000,
        "The same with SLOF for both."),
    Row("boot-cpu", "each further CPU", INSNS,
        "its idle loops would be counted with it",
        take("boot", "boot-4")(lambda one, four: (
            four["first"].before - four.seen[four.entry]
            - one["first"].before + one.seen[one.entry]) / 3), 2_500_000,
        "A boot with four CPUs against one with one, by three."),
]
