#!/usr/bin/env python3
"""Draws the book's figures from a run of the machine: figures.py FOLDER

    map.svg     what `maps` says lies where, and what may be done there
    frame.svg   two frames, with what a call of call_nine has stored into them (`step`)
    stub.svg    a call through a stub, with addresses and words (`dis`, `x`)
    bug.svg     whose r2 it is, instruction by instruction, in the seed's bug (`step`)

Everything that is a number in a figure is one that the machine printed. `make figures`
draws them into docs/figures; test_figures.py beside this looks at them, and compares those
that are there with this build's. A figure that is there stays if nothing but addresses has
moved: pages beside it show the same ones.
"""

import html
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as xml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

COMMANDS = """insmod demo
maps
step demo:call_nine
rmmod demo
insmod seed_scsi --stubs=wrong
insmod seed_ibmvscsi
dis vscsi_call_leaf 11
dis vscsi_call_leaf 165
lsmod -v
trace on scsi_lun_pack
step vscsi_call_leaf"""

INK, FAINT, PAPER = "#1b2430", "#7a8797", "#ffffff"
RIGHTS = {"r-x": "#dbe9ff", "r--": "#e8e6f5", "rw-": "#ffe9c9"}
OWNERS = ("#dbe9ff", "#ffe0d0", "#dff2df", "#efe3f7")
MONO = "ui-monospace,Menlo,Consolas,monospace"


class Svg:
    """A drawing, top to bottom."""

    def __init__(self, width, title):
        self.width, self.height, self.title, self.parts = width, 0, title, []

    def text(self, x, y, words, size=13, colour=INK, mono=True, anchor="start", bold=False):
        family = MONO if mono else "sans-serif"
        weight = ' font-weight="bold"' if bold else ""
        self.parts.append(
            f'<text x="{x}" y="{y}" font-family="{family}" font-size="{size}" fill="{colour}" '
            f'text-anchor="{anchor}" xml:space="preserve"{weight}>{html.escape(words)}</text>'
        )
        self.height = max(self.height, y + 12)

    def box(self, x, y, width, height, fill):
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="3" fill="{fill}" stroke="{FAINT}"/>'
        )
        self.height = max(self.height, y + height + 8)

    def arrow(self, path):
        self.parts.append(f'<path d="{path}" fill="none" stroke="{INK}" stroke-width="1.4" marker-end="url(#a)"/>')

    def save(self, folder, name):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
                f'width="{self.width}" height="{self.height}" role="img">\n<title>{html.escape(self.title)}</title>\n'
                '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
                f'orient="auto"><path d="M0 0L8 4L0 8z" fill="{INK}"/></marker></defs>\n'
                f'<rect width="100%" height="100%" fill="{PAPER}"/>\n' + "\n".join(self.parts) + "\n</svg>\n"
            )


# --- what the machine says ---------------------------------------------------


