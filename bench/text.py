"""Compares two texts of Linux's `trace` file, line by line and blank by blank.

    masked()    one line, without what differs between two runs of the same calls
    compare()   the lines of one text that are not those of the other

Masked are task and pid, CPU, flags, times, durations and their marks, but only
where they stand in the right columns and have the right form: a number in a wrong
column stays what it is, and so differs. Names, arrows, braces, indentation and the
header are never masked. There is nothing to cut off above a module's first
function: the filters of runs.py let in only what the modules have.
"""

import difflib
import re
import sys

# %16s-%-7d [%03d] flags %5lu.%06lu: callee <-caller
FUNCTION = re.compile(r"(?P<task> *\S.*)-(?P<pid>\d+ *) \[\d{3}\] [.\w#]{5} "
                      r"(?P<time> *\d+\.\d{6}): (?P<rest>.*)")
# The columns of function_graph that are there without any option: CPU) DURATION | CALL
GRAPH = re.compile(r" \d\) (?P<mark>  |[$@*#!+] )(?P<duration>.{12})\|  (?P<rest>.*)")
DURATION = re.compile(r"(?P<us>\d+)(?:\.(?P<fraction>\d{1,3}))? us *")


def right_duration(text):
    """Whether this is 12 columns as Linux fills them: 7 digits at most with a point
    among them, as many of three decimals as there is room for, `us`, blanks."""
    found = DURATION.fullmatch(text)
    if not found:
        return False
    digits, decimals = len(found["us"]), len(found["fraction"] or "")
    return decimals == max(0, min(3, 7 - digits))


def masked(line):
    """A line without its figures; unchanged if they are not where they should be."""
    found = FUNCTION.fullmatch(line)
    if found and (len(found["task"]), len(found["pid"]), len(found["time"])) == (16, 7, 12):
        return f"TASK-PID [CPU] FLAGS TIME: {found['rest']}"
    found = GRAPH.fullmatch(line)
    if found and not (found["mark"] + found["duration"]).strip():
        return f"CPU)          |  {found['rest']}"
    if found and right_duration(found["duration"]):
        return f"CPU) DURATION |  {found['rest']}"
    return line


def of(lines):
    """The trace among a console's lines: from its header on."""
    starts = (at for at, line in enumerate(lines) if line.startswith("# tracer: "))
    return lines[next(starts, len(lines)):]


def differences(linux, tocsin):
    """Lines of either that the other has not, as `- Linux's` and `+ ours`."""
    texts = [[masked(line) for line in of(lines)] for lines in (linux, tocsin)]
    return [line for line in difflib.ndiff(*texts, charjunk=None) if line[0] in "-+"]


def compare(what, linux, tocsin):
    """How many lines differ; shows them. Without a trace nothing was compared."""
    if not of(linux) or not of(tocsin):
        raise ValueError(f"{what}: no `# tracer:` line")
    found = differences(linux, tocsin)
    for line in found:
        print(f"bench: {what}: {line}", file=sys.stderr)
    return len(found)
