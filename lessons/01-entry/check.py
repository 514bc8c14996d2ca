"""The answers, from demo.ko's own symbols and from a run."""

import re
import subprocess

from cases import find_module


def check(lab):
    given = lab.answers()
    symbols = subprocess.run(
        ["powerpc64le-linux-gnu-readelf", "-sW", find_module("demo")], stdout=subprocess.PIPE, check=True
    ).stdout.decode()
    two = set(re.findall(r"<localentry>: 8\]\s+\d+ (\w+)$", symbols, re.M))
    alone = [name for name in ("answer", "nine", "twelve", "sum_of", "make_ten") if name not in two]
    lines, _ = lab.run(["insmod demo", "lsmod -v", "sym demo:twelve"])
    toc = int(re.search(r"toc (0x\w+)", "\n".join(lines))[1], 16)
    at = int(lab.after(lines, "sym demo:twelve")[0].split()[0], 16)

    lab.expect(given, "distance", 8, "Count the bytes of `addis` and `addi`.")
    lab.expect_names(given, "one_entry", alone, "demo", "Those that do not begin with `addis r2,r12`.")
    lab.expect(given, "to_toc", toc - at, "The two constants together, or `toc` of lsmod -v less the entry.", in_hex=True)