def console(commands):
    """What each command printed, in order."""
    env = {**os.environ, "FIRMWARE": "vof", "CMD": "set +e\nset -x\n" + commands, "MODULES": "", "AUDIT": ""}
    done = subprocess.run([os.path.join(ROOT, "qemu", "run.sh")], env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    answers, wanted = [], commands.split("\n")
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        if len(answers) < len(wanted) and line == "> " + wanted[len(answers)]:
            answers.append([])
        elif answers:
            answers[-1].append(line)
    if len(answers) < len(wanted):
        sys.exit(f"figures: the machine did not get to `{wanted[len(answers)]}`")
    return dict(zip(wanted, answers))


STEP = re.compile(r"(0x\w+) (.*?) \[(\w+)\] +(\w+\.?(?: +[^ =]+(?= |$))?(?: <[^>]*>)?)(?: +(.*))?$")


def steps(lines):
    """(address, where, module, instruction, changes) of `step`; (None, line, ...) of its marks."""
    for line in lines:
        found = STEP.match(line)
        if found:
            yield found[1], found[2], found[3], re.sub(" +", " ", found[4]), (found[5] or "").strip()
        else:
            yield None, line, None, None, None


# --- the figures -------------------------------------------------------------


def draw_map(lines):
    rows = [found.groups() for line in lines if (found := re.match(r"0x0*(\w+)-0x0*(\w+) (\S+) (.*)", line))]
    svg = Svg(640, "What lies where in memory, and what may be done there")
    svg.text(20, 24, "address", 12, FAINT, mono=False)
    svg.text(150, 24, "size", 12, FAINT, mono=False)
    svg.text(250, 24, "may be", 12, FAINT, mono=False)
    top, before = 34, None
    for low, high, rights, what in rows:
        size = int(high, 16) - int(low, 16)
        if before is not None and int(low, 16) > before:
            svg.text(150, top + 12, "not mapped", 11, FAINT)
            top += 18
        before = int(high, 16)
        # Sizes are from a page to hundreds of megabytes: a step higher for each factor of 16.
        height = 20 + 5 * max(0, (size.bit_length() - 13) // 4)
        svg.box(240, top, 380, height, RIGHTS.get(rights, PAPER))
        middle = top + height / 2 + 5
        svg.text(20, middle, f"0x{low}")
        svg.text(150, middle, f"{size // 1024:,} KiB", 12)
        svg.text(250, middle, rights, 13, bold=True)
        svg.text(300, middle, what)
        top += height + 3
    return svg


def draw_frame(lines):
    """The frame of the traced call: what `std` put where, from the registers' values."""
    values, stores, base, caller = {}, {}, None, None
    for address, _, _, instruction, changes in steps(lines):
        if address is None:
            continue
        found = re.match(r"stdu? +r(\d+),(-?\d+)\(r1\)", instruction)
        if instruction.startswith("stdu"):
            base = int(re.search(r"r1=(0x\w+)", changes)[1], 16)
            caller = base - int(found[2])
            stores[base] = ("back chain: the caller's r1", caller, instruction)
        elif found and base is None:
            stores[("caller", int(found[2]))] = (f"r{found[1]}", values.get(int(found[1])), instruction)
        elif found:
            stores[base + int(found[2])] = (f"r{found[1]}", values.get(int(found[1])), instruction)
        for register, value in re.findall(r"r(\d+)=(0x\w+)", changes):
            values[int(register)] = int(value, 16)
        if instruction.startswith("bl ") and base is not None:
            break
    for key in [key for key in stores if isinstance(key, tuple)]:
        stores[caller + key[1]] = stores.pop(key)
    names = {24: "TOC save: free for calls out of the module", 16: "LR save: for a callee", 8: "CR save",
             0: "back chain"}
    svg = Svg(760, "The frames of call_nine and of its caller, as a call has filled them")
    svg.text(20, 22, "higher addresses", 12, FAINT, mono=False)
    top = 34
    for at in range(caller + 24, base - 8, -8):
        owner = 0 if at >= caller else 1
        offset = at - (caller if owner == 0 else base)
        if owner == 1 and 32 <= offset < 96:
            if offset == 88:
                svg.box(200, top, 540, 34, OWNERS[1])
                svg.text(20, top + 22, "32(r1) to 88(r1)", 12, FAINT)
                svg.text(212, top + 22, "parameter save area: room for eight arguments", 12)
                top += 36
            continue
        if owner == 1 and offset > 96:
            if at + 8 == caller:
                top += 6
            svg.box(200, top, 540, 24, OWNERS[1])
            svg.text(20, top + 17, f"{at:#x} {offset}(r1)", 12)
            svg.text(212, top + 17, "nothing: a frame is a multiple of 16", 12, FAINT)
            top += 26
            continue
        stored = stores.get(at)
        svg.box(200, top, 540, 24, OWNERS[owner])
        svg.text(20, top + 17, f"{at:#x}" + (f" {offset}(r1)" if owner else ""), 12)
        if stored:
            what = {16: "the return address of call_nine", 96: "the ninth argument"}.get(offset, stored[0])
            value = "" if stored[1] is None else f" = {stored[1]:#x}"
            svg.text(212, top + 17, what + value, 12, bold=True)
            svg.text(730, top + 17, stored[2].replace("  ", " "), 11, FAINT, anchor="end")
        else:
            svg.text(212, top + 17, names.get(offset, ""), 12)
        if at == caller:
            svg.text(20, top + 40, "^ r1 of the caller", 12, FAINT)
            top += 24
        top += 26
    svg.text(20, top + 12, "^ r1 of call_nine, and of nine: it makes no frame", 12, FAINT)
    svg.text(212, top + 34, "above: the caller's frame", 12, FAINT, mono=False)
    svg.parts.append(f'<rect x="196" y="{top + 23}" width="12" height="12" fill="{OWNERS[0]}" stroke="{FAINT}"/>')
    svg.text(412, top + 34, "call_nine's frame", 12, FAINT, mono=False)
    svg.parts.append(f'<rect x="396" y="{top + 23}" width="12" height="12" fill="{OWNERS[1]}" stroke="{FAINT}"/>')
    svg.height += 10
    return svg


def draw_stub(site, around, walked):
    """The call in its module, the stub, the target doubleword, the callee."""
    call = next(line for line in site if " bl " in line and "<stub to" in line)
    at = re.search(r"bl +(0x\w+)", call)[1]
    after = site[site.index(call) + 1]
    stub = [line for line in around if int(line.split()[0], 16) >= int(at, 16)][:5]
    toc = int(re.search(r"r2=(0x\w+)", next(c for a, w, m, i, c in steps(walked) if i and i.startswith("addi ")))[1], 16)
    high = int(re.search(r"addis +r12,r2,(-?\d+)", stub[1])[1])
    low = int(re.search(r"ld +r12,(-?\d+)\(r12\)", stub[2])[1])
    loaded = re.search(r"r12=(0x\w+)", next(c for a, w, m, i, c in steps(walked) if a == stub[2].split()[0]))[1]
    name = re.search(r"<stub to (\w+)>", call)[1]

    svg = Svg(900, "A call from one module into another, through a stub")
    svg.text(20, 24, "code of seed_ibmvscsi", 13, FAINT, mono=False)
    svg.box(20, 34, 400, 62, OWNERS[0])
    svg.text(30, 58, short(call))
    svg.text(30, 82, short(after))
    svg.text(20, 150, "its stub", 13, FAINT, mono=False)
    svg.box(20, 160, 400, 24 * 5 + 14, OWNERS[1])
    for row, line in enumerate(stub):
        svg.text(30, 184 + 24 * row, short(line))
    svg.text(500, 150, "beside the code: data", 13, FAINT, mono=False)
    svg.box(500, 196, 380, 34, OWNERS[3])
    svg.text(510, 218, f"{toc + (high << 16) + low:#x}: {loaded}")
    svg.text(500, 252, f"r2 = {toc:#x}, and {high} * 65536 + {low}", 12, FAINT)
    svg.text(500, 24, "code of seed_scsi", 13, FAINT, mono=False)
    svg.box(500, 34, 380, 62, OWNERS[2])
    svg.text(510, 58, f"{loaded} {name}:")
    svg.text(510, 82, "...")
    svg.arrow("M 120 97 L 120 158")
    svg.arrow("M 421 232 L 460 232 L 498 216")
    svg.arrow("M 421 280 L 470 280 L 470 52 L 498 52")
    svg.arrow("M 498 84 L 424 84")
    svg.text(428, 108, "blr", 12, FAINT)
    return svg


def short(line):
    """`0x12ae4124 bl 0x12ae4380 <...>` without the word, and cut."""
    address, _, rest = line.split(" ", 2)
    return f"{address} {re.sub(' +', ' ', rest)}"[:48]


def draw_bug(lines):
    """A row an instruction, in the column of whose code it is, in the colour of whose r2 it has."""
    svg = Svg(900, "Whose r2 it is, instruction by instruction, when an ordinary stub calls _mcount")
    columns, owners, owner, top = {}, {}, "kernel's", 64
    rows = []
    for address, where, module, instruction, changes in steps(lines):
        if address is None:
            found = re.search(r"r2: (?:.* -> )?([^)]*?)\)?$", where)
            if found and ("r2: " in where):
                owner = found[1].strip()
            if where.startswith("oops"):
                rows.append((None, where, owner, False))
                break
            continue
        words = f"{instruction.split('<')[0].strip():<24}{changes}"
        rows.append((module, words, owner, where.startswith("stub to")))
    for module, *_ in rows:
        if module and module not in columns:
            columns[module] = 20 + 440 * len(columns)
    for _, _, owner, _ in rows:
        owners.setdefault(owner, OWNERS[len(owners) % len(OWNERS)])
    for module, x in columns.items():
        svg.text(x, 24, f"code of {module}", 13, FAINT, mono=False)
    x = 20
    for owner, colour in owners.items():
        svg.parts.append(f'<rect x="{x}" y="36" width="14" height="14" fill="{colour}" stroke="{FAINT}"/>')
        svg.text(x + 20, 48, f"r2 is {owner}", 12, FAINT, mono=False)
        x += 220
    for module, words, owner, in_stub in rows:
        if module is None:
            svg.box(20, top, 860, 26, "#ffd0d0")
            svg.text(30, top + 18, words, 12, bold=True)
            top += 30
            continue
        svg.box(columns[module], top, 420, 22, owners[owner])
        svg.text(columns[module] + 8, top + 15, words[:48], 12)
        if in_stub:
            svg.text(columns[module] + 412, top + 15, "stub", 11, FAINT, anchor="end")
        top += 24
    return svg


# --- the figures that are there ----------------------------------------------


def words(path):
    """What is written in a figure, in order."""
    return [text.text or "" for text in xml.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def without_addresses(texts):
    """The same, with a number for each address: the first that comes is 0, ..."""
    seen = {}
    return [re.sub(r"0x[0-9a-f]{7,}", lambda found: f"@{seen.setdefault(found[0], len(seen))}", text) for text in texts]


def ranges(texts):
    """(rights, what, KiB) of the boxes of map.svg; of neighbours that are alike one."""
    found = []
    texts = [text for text in texts[3:] if text != "not mapped"]
    for _, size, rights, what in zip(*[iter(texts)] * 4):
        kib = int(size.removesuffix(" KiB").replace(",", ""))
        if found and found[-1][:2] == (rights, what):
            kib += found.pop()[2]
        found.append((rights, what, kib))
    return found


def draw(said, folder):
    os.makedirs(folder, exist_ok=True)
    draw_map(said["maps"]).save(folder, "map.svg")
    walked = said["step vscsi_call_leaf"]
    for name, svg in (
        ("frame.svg", draw_frame(said["step demo:call_nine"])),
        ("stub.svg", draw_stub(said["dis vscsi_call_leaf 11"], said["dis vscsi_call_leaf 165"], walked)),
        ("bug.svg", draw_bug(walked)),
    ):
        path = os.path.join(folder, name)
        old = open(path, encoding="utf-8").read() if os.path.exists(path) else None
        old_words = without_addresses(words(path)) if old else None
        svg.save(folder, name)
        if old_words == without_addresses(words(path)):
            with open(path, "w", encoding="utf-8") as file:
                file.write(old)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    draw(console(COMMANDS), sys.argv[1])
