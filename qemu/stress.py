#!/usr/bin/env python3
"""Changes code under CPUs that run it, and counts what came out wrong.

    stress.py        FOR=60 SEED=1 SMP=4 THREADS=single|multi TOGGLES=n STACKED=n

CPU 0 traces on and off, patches and unpatches, loads and unloads modules, in an
order that a seed decides. All other CPUs call the very functions, with a canary in
every register and stack word that a call must keep (modules/c/stress.h).

    seed 1: 412,345 calls, 180,021 old, 232,324 new, 0 wrong, 0 torn, 0 lost; 5,100 changes

A call answers what the old function or the new one would; anything else is wrong. A
register that did not survive is torn. A call that never came back, or a trace record
that was not written, is lost.

One machine after the other is booted, each with the next seed, until FOR seconds
are over; even seeds translate with a hash table, unless MMU says otherwise.
Single-threaded, with ICOUNT=fine, a seed gives the same run to the last instruction:
`make stress FOR=1 SEED=17` shows again what seed 17 has shown.

THREADS=multi gives each CPU a host thread. QEMU 7.2 may then go on with an
instruction that has been replaced (docs/testing.md). A CPU that does not answer as
memory says it must, and does after the same words were stored again, is counted as
`stale`, and is QEMU's fault; whatever stays wrong is ours.

TOGGLES=n switches a thousand call sites on and off n times, instead of all else.

STACKED=n enables and disables two patches of the same two functions, one of which calls
the other (modules/c/mix.h), n times in each of a few orders, with tracing in between,
instead of all else. A call that has begun in one generation and ends in another is
`mixed`. (Not with THREADS=multi: QEMU's stale instructions look the same.)
"""

import os
import random
import re
import subprocess
import sys
import time

import cases

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
# Modules that nobody calls: they come and go.
STRANGERS = ["late", "gcc5", "pair_a", "nop_after", "demo", "rust_hello"]
GLOBS = ["stress_*", "*n*", "stress:stress_answer", "stress_deep stress_tail", "many_1*",
         "*t* !many_*", "stress_far:*", "many_?5? stress_nop stress_late"]
# On and off 100 times: 100,000 toggles of one site each.
SITES, TIMES = 1000, 100
PROBED = [f"stress:stress_{name}" for name in
          "answer nine twelve sum_of make_ten tail deep far profile gcc5 nop".split()]
PROBES = [("probe", ""), ("probe", "$arg1"), ("probe", "$arg2 $arg4"), ("probe", "$arg8"),
          ("return", "$retval")]
# The kernel fetches these. A CPU is then most of the time in the function that they stand
# at, and a patch of that would wait.
SLOW_PROBES = [("probe", "%r11 %ccr +0($arg1):string"), ("return", "%r30 +0($retval) %ccr")]
KINDS = "calls old new wrong torn lost".split()
MIXES = re.compile(r"mix_user: cpu \d+ old (\d+) one (\d+) two (\d+) mixed (\d+)")
COUNTS = re.compile(r"\w+: cpu \d+ " + " ".join(rf"{kind} (\d+)" for kind in KINDS))


class Wrong(Exception):
    """What the run has shown."""


