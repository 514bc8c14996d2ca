"""What each run of either kernel does: data, read by machines.py.

A run boots once, with these modules at hand. Tocsin's commands are lines of its
shell; Linux's are lines of init.c's script, after all its modules have been loaded
in their order, each under its own name. Every command has a label, by which rows.py
finds what it took. A command that Tocsin refuses ends its run, and the rows that
wanted more show the refusal instead of a figure: that is how a row can be there
before the feature is.
"""

from dataclasses import dataclass, field

# How often a function is called to see what one call takes.
CALLS = 100_000

# What the chart shows, by rising number of relocations; rows.py has four of them.
CHART = ["crc7", "isofs", "udf", "reiserfs", "ext4", "xfs", "btrfs", "amdgpu"]
FOUR = ["crc7", "xfs", "btrfs", "amdgpu"]

# What bench_text.c calls; Debian's nhpoly1305 calls functions of libpoly1305.
TEXT = ["lz4_compress", "libpoly1305", "nhpoly1305"]

TRACING = "/sys/kernel/tracing"


@dataclass
class Run:
    """One boot. `files`: modules of ours, as bench.py has built them."""

    commands: list
    modules: list = field(default_factory=list)
    files: list = field(default_factory=list)
    firmware: str = "vof"
    cpus: int = 1
    memory: str = "1G"
    timeout: int = 900


# --- Tocsin ----------------------------------------------------------------------


def shell(path, text):
    """The command that writes to a control file."""
    return f"echo {text} > {TRACING}/{path}"


def insmod(module):
    """crc7 finds all it imports; the others would need the rest of Linux to run."""
    return f"insmod {module}" if module == "crc7" else f"insmod {module} --link-only"


def call(function):
    return f"call -n {CALLS} {function}"


def load_commands():
    """Loads each module, and looks at the memory before and after the four."""
    for module in CHART:
        if module in FOUR:
            yield f"before {module}", "mem"
        yield module, insmod(module)
        if module in FOUR:
            yield f"after {module}", "mem"
    yield "sections", "lsmod -v"


def with_calls(*commands):
    """A run that calls functions of bench_calls.c."""
    return Run(files=["bench_calls", "bench_fix"], commands=[("calls", "insmod bench_calls"), *commands])


def burn_run(cpus=1):
    """Calls from a module's own code and from another's; then with all other CPUs busy."""
    callers = [(f"busy {cpu}", f"call -b -c {cpu} bench_near {100 * CALLS}")
               for cpu in range(1, cpus)]
    return Run(files=["bench_calls", "bench_far", "bench_fix"], cpus=cpus, commands=[
        ("calls", "insmod bench_calls"),
        ("far", "insmod bench_far"),
        ("near before", f"call bench_near {CALLS}"),
        ("far before", f"call bench_far {CALLS}"),
        ("patch", "livepatch enable bench_fix"),
        ("near after", f"call bench_near {CALLS}"),
        ("far after", f"call bench_far {CALLS}"),
        ("burn off", "livepatch burn off"),
        ("near redirected", f"call bench_near {CALLS}"),
        ("far redirected", f"call bench_far {CALLS}"),
        ("disable", "livepatch disable bench_fix"),
        ("enable", "livepatch enable bench_fix"),
        ("burn on", "livepatch burn on"),
        *callers,
        ("disable busy", "livepatch disable bench_fix"),
        ("enable busy", "livepatch enable bench_fix"),
    ])


def text_run(tracer):
    """bench_text.c runs while it is loaded, with every site of TEXT traced."""
    return Run([(module, f"insmod {module}") for module in TEXT] + [
        (f"filter {module}", f"echo :mod:{module} >> {TRACING}/set_ftrace_filter")
        for module in TEXT
    ] + [
        ("on", shell("current_tracer", tracer)),
        ("calls", "insmod bench_text"),
        ("show", f"cat {TRACING}/trace"),
    ], TEXT, ["bench_text"])


