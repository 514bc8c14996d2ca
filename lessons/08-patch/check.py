"""Before, with the patch, and after it: from outside of the module and from inside."""

PRICES = {9: 5, 10: 5, 11: 7, 12: 9, 30: 45}


def check(lab):
    courier, fix = lab.module("courier", "courier.c"), lab.module("fix", "fix.c")
    asked = [f"call courier_price {weight}" for weight in PRICES]
    day = "call courier_day 20"
    lines, _ = lab.run(
        ["insmod courier", day, "insmod fix", *asked, "call  courier_day 20", "livepatch disable fix",
         "call   courier_day 20", "rmmod fix"], [courier, fix])
    for command, price in zip(asked, PRICES.values()):
        got = lab.after(lines, command)
        if got != [f"= {price:#x}"]:
            raise NotYet(f"with the patch, `{command}` prints {got}, not = {price:#x}")
    old, new, again = (lab.after(lines, c)[0] for c in (day, "call  courier_day 20", "call   courier_day 20"))
    if new == old:
        raise NotYet("courier_day costs what it did before: its calls do not get to the replacement")
    if again != old:
        raise NotYet("disabled, the patch still has an effect")