class Script:
    """Commands for one machine, and what each has to say."""

    def __init__(self, seed, cpus, multi):
        self.random = random.Random(f"tocsin stress {seed}")
        self.seed, self.cpus, self.multi = seed, cpus, multi
        self.commands = []  # (command, look), look(lines) raises Wrong
        self.jobs = 0
        self.changes = 0
        self.counts = {}
        self.stale = 0

    def do(self, command, look=None):
        self.commands.append((command, look))

    def says(self, command, *expected):
        def look(lines):
            if lines != list(expected):
                raise Wrong(f"{command}: expected {list(expected)}, got {lines}")
        self.do(command, look)

    # --- jobs ---

    def start(self, cpu, call):
        self.jobs += 1
        self.says(f"call -c {cpu} -b {call}", f"job {self.jobs} cpu {cpu}")
        return self.jobs

    def on_each(self, call, look):
        """The call on every CPU, waited for."""
        for cpu in range(self.cpus):
            self.jobs += cpu > 0
            self.do(f"call -c {cpu} {call}", look)

    # --- what CPU 0 does ---

    def storm(self, rounds):
        """A few changes, mixed, so that in the end all is as it was; `rounds` times."""
        pick = self.random
        threads = [self.tracing(), self.patching()]
        if pick.random() < 0.7:
            threads.append(self.probing())
        if pick.random() < 0.7:
            threads.append(self.loading())
        if pick.random() < 0.2:
            threads.append(["audit"])
        mixed = []
        while any(threads):
            mixed.append(pick.choice([thread for thread in threads if thread]).pop(0))
        self.again(rounds, *mixed)

    def tracing(self):
        pick, words = self.random, []
        for _ in range(pick.randint(1, 3)):
            words.append(pick.choice(["trace on", "trace on " + pick.choice(GLOBS)] * 4 + [
                "trace graph", "trace graph " + pick.choice(GLOBS)] * 4 + [
                "trace on *", "trace graph *"]))
            if pick.random() < 0.3:
                words.append(pick.choice(["trace clear", "trace status", "trace off"]))
        return words + ["trace off", "trace clear"]

    def probing(self, kinds=PROBES):
        """One or two probes; the second may stand at the same function."""
        pick, words = self.random, []
        for name in ["probe_a", "probe_b"][:pick.randint(1, 2)]:
            kind, what = pick.choice(kinds)
            words.append(f"trace {kind} :{name} {pick.choice(PROBED)} {what}")
        return words + ["trace unprobe *"]

    def patching(self):
        on, off = "livepatch enable stress_fix", "livepatch disable stress_fix"
        # A second patch of the same function on top of the first, or alone.
        top, down = "livepatch enable fix_any", "livepatch disable fix_any"
        return self.random.choice([[on, off], [on, off, on, off], [on, top, down, off],
                                   [top, down, on, off], [top, on, off, down]])

    def loading(self):
        name = self.random.choice(STRANGERS)
        return [f"insmod {name}", f"rmmod {name}"] * self.random.randint(1, 2)

    # --- the parts of a run ---

    def memory_before(self):
        self.do("trace graph *")  # the rings stay, and the graph tracer's stacks
        self.leave_the_same_behind()
        self.memory = []
        self.do("mem", self.memory.extend)

    def leave_the_same_behind(self):
        """What was there last stays until something else takes its place."""
        self.do("trace on")  # the filter's words
        self.do("trace off")
        # What probes have: blocks, each with its last program, and tables of each size.
        four = "; ".join(f"trace probe :warm{n} tocsin:{function} +0($arg1)" for n, function in
                         enumerate(["__kmalloc", "kfree", "kmalloc_large", "kfree_sensitive"]))
        self.do(f'repeat 8 "{four}; trace unprobe *"')
        self.do("trace clear")  # also the lines of modules that are gone

    def memory_after(self):
        def same(lines):
            if cases.memory(lines) != cases.memory(self.memory):
                raise Wrong(f"memory before: {self.memory}\nand after: {lines}")
        self.leave_the_same_behind()
        self.do("mem", same)

    def set_up(self):
        """CPUs 1 and up call; so already when functions are replaced for the first time."""
        if self.multi:
            self.do("livepatch burn off")  # `audit --rewrite` is for call sites
        self.says("insmod stress_far")
        self.says(f"insmod stress seed={self.seed}")
        self.says(f"insmod stress_many seed={self.seed}")
        for cpu in range(1, max(self.cpus - 1, 2)):
            self.start(cpu, "stress:stress_run 0 0")
        self.do("livepatch enable stress_fix")
        self.says("livepatch disable stress_fix")
        self.do("insmod fix_any object=stress function=stress_answer "
                "object2=stress_guest function2=guest_step")
        self.says("livepatch disable fix_any")

    def storms(self, count, rounds):
        """The last CPU is in a module that comes and goes."""
        last = self.cpus - 1
        for _ in range(count):
            self.storm(rounds)
            if last < 2:
                continue
            self.do("insmod stress_guest")
            job = self.start(last, "stress_guest:guest_run")
            busy = f"job {job} may be in it (wait {job}, or stop {job})"
            self.says("! rmmod stress_guest", f"rmmod: stress_guest: {busy}")
            self.storm(rounds)
            users = "stress_fix, stress_guest"
            self.says("! rmmod stress", f"rmmod: stress: in use by {users} (rmmod that first)")
            self.says("call stress_guest:guest_stop", "= 0x0")
            self.says(f"wait {job}", "= 0x0")
            self.settle_words()
            self.says("rmmod stress_guest")
        self.small_changes()
        self.stop()

    def small_changes(self):
        """Often a few words that the others run: what is wrong for the length of one
        instruction is met by somebody. In the end one function alone, and its stub's
        target alone."""
        on, off = "livepatch enable stress_fix", "livepatch disable stress_fix"
        top, down = "livepatch enable fix_any", "livepatch disable fix_any"
        for _ in range(4):
            slow, both = self.probing(SLOW_PROBES), self.probing(PROBES + SLOW_PROBES)
            self.again(20, *slow, "trace clear", *both[:-1], "trace on", "trace graph",
                       "trace off", both[-1], "trace clear")
        self.again(300, "trace on stress:*", "trace off", "trace clear")
        self.again(200, on, off)
        self.only(9)  # stress_profile, which looks at r0 as well
        self.again(1000, "trace on stress:stress_profile", "trace off", "trace clear")
        self.only(1)  # stress_answer
        self.do(on)
        self.again(1500, top, down)
        self.says(off)

    def only(self, number):
        """Every CPU calls this one of the functions."""
        self.stop()
        for cpu in range(1, self.cpus):
            self.start(cpu, f"stress:stress_run 0 {number}")

    def calling(self):
        """Every CPU calls all functions."""
        for cpu in range(1, self.cpus):
            self.start(cpu, "stress:stress_run 0 0")

    def again(self, times, *commands):
        self.do(f'repeat -q {times} "{"; ".join(commands)}"')
        self.changes += times * len(commands)

    def stop(self):
        self.says("call stress:stress_stop", "= 0x0")
        self.says("call stress_many:many_stop", "= 0x0")
        self.do("wait")
        self.says("call stress:stress_go", "= 0x0")
        self.says("call stress_many:many_go", "= 0x0")

    def settle_words(self):
        """In QEMU's race, what is right in memory is also run."""
        if self.multi:
            self.do("audit --rewrite")

    def settle(self):
        """A change while all call; then all is still, and every CPU answers one thing."""
        def note(lines):
            if not re.fullmatch(r"= 0x[0-9a-f]+", lines[-1]):
                raise Wrong(f"stress_settled: {lines}")
            if lines[-1] != "= 0x0":
                if not self.multi:
                    raise Wrong(f"functions {lines[-1][2:]} do not answer as they must by now")
                self.stale += 1

        def must(lines):
            if lines[-1:] != ["= 0x0"]:
                raise Wrong(f"functions {lines[-1][2:]} answer wrongly, and not by QEMU's fault: "
                            "all words were stored again")

        on, off = (1, "livepatch enable stress_fix"), (0, "livepatch disable stress_fix")
        for new, command in [on, off] * (25 if self.multi else 3):
            self.calling()
            self.do(command)
            self.stop()
            self.on_each(f"stress:stress_settled {new}", note)
            if self.multi:
                self.do("audit --rewrite")
                self.on_each(f"stress:stress_settled {new}", must)

    def count_records(self):
        """As many records as calls, in the rings or lost, and none that nobody wrote."""
        rounds, each = 12, SITES
        self.do("trace clear")
        self.says("trace on many_*", f"{SITES} sites traced")
        self.settle_words()
        jobs = [self.start(cpu, f"stress_many:many_run {rounds}") for cpu in range(1, self.cpus)]
        for job in jobs:
            self.says(f"wait {job}", f"= {rounds:#x}")
        self.says("trace off")
        written, kept = len(jobs) * rounds * each, len(jobs) * min(rounds * each, 8192)

        def look(lines):
            if f"records {kept} lost {written - kept}" not in lines:
                raise Wrong(f"{written} calls traced, of which {kept} are kept; got {lines[-1]}")
        self.do("trace status", look)
        self.do("trace clear")

    def toggles(self, times):
        """A thousand call sites, on and off, while everybody calls them."""
        for cpu in range(1, self.cpus):
            self.start(cpu, "stress_many:many_run 0")
        self.again(times, "trace on many_*", "trace off")
        self.stop()

    def stacked(self, times):
        """Two patches on top of each other, in any order, under calls of what they replace."""
        pick = self.random
        self.says("insmod mix")
        self.says("insmod mix_user")
        for cpu in range(1, self.cpus):
            self.start(cpu, "mix_user:mix_run")
        on = [f"livepatch enable mix_{name}" for name in ["one", "two"]]
        off = [f"livepatch disable mix_{name}" for name in ["one", "two"]]
        for change in on + off:
            self.do(change)
        for _ in range(6):
            # Each is on before it is off; which is on top, and which goes first, is open.
            pick.shuffle(on)
            pick.shuffle(off)
            words = pick.choice([on + off, [*on, off[0], off[0].replace("dis", "en"), *off]])
            tool = pick.choice([None, ("trace on mix_*", "trace off"), ("trace graph", "trace off"),
                                ("trace probe :mix mix:mix_inner",
                                 "trace clear; trace unprobe mix")])  # or all become text
            if tool:
                middle = len(words) // 2
                words.insert(pick.randint(middle, len(words)), tool[1])
                words.insert(pick.randint(0, middle), tool[0])
            self.again(times, *words, "trace clear")
        self.says("call mix_user:mix_stop", "= 0x0")
        self.do("wait")

        def look(lines):
            seen = [[int(n) for n in found.groups()] for found in map(MIXES.fullmatch, lines) if found]
            *sums, mixed = (sum(column) for column in zip(*seen, strict=True))
            if mixed or lines[-1] != "= 0x0":
                raise Wrong("\n".join(lines))
            if not all(sums):
                raise Wrong(f"generations that nobody has met: {lines}")
            self.counts["calls"] = self.counts.get("calls", 0) + sum(sums)
            self.counts["mixed"] = self.counts.get("mixed", 0) + mixed
        self.do("call mix_user:mix_report", look)
        self.do("audit")
        for name in ["mix_one", "mix_two", "mix_user", "mix"]:
            self.says(f"rmmod {name}")

    def take_down(self):
        def counts(lines):
            for line in lines:
                if found := COUNTS.fullmatch(line):
                    for name, value in zip(KINDS, found.groups()):
                        self.counts[name] = self.counts.get(name, 0) + int(value)
            if lines[-1] != "= 0x0":
                raise Wrong("\n".join(lines))
        self.do("call stress:stress_report", counts)
        self.do("call stress_many:many_report", counts)
        self.do("audit")
        self.settle_words()
        self.says("call stress:stress_forget", "= 0x0")
        for name in ["fix_any", "stress_fix", "stress", "stress_far", "stress_many"]:
            self.says(f"rmmod {name}")

    # --- running it ---

    def run(self):
        """Boots, and looks at what every command has said."""
        env = {name: value for name, value in os.environ.items() if value}
        env.setdefault("FIRMWARE", "vof")
        env.setdefault("TIMEOUT", "600")
        if not self.multi:
            env.setdefault("ICOUNT", "fine")
        if self.seed % 2 == 0:
            env.setdefault("MMU", "hash")
        env["SMP"] = str(self.cpus)
        env["CMD"] = "\n".join(["set -x"] + [command for command, _ in self.commands])
        env["CONSOLE_LOG"] = os.path.join(ROOT, "target", "stress.log")
        done = subprocess.run([os.path.join(HERE, "run.sh")], env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        lines = done.stdout.decode("utf-8", "replace").splitlines()
        if not lines:
            raise Wrong(done.stderr.decode("utf-8", "replace"))
        if (lines[-1] != "tocsin: ok") or done.returncode != 0:
            raise Wrong("\n".join(lines[-40:]))
        blocks = []
        for line in lines[1:-1]:
            if len(blocks) < len(self.commands) and line == f"> {self.commands[len(blocks)][0]}":
                blocks.append([])
            elif blocks:
                blocks[-1].append(line)
        for (_, look), block in zip(self.commands, blocks, strict=True):
            if look:
                look(block)
        for name in ["old", "new"]:
            if not self.counts.get(name) and "stress_fix" in env["CMD"]:
                raise Wrong(f"no {name} answer at all: nothing was put to the test")


def one_run(seed, cpus, multi, toggles, stacked):
    """A machine with this seed; a line about it."""
    script = Script(seed, cpus, multi)
    if stacked:
        script.stacked(stacked)
    else:
        script.memory_before()
        script.set_up()
        if toggles:
            script.toggles(toggles)
        else:
            script.storms(count=3, rounds=10)
            script.settle()
            script.count_records()
            script.toggles(TIMES)
        script.take_down()
        script.memory_after()
    script.run()
    counts = ", ".join(f"{script.counts[name]:,} {name}" for name in script.counts)
    stale = f", {script.stale} stale" if multi else ""
    return f"{counts}{stale}; {script.changes:,} changes"


def main():
    def number(name, default):
        value = os.environ.get(name) or str(default)
        if not re.fullmatch(r"[0-9]{1,9}", value):
            sys.exit(f"stress: {name}={value}: a number is needed")
        return int(value)

    seconds, seed, cpus = number("FOR", 60), number("SEED", 1), number("SMP", 4)
    toggles, multi = number("TOGGLES", 0), os.environ.get("THREADS") == "multi"
    stacked = number("STACKED", 0)
    if stacked and multi:
        sys.exit("stress: STACKED: not with THREADS=multi")
    if not 2 <= cpus <= 8:
        sys.exit(f"stress: SMP={cpus}: 2 to 8 (CPU 0 changes what the others run)")
    begun, passed = time.monotonic(), 0
    while True:
        # Of a long row of toggles, a part a machine: each has another seed.
        part = min(toggles, 1000)
        toggles -= part
        try:
            print(f"seed {seed}: {one_run(seed, cpus, multi, part, stacked)}", flush=True)
        except Wrong as why:
            print(f"FAIL seed {seed} (`make stress SEED={seed} FOR=1` shows it again)\n{why}")
            print(f"{passed} passed, 1 failed")
            return 1
        passed, seed = passed + 1, seed + 1
        if toggles == 0 and (part or time.monotonic() - begun >= seconds):
            break
    print(f"{passed} passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