TOCSIN = {
    "boot": Run([("first", "mem")]),
    "boot-slof": Run([("first", "mem")], firmware="slof"),
    "boot-4": Run([("first", "mem")], cpus=4),
    "load": Run(list(load_commands()), CHART),
    "trace": Run([(module, insmod(module)) for module in FOUR] + [
        # Once before it is measured: rings are made at the first time.
        ("on first", shell("current_tracer", "function")),
        ("off first", shell("current_tracer", "nop")),
        ("on", shell("current_tracer", "function")),
        ("status", "trace status"),
        ("off", shell("current_tracer", "nop")),
        ("filter", shell("set_ftrace_filter", "xfs_perag_get")),
        ("attach", shell("current_tracer", "function")),
        ("detach", shell("current_tracer", "nop")),
    ], FOUR),
    "calls": with_calls(
        ("plain", call("bench_plain")),
        ("site", call("bench_site")),
        ("on", "trace on bench_site"),
        ("traced", call("bench_site")),
        ("off", "trace off"),
        ("site again", call("bench_site")),
    ),
    "tracing off": with_calls(
        ("on", "trace on bench_site"),
        ("tracing_on", shell("tracing_on", "0")),
        ("traced", call("bench_site")),
    ),
    "graph": with_calls(
        ("filter", shell("set_ftrace_filter", "bench_site")),
        ("on", shell("current_tracer", "function_graph")),
        ("traced", call("bench_site")),
        ("tracing_on", shell("tracing_on", "0")),
        ("quiet", call("bench_site")),
    ),
    "probe": with_calls(
        ("make", shell("kprobe_events", '"p:bench bench_site a=%gpr3"')),
        ("on", shell("events/kprobes/bench/enable", "1")),
        ("traced", call("bench_site")),
    ),
    "probe args": with_calls(
        ("make", shell("kprobe_events", '"p:bench bench_site %gpr3 %gpr4 %gpr5 %gpr6"')),
        ("on", shell("events/kprobes/bench/enable", "1")),
        ("traced", call("bench_site")),
        ("off", shell("events/kprobes/bench/enable", "0")),
        ("make slow", shell("kprobe_events", '"p:bench bench_site +0(%gpr1)"')),
        ("on slow", shell("events/kprobes/bench/enable", "1")),
        ("fetched", call("bench_site")),
    ),
    "return probe": with_calls(
        ("make", shell("kprobe_events", '"r:bench bench_site a=$retval"')),
        ("on", shell("events/kprobes/bench/enable", "1")),
        ("traced", call("bench_site")),
    ),
    "text function": text_run("function"),
    "text function_graph": text_run("function_graph"),
    "patch": with_calls(
        ("before", call("bench_patched")),
        ("patch", "livepatch enable bench_fix"),
        ("after", call("bench_patched")),
        ("disable", "livepatch disable bench_fix"),
        # The redirect stub is there now: what remains is the change itself.
        ("enable", "livepatch enable bench_fix"),
    ),
    "burn": burn_run(),
    "patch-4": burn_run(4),
}


# --- Linux -----------------------------------------------------------------------


def write(label, path, text):
    return label, ("write", f"{TRACING}/{path}", text)


def calls(label):
    return label, ("calls", str(CALLS))


def linux_text_run(tracer):
    """The same; here a write adds to the filter, since nothing truncates it."""
    return Run([write(f"filter {module}", "set_ftrace_filter", f":mod:{module}") for module in TEXT] + [
        write("on", "current_tracer", tracer),
        ("calls", ("force", "/m/bench_text.ko")),
        ("show", ("show", f"{TRACING}/trace")),
    ], TEXT, ["bench_text"])


LINUX = {
    "boot": Run([("memory", ("show", "/proc/meminfo"))], firmware="slof"),
    "load": Run([("modules", ("show", "/proc/modules"))], ["crc32c_generic", *CHART], memory="4G"),
    "text function": linux_text_run("function"),
    "text function_graph": linux_text_run("function_graph"),
    "trace": Run([
        write("quiet", "tracing_on", "0"),
        write("on first", "current_tracer", "function"),
        write("off first", "current_tracer", "nop"),
        write("on", "current_tracer", "function"),
        ("sites", ("count", f"{TRACING}/enabled_functions")),
        write("off", "current_tracer", "nop"),
        write("filter", "set_ftrace_filter", "sys_getppid"),
        write("attach", "current_tracer", "function"),
        write("detach", "current_tracer", "nop"),
    ], ["crc32c_generic", *FOUR], memory="4G"),
    "calls": Run([
        write("room", "buffer_size_kb", "65536"),
        write("filter", "set_ftrace_filter", "sys_getppid"),
        write("graph filter", "set_graph_function", "sys_getppid"),
        calls("warm"),
        calls("site"),
        write("function", "current_tracer", "function"),
        calls("traced first"), write("clear 1", "trace", ""),
        calls("traced"),
        write("quiet 1", "tracing_on", "0"),
        calls("quiet"),
        write("loud 1", "tracing_on", "1"),
        write("graph", "current_tracer", "function_graph"),
        calls("graph first"), write("clear 2", "trace", ""),
        calls("graph traced"),
        write("quiet 2", "tracing_on", "0"),
        calls("graph quiet"),
        write("loud 2", "tracing_on", "1"),
        write("nop", "current_tracer", "nop"),
        calls("site again"),
        write("all", "set_ftrace_filter", ""),
        write("probe", "kprobe_events", "p:bench sys_getppid a=%gpr3"),
        write("probe on", "events/kprobes/bench/enable", "1"),
        write("clear 3", "trace", ""),
        calls("probe first"), write("clear 4", "trace", ""),
        calls("probe traced"),
        write("probe off", "events/kprobes/bench/enable", "0"),
        write("no probe", "kprobe_events", ""),
        write("probe of four", "kprobe_events", "p:bench sys_getppid %gpr3 %gpr4 %gpr5 %gpr6"),
        write("probe of four on", "events/kprobes/bench/enable", "1"),
        calls("four first"), write("clear 6", "trace", ""),
        calls("four traced"),
        write("probe of four off", "events/kprobes/bench/enable", "0"),
        write("no probe of four", "kprobe_events", ""),
        write("probe of memory", "kprobe_events", "p:bench sys_getppid +0(%gpr1)"),
        write("probe of memory on", "events/kprobes/bench/enable", "1"),
        calls("memory first"), write("clear 7", "trace", ""),
        calls("memory traced"),
        write("probe of memory off", "events/kprobes/bench/enable", "0"),
        write("no probe of memory", "kprobe_events", ""),
        write("return probe", "kprobe_events", "r:bench sys_getppid a=$retval"),
        write("return probe on", "events/kprobes/bench/enable", "1"),
        calls("return first"), write("clear 5", "trace", ""),
        calls("return traced"),
    ]),
}
