"""Boots the two kernels under QEMU and says what each window of a run took.

    Tocsin   one window a command: each call of `Kernel::carry_out`
    Linux    one window a line of the script: each call of init.c's `window`

Both are counted by count.c from outside, in instructions executed, with the same
machine: pseries, POWER9, `-icount shift=0,sleep=off`, so that a run repeats.

    boot()  ->  Record  ->  record["label"]  ->  Window
"""

import bisect
import os
import re
import shlex
import subprocess
import sys
import threading

import elf

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(ROOT, "qemu"))
import mkinitrd  # noqa: E402  (qemu/ is a folder of scripts, not a package)

# QEMU puts a pseries kernel this far above where it is linked (hw/ppc/spapr.h).
LOADED_ABOVE = 0x400000
# Linux has a task for this; it is no work.
IDLE = ("snooze_loop", "dedicated_cede_loop", "shared_cede_loop", "pseries_lpar_idle",
        "arch_cpu_idle", "cpuidle_enter_state", "cpuidle_enter", "do_idle", "default_idle_call")
INIT_FLAGS = ["-O2", "-Wall", "-Wextra", "-Werror", "-std=gnu11", "-ffreestanding", "-fno-builtin",
              "-fno-stack-protector", "-fno-tree-loop-distribute-patterns", "-static", "-nostdlib",
              "-no-pie", "-Wl,--build-id=none", "-Wl,-Ttext-segment=0x200000000"]


class Failed(Exception):
    """Why something cannot be measured, as one line for a person."""


class Window:
    """What one command took."""

    def __init__(self, number, before, executed):
        self.number, self.before, self.executed = number, before, executed
        self.calls, self.inside, self.own = {}, {}, {}
        self.result, self.lines = None, []

    @property
    def busy(self):
        """Instructions executed, without the idle loop."""
        return self.executed - sum(self.own.get(name, 0) for name in IDLE)

    def within(self, *names):
        """Instructions inside calls of these functions; 0 for one never called."""
        return sum(self.inside.get(name, 0) for name in names)

    def top(self, count):
        """The functions whose own code took most: pairs of name, instructions."""
        return sorted(self.own.items(), key=lambda pair: -pair[1])[:count]


class Record:
    """One run: its windows by label, and when it first reached watched places.

    `facts` answers a module's ModuleFacts. `entry` is where the kernel begins, and
    `start`, under Linux, its first program: keys of `seen`.
    """

    def __init__(self, name, machine):
        self.name, self.facts = name, machine.bench.facts_of
        self.image_bytes = os.path.getsize(machine.image)
        self.entry, self.start = machine.entry, machine.start
        self.windows, self.seen, self.failed = {}, {}, None

    def __getitem__(self, label):
        window = self.windows.get(label)
        if window and (window.result or 0) < 0:
            raise Failed(f"run {self.name}: Linux answered {window.result} to `{label}`")
        if window:
            return window
        raise Failed(self.failed or f"run {self.name}: nothing is called {label}")


def parse_counts(text):
    """Reads count.c's output: the list of windows, and what was first seen when."""
    windows, seen = [], {}
    for line in text.splitlines():
        kind, name, *numbers = line.split("\t")
        numbers = [int(number) for number in numbers]
        if kind == "window":
            windows.append(Window(int(name), *numbers))
        elif kind == "span":
            windows[-1].calls[name], windows[-1].inside[name] = numbers
        elif kind == "self":
            own = windows[-1].own
            own[name] = own.get(name, 0) + numbers[1]
        elif kind == "seen":
            seen[int(name, 16)] = numbers[0]
        elif kind != "end":
            raise Failed(f"count.c: a line of an unknown kind: {line}")
    return windows, seen


def closure(index, name, seen):
    """Files that a module needs, itself last, without those in `seen`."""
    key = name.replace("-", "_")
    if key in seen:
        return []
    if key not in index:
        raise Failed(f"{name}.ko: not among Debian's modules; choose another in bench/runs.py")
    seen.add(key)
    with open(index[key], "rb") as file:
        needs = elf.depends(file.read(), index[key])
    order = []
    for need in needs:
        order += closure(index, need, seen)
    return order + [index[key]]


