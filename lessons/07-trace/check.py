"""The answers, from a trace made here."""

import re


def check(lab):
    given = lab.answers()
    courier = lab.module("courier", "courier.c")
    probe = "trace probe courier_insure weight=$arg1"
    lines, _ = lab.run(["insmod courier", "trace on courier_*", "call courier_day 9", "trace off", "trace show",
                        "trace clear", probe, "call courier_day 9", "cat /sys/kernel/tracing/trace"], [courier])
    shown = lab.after(lines, "trace show")
    calls = [found.groups() for line in shown if (found := re.search(r": (\w+) <-(\w+)$", line))]
    scale = [caller for callee, caller in calls if callee == "courier_scale"]
    weights = re.findall(r"weight=(0x\w+)", "\n".join(lab.after(lines, "cat /sys/kernel/tracing/trace")))

    lab.expect(given, "scale_calls", len(scale), "`trace show` has a line for each.")
    lab.expect_names(given, "scale_callers", set(scale), "courier", "The name behind `<-` is the caller.")
    lab.expect_names(given, "last", [calls[-1][0]], "courier", "Entered, not left: the last line of the function tracer.")
    lab.expect(given, "second_insured", int(weights[1], 16), f"`{probe}` records it.")
