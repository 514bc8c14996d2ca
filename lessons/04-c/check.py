"""Builds tally, and does what its first comment says."""


def check(lab):
    tally = lab.module("tally", "tally.c")
    user = lab.module("user", "user.c")
    commands = ["insmod tally start=10", "call tally_add 5", "call tally_add 1", "insmod user", "call user_twice 2",
                "rmmod user", "rmmod tally", "insmod tally start=-1", "lsmod"]
    lines, _ = lab.run(commands, [tally, user])
    for command, expected in (
        (commands[0], ["tally: begins at 10"]),
        (commands[1], ["= 0xf"]),
        (commands[2], ["= 0x10"]),
        (commands[3], []),
        (commands[4], ["= 0x26"]),
        (commands[6], ["tally: ends at 20"]),
    ):
        got = lab.after(lines, command)
        if got != expected:
            raise NotYet(f"`{command}` prints {got}, not {expected}")
    refusal = lab.after(lines, commands[7])
    if len(refusal) != 1 or "-22" not in refusal[0] and "EINVAL" not in refusal[0]:
        raise NotYet(f"`{commands[7]}` is not refused with -EINVAL: {refusal}")
