"""Plants it here as well, looks, and types the repair."""

import re


def check(lab):
    given = lab.answers()
    tidy = lab.module("tidy", "tidy.c")
    repair = [command.strip() for command in given["repair"].split(",") if command.strip()]
    commands = ["insmod demo", "insmod tidy", "call tidy_up", "sym demo:answer", "audit", "call demo:answer",
                *repair, "call  demo:answer", "audit -v"]
    lines, _ = lab.run(commands, [tidy], MMU="off")
    begin = int(lab.after(lines, "sym demo:answer")[0].split()[0], 16)
    at, expected, found = re.search(
        r"^(0x\w+) demo: expected (\w+), found (\w+)$", "\n".join(lab.after(lines, "audit")), re.M).groups()
    lab.expect_names(given, "function", ["answer"], "demo", "`sym` of the address that audit names.")
    lab.expect(given, "offset", int(at, 16) - begin, "The address that audit names, less the function's.")
    lab.expect(given, "expected", int(expected, 16), "The first word in audit's line.", in_hex=True)
    lab.expect(given, "found", int(found, 16), "The second word in audit's line.", in_hex=True)
    lab.expect(given, "answers", int(lab.after(lines, "call demo:answer")[0].split()[1], 16), "Call it.")
    if any("reboot" in command for command in repair):
        raise NotYet("repair: without a reboot")
    if lab.after(lines, "call  demo:answer") != ["= 0x29"]:
        raise NotYet("repair: demo:answer is not 0x29 afterwards")
    if any(": expected" in line for line in lab.after(lines, "audit -v")):
        raise NotYet("repair: audit still finds a word")