class Bench:
    """What all runs share: tools that were built, files, the folder for results."""

    def __init__(self, linux_dir, work):
        self.work = work
        os.makedirs(os.path.join(work, "modules"), exist_ok=True)
        self.plugin = self.path("count.so")
        self.tool(["cc", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", self.plugin,
                   os.path.join(HERE, "count.c")])
        self.linux_dir, self.index = linux_dir, {}
        for folder, _, files in os.walk(os.path.join(linux_dir, "lib", "modules")):
            for file in files:
                if file.endswith(".ko"):
                    self.index[file[:-3].replace("-", "_")] = os.path.join(folder, file)
        self.facts, self.writing = {}, threading.Lock()
        if not self.index:
            raise Failed(f"{linux_dir}: no modules there; `make bench` unpacks Debian's into "
                         "target/debian, or TOCSIN_MODULES_DIR names a folder that has them")

    def path(self, *names):
        return os.path.join(self.work, *names)

    def tool(self, command):
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except FileNotFoundError:
            raise Failed(f"{command[0]}: not installed; `make bench` installs it on Debian, "
                         "README.md lists what others need") from None
        if done.returncode != 0:
            raise Failed(f"{shlex.join(command)}: {done.stdout.decode(errors='replace').strip()}")

    def module(self, name):
        """The file that both kernels load: Debian's, without its signature."""
        path = self.path("modules", name + ".ko")
        with self.writing:
            if name not in self.facts:
                source = self.index.get(name.replace("-", "_"))
                if not source:
                    raise Failed(f"{name}.ko: not among Debian's modules; choose another in "
                                 "bench/runs.py")
                with open(source, "rb") as file:
                    data = elf.without_signature(file.read())
                with open(path, "wb") as file:
                    file.write(data)
                self.facts[name] = elf.ModuleFacts(data, path)
        return path

    def facts_of(self, name):
        self.module(name)
        return self.facts[name]

    def write_lines(self, name, pairs):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{at:x} {text}\n" for at, text in sorted(pairs))
        return path


