"""Both ways, several times, also traced: nothing may depend on what r2 happens to be."""


def check(lab):
    borrow = lab.module("borrow", "borrow.c", "borrow.S")
    commands = ["insmod pair_a", "insmod borrow", "call borrow_here 5", "call borrow_there 5", "call borrow_there 6",
                "call borrow_here 7", "trace on pair_a_* borrow_*", "call borrow_there 8", "call borrow_here 9"]
    lines, _ = lab.run(commands, ["pair_a", borrow])
    for command in commands:
        words = command.split()
        if words[0] != "call":
            continue
        got = lab.after(lines, command)
        expected = f"= {int(words[2]) + 1003:#x}"
        if got[:1] != [expected]:
            raise NotYet(f"`{command}` prints {got[0] if got else 'nothing'}, not {expected}")
    words = {"std\t%r2, 24(%r1)", "ld\t%r2, 24(%r1)"}
    source = lab.text("borrow.S").replace(" ", "").replace("\t", "")
    if not all(word.replace("\t", "").replace(" ", "") in source for word in words):
        raise NotYet("it works, but not as the ABI has it: the place for r2 is 24(r1) of the own frame")
