"""The chart: instructions a relocation against the number of relocations, as SVG.

Both axes are logarithmic: modules have eleven relocations or two hundred thousand,
and the two kernels are two orders of magnitude apart. Colours follow the reader's
preference for light or dark; the background is the chart's own, so that it is
legible on any page.
"""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 74, 92, 56, 62

STYLE = """
  .page { fill: #ffffff } text { fill: #24292f; font: 13px sans-serif }
  .title { font-size: 16px; font-weight: bold } .small { font-size: 11px }
  .grid { stroke: #d8dee4 } .axis { stroke: #57606a } .line { fill: none; stroke-width: 2.5 }
  .linux { stroke: #b35900 } .linux-dot { fill: #b35900 }
  .tocsin { stroke: #0969da } .tocsin-dot { fill: #0969da }
  .budget { stroke: #6e7781; stroke-dasharray: 5 4 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } text { fill: #e6edf3 }
    .grid { stroke: #30363d } .axis { stroke: #8b949e }
    .linux { stroke: #f0a050 } .linux-dot { fill: #f0a050 }
    .tocsin { stroke: #58a6ff } .tocsin-dot { fill: #58a6ff }
    .budget { stroke: #8b949e }
  }
"""


class Scale:
    """A logarithmic axis: whole powers of ten at both ends."""

    def __init__(self, values, start, end):
        self.low = math.floor(math.log10(min(values)))
        self.high = max(self.low + 1, math.ceil(math.log10(max(values))))
        self.start, self.end = start, end

    def at(self, value):
        part = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def marks(self):
        return [10 ** power for power in range(self.low, self.high + 1)]


def budget_at(relocations):
    """The most that Tocsin may take, a relocation."""
    return 6000 / relocations + 60


def draw(points):
    """SVG of points: dicts of module, relocations, linux and tocsin (or None)."""
    points = sorted(points, key=lambda point: point["relocations"])
    counts = [point["relocations"] for point in points]
    budget = [(count, budget_at(count)) for count in spread(min(counts), max(counts))]
    lines = {side: [(p["relocations"], p[side]) for p in points if p[side]]
             for side in ("linux", "tocsin")}
    heights = [value for line in (*lines.values(), budget) for _, value in line]
    x = Scale(counts, LEFT, WIDTH - RIGHT)
    y = Scale(heights, HEIGHT - BOTTOM, TOP)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
           f'width="{WIDTH}" height="{HEIGHT}" role="img">',
           "<title>Cost of linking a module: instructions a relocation, by the number of "
           "relocations, Linux 6.1 and Tocsin</title>",
           f"<style>{STYLE}</style>",
           f'<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="6"/>',
           text(LEFT, 28, "Linking a module: instructions a relocation", "title")]
    for value in x.marks():
        out.append(line("grid", x.at(value), TOP, x.at(value), HEIGHT - BOTTOM))
        out.append(text(x.at(value), HEIGHT - BOTTOM + 18, f"{value:,}", anchor="middle"))
    for value in y.marks():
        out.append(line("grid", LEFT, y.at(value), WIDTH - RIGHT, y.at(value)))
        out.append(text(LEFT - 8, y.at(value) + 4, f"{value:,}", anchor="end"))
    out.append(line("axis", LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM))
    out.append(line("axis", LEFT, TOP, LEFT, HEIGHT - BOTTOM))
    out.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, "relocations in the module",
                    anchor="middle"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    out.append(f'<text x="18" y="{middle:.1f}" text-anchor="middle" '
               f'transform="rotate(-90 18 {middle:.1f})">instructions a relocation</text>')
    out += curve("budget", budget, x, y, "budget")
    for side, name in (("linux", "Linux"), ("tocsin", "Tocsin")):
        out += curve(side, lines[side], x, y, name)
        out += [f'<circle class="{side}-dot" cx="{x.at(c):.1f}" cy="{y.at(v):.1f}" r="4">'
                f"<title>{escape(module_at(points, c))}: {v:.1f}</title></circle>"
                for c, v in lines[side]]
    top = "linux" if lines["linux"] else "tocsin"
    before = math.inf
    for point in (p for p in points if p[top]):
        # Outside of the bend, so that neighbours do not lie on each other.
        away = -10 if point[top] > before else 20
        before = point[top]
        out.append(text(x.at(point["relocations"]), y.at(before) + away, point["module"],
                        "small", "middle"))
    return "\n".join(out + ["</svg>"]) + "\n"


def spread(low, high, steps=24):
    """Numbers from low to high, evenly on a logarithmic axis."""
    return [low * (high / low) ** (step / steps) for step in range(steps + 1)]


def module_at(points, count):
    return next(p["module"] for p in points if p["relocations"] == count)


def line(kind, x1, y1, x2, y2):
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def text(x, y, words, kind="", anchor="start"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">'
            f"{escape(words)}</text>")


def curve(kind, values, x, y, name):
    """A line through the values, with its name at its right end."""
    if not values:
        return []
    corners = " ".join(f"{x.at(count):.1f},{y.at(value):.1f}" for count, value in values)
    count, value = values[-1]
    return [f'<polyline class="line {kind}" points="{corners}"/>',
            text(x.at(count) + 10, y.at(value) + 4, name)]
