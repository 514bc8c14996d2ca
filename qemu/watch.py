#!/usr/bin/env python3
"""Runs one QEMU, shows what the kernel says, and knows the verdict.

    watch.py --scratch DIR --log FILE (--timeout SECONDS | --person) -- QEMU...

For a script (--timeout): stdout carries the kernel's own lines, from the first
one on, with LF at their ends and no escapes; what firmware and QEMU say goes
to stderr. For a person (--person): QEMU has the terminal to itself.

    firmware ......... | tocsin 0.1.0 ...   <- the kernel's first line
                       | ...
                       | tocsin: ok         <- its last line: the verdict

The status is 0 for `tocsin: ok` alone. FILE gets everything that the console
said. DIR is removed at the end. QEMU is ended by its own process id, also when
this program is told to stop or dies.
"""

import argparse
import ctypes
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time

# Or the last one: boot/client.S has found the kernel damaged.
FIRST_LINE = re.compile(r"tocsin [0-9]|tocsin: failed: boot: ")
VERDICT = re.compile(r"tocsin: (ok$|failed: |(oops|panic)\b)")
# skiboot goes on talking when the kernel runs: time, and how grave it is.
SKIBOOT = re.compile(r"\[ *[0-9]+\.[0-9]{9},[0-9]\] ")
# Colours, cursor movements and the like: SLOF draws with them.
ESCAPE = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|[()][0-9A-B]|[=>78cDEHM])")
# What QEMU says about every pseries machine under TCG; nothing is wrong.
KNOWN_WARNINGS = re.compile(
    "TCG doesn't support requested feature"
    "|kernel_addr changed from"
    "|icount sleep disabled and no active timers"
)


class Lines:
    """Cuts a stream of bytes into lines, for whoever takes them."""

    def __init__(self, take):
        self.take, self.rest = take, b""

    def feed(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.take(line.decode("utf-8", "replace").rstrip("\r"))

    def end(self):
        if self.rest:
            self.feed(b"\n")


class Console:
    """Tells the kernel's lines from the firmware's; remembers the last one."""

    def __init__(self, out, err):
        self.out, self.err = out, err
        self.kernel_runs = False
        self.last = ""

    def take(self, line):
        if not self.kernel_runs:
            line = ESCAPE.sub("", line).replace("\r", "")
            first = FIRST_LINE.search(line)
            if not first:
                say(self.err, line)
                return
            # Firmware need not have ended its own last line.
            self.kernel_runs = True
            line = line[first.start():]
        line = line.replace("\r", "")
        if SKIBOOT.match(line):
            say(self.err, line)
            return
        say(self.out, line)
        if line:
            self.last = line

    def verdict(self):
        """The kernel's last line, if it is a verdict."""
        return self.last if VERDICT.match(self.last) else None


def say(stream, line):
    """Prints a line now; a reader who has gone is no reason to stop."""
    try:
        print(line, file=stream, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def pass_warning(line):
    if not KNOWN_WARNINGS.search(line):
        say(sys.stderr, line)


def die_with_parent():
    """In the child: Linux ends it when this program is gone, however it went."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Told(Exception):
    """A signal told this program to stop."""


def on_signal(number, _frame):
    raise Told(number)


def stop(qemu):
    """Ends QEMU, if it has not ended: politely, then for good."""
    if qemu.poll() is not None:
        return
    qemu.terminate()
    try:
        qemu.wait(2)
    except subprocess.TimeoutExpired:
        qemu.kill()
        qemu.wait()


def follow(qemu, sinks, deadline):
    """Feeds what QEMU writes to `sinks` until it ends.

    Raises subprocess.TimeoutExpired if it has not ended at `deadline`.
    """
    def left():
        return None if deadline is None else max(0, deadline - time.monotonic())

    with selectors.DefaultSelector() as ready:
        for pipe in sinks:
            ready.register(pipe, selectors.EVENT_READ)
        while ready.get_map() and left() != 0:
            for key, _ in ready.select(left()):
                data = os.read(key.fd, 65536)
                for sink in sinks[key.fileobj]:
                    sink(data)
                if not data:
                    ready.unregister(key.fileobj)
    qemu.wait(left())


def run(args, raw_log):
    """Runs QEMU to its end; returns the status that this program ends with."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, on_signal)
    console = Console(sys.stdout, sys.stderr)
    lines, warnings = Lines(console.take), Lines(pass_warning)
    qemu = subprocess.Popen(
        args.qemu,
        stdin=None if args.person else subprocess.DEVNULL,
        stdout=None if args.person else subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=die_with_parent if sys.platform == "linux" else None,
    )
    sinks = {qemu.stderr: [warnings.feed]}
    if not args.person:
        sinks[qemu.stdout] = [lines.feed, raw_log.write]
    deadline = None if args.person else time.monotonic() + args.timeout
    in_time = True
    try:
        follow(qemu, sinks, deadline)
    except subprocess.TimeoutExpired:
        in_time = False
    finally:
        stop(qemu)
    warnings.end()

    if args.person:
        # QEMU itself wrote the log, and the terminal has shown it all.
        console.out = console.err = open(os.devnull, "w")
        lines.feed(raw_log.read())
    lines.end()
    verdict = console.verdict()
    if not in_time:
        verdict = f"tocsin: timeout after {args.timeout} s"
    elif verdict is None and args.person and qemu.returncode == 0:
        return 0  # Ctrl-A X: a person's way out
    elif verdict is None:
        verdict = f"tocsin: failed: qemu: ended with status {qemu.returncode} before a verdict"
    elif verdict == "tocsin: ok" and qemu.returncode != 0:
        verdict = f"tocsin: failed: qemu: ended with status {qemu.returncode} after the verdict"
    if verdict != console.last:
        say(sys.stdout, verdict)
    return 0 if verdict == "tocsin: ok" else 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--scratch", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--timeout", type=int)
    parser.add_argument("--person", action="store_true")
    parser.add_argument("qemu", nargs="+")
    args = parser.parse_args()
    log = os.path.join(args.scratch, "console.log")
    try:
        with open(log, "w+b", buffering=0) as raw_log:
            return run(args, raw_log)
    except Told as told:
        return 128 + told.args[0]
    except FileNotFoundError:
        sys.exit(f"watch: {args.qemu[0]}: not installed (make deps)")
    finally:
        # Of several runs at once the last to end leaves its log.
        if os.path.exists(log):
            os.makedirs(os.path.dirname(args.log) or ".", exist_ok=True)
            shutil.move(log, args.log)
        shutil.rmtree(args.scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
