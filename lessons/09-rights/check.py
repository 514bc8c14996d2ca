"""Calls both. The words of `code` have to be words still."""


def check(lab):
    if "0x38630001" not in lab.text("clumsy.c") or "asm" in lab.text("clumsy.c"):
        raise NotYet("clumsy.c: the array `code` is to stay; what matters is where it lies")
    # A section with an array in it is not code to the assembler: it says so, and is right.
    clumsy = lab.module("clumsy", "clumsy.c", flags="-Wno-attributes")
    commands = ["insmod clumsy", "call clumsy_note 7", "call clumsy_note 12", "call clumsy_note 11",
                "call clumsy_next 41", "call clumsy_next -1", "audit"]
    lines, _ = lab.run(commands, [clumsy])
    for command, expected in zip(commands[1:6], ("0xa", "0xc", "0xc", "0x2a", "0x0")):
        got = lab.after(lines, command)
        if got[:1] != [f"= {expected}"]:
            raise NotYet(f"`{command}`: {got[0] if got else 'nothing'}, not = {expected}")
    if any("expected" in line for line in lab.after(lines, "audit")):
        raise NotYet("it works, but audit finds text that was changed")