def one_file(folder, prefix):
    """The only file in a folder that begins so."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    found = sorted(name for name in names if name.startswith(prefix))
    if not found:
        raise Failed(f"{folder}/{prefix}*: not there; unset TOCSIN_MODULES_DIR, and `make bench` "
                     "unpacks Debian's kernel into target/debian; or LINUX=0 leaves Linux out")
    return os.path.join(folder, found[-1])


def labelled(record, windows, labels, what):
    """Gives each window its label; fewer windows than labels is a failed run."""
    record.windows = dict(zip(labels, windows))
    if len(windows) < len(labels) and not record.failed:
        record.failed = (f"run {record.name}: {what} ended at `{labels[len(windows)]}`"
                         if windows else f"run {record.name}: {what} reached no command")
    return record


# --- Tocsin ----------------------------------------------------------------------


class Tocsin:
    """Runs of our kernel: qemu/run.sh, with the plugin among QEMU's words."""

    # The first must be called once a command; the others are spans to be counted.
    WINDOW = "tocsin::kernel::commands::Kernel>::carry_out"
    SPANS = ("tocsin::loader::layout::Layout>::plan", "tocsin::loader::relocate::link",
             "tocsin::kernel::jobs::run", "tocsin::loader::relocate::copy_sections",
             "tocsin::loader::layout::Layout>::place")

    def __init__(self, bench, kernel):
        self.bench = bench
        self.image = kernel + ".stripped"
        for path in (kernel, self.image):
            if not os.path.exists(path):
                raise Failed(f"{path}: not there; `make kernel` builds it")
        with open(kernel, "rb") as file:
            image = elf.Elf(file.read(), kernel)
        functions = image.functions()
        names = self.demangle(symbol.name for symbol in functions.values())
        targets, missing = {}, []
        for wanted in (self.WINDOW, *self.SPANS):
            found = [s for s in functions.values() if names[s.name].lstrip("<") == wanted]
            missing += [] if found else [wanted]
            for symbol in found:
                targets[symbol.value] = targets[symbol.local_entry()] = wanted
        if missing:
            raise Failed(f"{', '.join(missing)}: not in {kernel}: renamed, or inlined (then "
                         "#[inline(never)] helps); bench/machines.py counts its calls")
        up = LOADED_ABOVE
        self.entry, self.start = image.section(".text").addr + up, None
        end = max(s.addr + s.size for s in image.code())
        own = [(at + up, names[s.name]) for at, s in functions.items()]
        own += [(0, "firmware"), (end + up, "modules")]
        self.functions = bench.write_lines("tocsin.functions", own)
        calls = [(at + up, name) for at, name in image.calls_to(targets)]
        self.calls = bench.write_lines("tocsin.calls", calls)

    def demangle(self, names):
        """Maps symbols to names as people write them."""
        names = sorted(set(names))
        tool = "powerpc64le-linux-gnu-c++filt"
        try:
            done = subprocess.run([tool], input="\n".join(names), stdout=subprocess.PIPE,
                                  text=True, check=True)
        except FileNotFoundError:
            raise Failed(f"{tool}: not installed (binutils for powerpc64le)") from None
        # The hash behind a crate's name changes with every compiler.
        return dict(zip(names, re.sub(r"\[[0-9a-f]{8,}\]", "", done.stdout).split("\n")))

    def boot(self, name, run):
        """Runs commands; a refused one ends the run, and its reason is kept."""
        counts = self.bench.path(f"tocsin-{name}.counts")
        plugin = (f"{self.bench.plugin},functions={self.functions},calls={self.calls},"
                  f"window={self.WINDOW},watch={self.entry:x},out={counts}")
        labels = [label for label, _ in run.commands]
        commands = [command for _, command in run.commands]
        environment = dict(
            os.environ, CMD="; ".join(["set -x", *commands]), ICOUNT="1", CPU="power9",
            MMU="radix", MACHINE="pseries", KERNEL=self.image, GDB="", FIRMWARE=run.firmware, SMP=str(run.cpus), MEM=run.memory,
            MODULES=shlex.join([self.bench.module(m) for m in run.modules] + run.files),
            QEMUFLAGS=shlex.join(["-rtc", "base=2024-01-01,clock=vm", "-seed", "1",
                                  "-plugin", plugin]),
            CONSOLE_LOG=self.bench.path(f"tocsin-{name}.console"), TIMEOUT="300")
        remove(counts)
        done = subprocess.run([os.path.join(ROOT, "qemu", "run.sh")], env=environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        record = Record(name, self)
        lines = done.stdout.splitlines()
        verdict = lines[-1] if lines else last_line(done.stderr)
        if not os.path.exists(counts):
            raise Failed(f"QEMU did not take the plugin: {last_line(done.stderr)}: bench/count.c "
                         "is made for the plugin interface of QEMU 7.2 to 8.2")
        if verdict != "tocsin: ok":
            record.failed = verdict.removeprefix("tocsin: failed: ")
        with open(counts, encoding="utf-8") as file:
            windows, record.seen = parse_counts(file.read())
        if record.failed and windows:
            windows.pop()  # the command that was refused
        shown = console_lines(lines[:-1], commands)  # without the verdict
        for window, said in zip(windows, shown):
            window.lines = said
        return labelled(record, windows, labels, "Tocsin")


def console_lines(lines, commands):
    """What each command printed, by the lines `> COMMAND` of `set -x`."""
    shown, waiting = [], list(commands)
    for line in lines:
        if waiting and line == "> " + waiting[0]:
            waiting.pop(0)
            shown.append([])
        elif shown:
            shown[-1].append(line)
    return shown


# --- Linux -----------------------------------------------------------------------


class Linux:
    """Runs of Debian's kernel, with init.c as its only program."""

    SPANS = ("module_frob_arch_sections", "resolve_symbol", "apply_relocate_add",
             "ftrace_module_init", "module_finalize", "ftrace_replace_code")
    WINDOW = "window"

    def __init__(self, bench):
        self.bench, self.image = bench, one_file(os.path.join(bench.linux_dir, "boot"), "vmlinux-")
        self.init = bench.path("init")
        bench.tool(["powerpc64le-linux-gnu-gcc", *INIT_FLAGS, "-o", self.init,
                    os.path.join(HERE, "init.c")])
        with open(self.init, "rb") as file:
            init = elf.Elf(file.read(), self.init)
        with open(self.image, "rb") as file:
            kernel = elf.Elf(file.read(), self.image)
        by_name = {s.name: s for s in init.functions().values()}
        self.start = by_name["_start"].value
        window = by_name[self.WINDOW]
        targets = {at: self.WINDOW for at in (window.value, window.local_entry())}
        calls = list(init.calls_to(targets))
        functions = kernel.functions()
        targets, found = {}, set()
        for symbol in functions.values():
            if symbol.name in self.SPANS:
                targets[symbol.value] = targets[symbol.local_entry()] = symbol.name
                found.add(symbol.name)
        if missing := set(self.SPANS) - found:
            raise Failed(f"{', '.join(sorted(missing))}: not in {self.image}; this Linux does "
                         "the work under other names: correct SPANS in bench/machines.py")
        calls += kernel.calls_to(targets)
        self.calls = bench.write_lines("linux.calls", calls)
        ends = max(s.addr + s.size for s in kernel.code())
        names = [(at, s.name) for at, s in functions.items()]
        names += [(0, "firmware and user"), (ends, "elsewhere"), (0xC008 << 48, "modules")]
        self.functions = bench.write_lines("linux.functions", names)
        self.entry = LOADED_ABOVE

    def initramfs(self, name, run):
        """init, its script, and the run's modules with all that they need."""
        script = [("mount", "mount", "/proc", "proc"), ("mount", "mount", "/sys", "sysfs"),
                  ("mount", "mount", "/sys/kernel/tracing", "tracefs")]
        files, seen = [], set()
        for module in run.modules:
            for path in closure(self.bench.index, module, seen):
                own = elf_name(path)
                files.append(own)
                label = module if own.replace("-", "_") == module.replace("-", "_") else "needed"
                script.append(("load", label, f"/m/{own}.ko"))
        script += [(words[0], label, *words[1:]) for label, words in run.commands]
        path = self.bench.path(f"linux-{name}.cpio")
        with open(path, "wb") as out:
            archive = mkinitrd.Archive(out)
            for folder in ("dev", "proc", "sys", "m"):
                archive.add(folder, 0o040755)
            archive.add("dev/console", 0o020600, device=(5, 1))
            with open(self.init, "rb") as file:
                archive.add("init", 0o100755, file.read())
            text = "".join("\t".join(line) + "\n" for line in script)
            archive.add("script", 0o100644, text.encode())
            for source in [self.bench.module(own) for own in files] + run.files:
                with open(source, "rb") as file:
                    archive.add(f"m/{os.path.basename(source)}", 0o100644, file.read())
            archive.add("TRAILER!!!", 0)
        return path, [line[1] for line in script]

    def boot(self, name, run):
        initramfs, labels = self.initramfs(name, run)
        counts = self.bench.path(f"linux-{name}.counts")
        remove(counts)
        machine = "pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken"
        machine += ",x-vof=on" if run.firmware == "vof" else ""
        plugin = (f"{self.bench.plugin},functions={self.functions},calls={self.calls},"
                  f"window={self.WINDOW},watch={self.entry:x},watch={self.start:x},out={counts}")
        command = [
            "qemu-system-ppc64", "-M", machine, "-cpu", "power9", "-m", run.memory, "-smp",
            str(run.cpus), "-icount", "shift=0,sleep=off", "-nodefaults", "-display", "none",
            "-no-reboot", "-serial", "stdio", "-monitor", "none", "-kernel", self.image,
            "-initrd", initramfs, "-append", "console=hvc0 quiet loglevel=1 rdinit=/init",
            "-seed", "1", "-rtc", "base=2024-01-01,clock=vm", "-plugin", plugin]
        with open(self.bench.path(f"linux-{name}.console"), "wb") as log:
            try:
                done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, timeout=run.timeout)
                said = done.stdout
            except FileNotFoundError:
                raise Failed("qemu-system-ppc64: not installed (package qemu-system-ppc)") from None
            except subprocess.TimeoutExpired as late:
                said = late.stdout or b""
            log.write(said)
        os.unlink(initramfs)
        record = Record(name, self)
        if not os.path.exists(counts):
            raise Failed(f"QEMU did not take the plugin: {last_line(said.decode('latin-1'))}: "
                         "bench/count.c is made for the plugin interface of QEMU 7.2 to 8.2")
        with open(counts, encoding="utf-8") as file:
            windows, record.seen = parse_counts(file.read())
        results = script_lines(said.decode("latin-1").replace("\r", "").split("\n"))
        for window in windows:
            window.result, window.lines = results.get(window.number, (None, []))
        return labelled(record, windows, labels, "Linux")


def script_lines(lines):
    """Maps the number of each window to (result, lines shown), from init.c's output.

    The kernel may have left a line of its own unfinished before the first.
    """
    shown, found = [], {}
    for line in lines:
        if line.startswith("| "):
            shown.append(line[2:])
        elif match := re.search(r"window (\d+) .* (-?\d+)$", line):
            found[int(match[1])] = int(match[2]), shown
            shown = []
    return found


def elf_name(path):
    return os.path.basename(path).removesuffix(".ko")


def last_line(text):
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no word from it"


def remove(path):
    if os.path.exists(path):
        os.unlink(path)
