"""What was measured, as text, as JSON, and as a table for the book."""

import json

BEGIN, END = "<!-- make bench: from here -->", "<!-- make bench: to here -->"


def short(value):
    """A figure with four digits at most, for a table."""
    if value is None:
        return "-"
    for limit, by, letter in ((1e9, 1e9, " G"), (1e6, 1e6, " M"), (1e4, 1e3, " k")):
        if abs(value) >= limit:
            scaled = value / by
            return f"{scaled:.{0 if scaled >= 999.5 else 1 if scaled >= 99.95 else 2}f}{letter}"
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:.2f}" if abs(value) < 100 else f"{value:,.1f}"


def ratio(linux, tocsin):
    """How many times more Linux takes; None where that means nothing."""
    if not linux or not tocsin or linux < 0 or tocsin < 0:
        return None
    return linux / tocsin


def verdict(entry):
    """`yes` or `NO` for the budget, or `-`."""
    if entry["tocsin"] is None or entry["budget"] is None:
        return "-"
    return "yes" if entry["tocsin"] <= entry["budget"] else "NO"


HEAD = ["what", "Linux", "Tocsin", "ratio", "budget", "kept", "unit"]


def cells(entry):
    times = ratio(entry["linux"], entry["tocsin"])
    return [entry["title"], short(entry["linux"]), short(entry["tocsin"]),
            "-" if times is None else f"{times:,.0f} x" if times >= 20 else f"{times:.1f} x",
            short(entry["budget"]), verdict(entry), entry["unit"]]


def reasons(entries):
    """Lines that say why a figure is missing."""
    for entry in entries:
        for side in ("linux", "tocsin"):
            if entry[side] is None:
                yield f"{entry['title']}: {side.capitalize()}: {entry['why_' + side]}"


def table(entries):
    """For a terminal: columns, the numbers to the right."""
    rows = [HEAD] + [cells(entry) for entry in entries]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    lines = []
    for row in rows:
        parts = [text.rjust(width) if 0 < i < 5 else text.ljust(width)
                 for i, (text, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines + [f"- {reason}" for reason in reasons(entries)])


def markdown(result):
    """For the book: where the figures come from, the table, how each is measured."""
    entries = result["rows"]
    lines = [f"Measured with {result['qemu']}; {result['linux_version']}; "
             f"Tocsin {result['tocsin_version']}.", "",
             "| " + " | ".join(HEAD) + " |", "|---|--:|--:|--:|--:|---|---|"]
    lines += ["| " + " | ".join(cells(entry)) + " |" for entry in entries]
    lines += [""] + [f"- {reason}" for reason in reasons(entries)]
    lines += ["", "| row | how it is measured |", "|---|---|"]
    lines += [f"| {entry['title']} (`{entry['key']}`) | {entry['how']} |" for entry in entries]
    return "\n".join(lines)


def put_between(page, text):
    """Replaces what stands between the two marks of a page."""
    before, found, rest = page.partition(BEGIN)
    _, found_end, after = rest.partition(END)
    if not found or not found_end:
        raise ValueError(f"the marks {BEGIN} and {END} are not in the page")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def write_json(path, result):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1, ensure_ascii=False)
        file.write("\n")
