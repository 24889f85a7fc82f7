"""Draws ratios as a bar chart in SVG: one bar for each measure, on a logarithmic scale.

Longer to the right is better, whatever the measure: where less is better the ratio is turned over.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

LABEL_WIDTH, BAR_WIDTH, VALUE_WIDTH = 460, 420, 60
ROW, TOP = 20, 56
COLOURS = ("#1f6f8b", "#c0843d", "#6b8f3a", "#8a5a83")
TICKS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """How many times as good one system is as the base in one measure."""

    label: str
    system: str
    times: float


def render(title: str, base: str, bars: Sequence[Bar]) -> str:
    """The whole SVG document."""
    systems = list(dict.fromkeys(bar.system for bar in bars))
    scale = _Scale([bar.times for bar in bars])
    height = TOP + ROW * len(bars) + 24
    width = LABEL_WIDTH + BAR_WIDTH + VALUE_WIDTH
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="8" y="18" font-size="15">{escape(title)}: times as good as '
        f"{escape(base)}</text>",
    ]
    for number, system in enumerate(systems):
        at = 8 + 200 * number
        parts.append(f'<rect x="{at}" y="28" width="12" height="12" fill="{_colour(number)}"/>')
        parts.append(f'<text x="{at + 18}" y="38">{escape(system)}</text>')
    for tick in scale.ticks:
        x, heavy = scale.place(tick), tick == 1
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{height - 20}" '
            f'stroke="{"#444" if heavy else "#ddd"}"/>'
        )
        parts.append(f'<text x="{x:.1f}" y="{height - 6}" text-anchor="middle">{tick:g}×</text>')
    for number, bar in enumerate(bars):
        parts += _row(bar, TOP + ROW * number, scale, _colour(systems.index(bar.system)))
    return "\n".join([*parts, "</svg>", ""])


class _Scale:
    """Where a ratio lies: logarithmic, and 1 always on it."""

    def __init__(self, values: Sequence[float]) -> None:
        low = min([0.5, *values]) / 1.1
        high = max([2.0, *values]) * 1.1
        self._low, self._span = math.log(low), math.log(high) - math.log(low)
        self.ticks = [tick for tick in TICKS if low <= tick <= high]

    def place(self, value: float) -> float:
        return LABEL_WIDTH + BAR_WIDTH * (math.log(value) - self._low) / self._span


def _row(bar: Bar, y: int, scale: _Scale, colour: str) -> list[str]:
    one, end = scale.place(1.0), scale.place(bar.times)
    left, width = min(one, end), max(abs(end - one), 1.0)
    anchor, x = ("start", end + 4) if bar.times >= 1 else ("end", end - 4)
    return [
        f'<text x="{LABEL_WIDTH - 8}" y="{y + 13}" text-anchor="end">{escape(bar.label)}</text>',
        f'<rect x="{left:.1f}" y="{y + 3}" width="{width:.1f}" height="{ROW - 6}" '
        f'fill="{colour}"/>',
        f'<text x="{x:.1f}" y="{y + 13}" text-anchor="{anchor}">{bar.times:.2g}</text>',
    ]


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
