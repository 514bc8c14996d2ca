"""Calls both. The words of `code` have to be words still, and be what is executed: with
another word there the answer is another one."""

import os


def check(lab):
    if "0x38630001" not in lab.text("clumsy.c") or "asm" in lab.text("clumsy.c"):
        raise NotYet("clumsy.c: the array `code` is to stay; what matters is where it lies")
    # A section with an array in it is not code to the assembler: it says so, and is right.
    clumsy = lab.module("clumsy", "clumsy.c", flags="-Wno-attributes")
    other = os.path.join(lab.work, "other.c")
    with open(other, "w", encoding="utf-8") as file:
        file.write(lab.text("clumsy.c").replace("0x38630001", "0x38630005"))
    other = lab.module("clumsy_other", other, flags="-Wno-attributes")
    commands = ["insmod clumsy", "call clumsy_note 7", "call clumsy_note 12", "call clumsy_note 11",
                "call clumsy_next 41", "call clumsy_next -1", "audit",
                "rmmod clumsy", "insmod clumsy_other", "call clumsy_next 37"]
    lines, _ = lab.run(commands, [clumsy, other])
    for command, expected in zip(commands[1:6], ("0xa", "0xc", "0xc", "0x2a", "0x0")):
        got = lab.after(lines, command)
        if got[:1] != [f"= {expected}"]:
            raise NotYet(f"`{command}`: {got[0] if got else 'nothing'}, not = {expected}")
    if any("expected" in line for line in lab.after(lines, "audit")):
        raise NotYet("it works, but audit finds text that was changed")
    if lab.after(lines, commands[-1])[:1] != ["= 0x2a"]:
        raise NotYet("clumsy_next answers n + 1, but not by `code`: with addi r3,r3,5 there it does not answer n + 5")
