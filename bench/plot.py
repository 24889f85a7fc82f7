"""Draws ratios as a bar chart in SVG: a group of bars for each measure, on a logarithmic scale.

Longer to the right is better, whatever the measure: where less is better the ratio is turned over.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

LABEL_WIDTH, BAR_WIDTH, VALUE_WIDTH = 420, 490, 45
BAR, GAP, TOP, BOTTOM = 13, 9, 66, 28
LEGEND_WIDTH = 160
COLOURS = ("#1f6f8b", "#c0843d", "#6b8f3a", "#8a5a83", "#b0483a", "#777777")
TICKS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """How many times as good as the base each system is in one measure."""

    label: str
    times: Mapping[str, float]


def render(title: str, base: str, groups: Sequence[Group]) -> str:
    """The whole SVG document."""
    systems = list(dict.fromkeys(system for group in groups for system in group.times))
    scale = _Scale([times for group in groups for times in group.times.values()])
    height = TOP + sum(BAR * len(group.times) + GAP for group in groups) + BOTTOM
    width = LABEL_WIDTH + BAR_WIDTH + 2 * VALUE_WIDTH
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="8" y="18" font-size="15">{escape(title)}: times as good as '
        f"{escape(base)}</text>",
    ]
    for number, system in enumerate(systems):
        left = 8 + LEGEND_WIDTH * number
        parts.append(f'<rect x="{left}" y="30" width="12" height="12" fill="{_colour(number)}"/>')
        parts.append(f'<text x="{left + 18}" y="40">{escape(system)}</text>')
    for tick in scale.ticks:
        x, heavy = scale.place(tick), tick == 1
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{height - BOTTOM + 4}" '
            f'stroke="{"#444" if heavy else "#ddd"}"/>'
        )
        parts += [
            f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{tick:g}×</text>'
            for y in (TOP - 10, height - 10)
        ]
    y = TOP
    for group in groups:
        middle = y + BAR * len(group.times) / 2 + 4
        parts.append(
            f'<text x="{LABEL_WIDTH - 8}" y="{middle:.1f}" text-anchor="end">'
            f"{escape(group.label)}</text>"
        )
        for system, times in group.times.items():
            parts += _bar(times, y, scale, _colour(systems.index(system)))
            y += BAR
        y += GAP
    return "\n".join([*parts, "</svg>", ""])


class _Scale:
    """Where a ratio lies: logarithmic, and 1 always on it."""

    def __init__(self, values: Sequence[float]) -> None:
        low = min([0.5, *values]) / 1.1
        high = max([2.0, *values]) * 1.1
        self._low, self._span = math.log(low), math.log(high) - math.log(low)
        self.ticks = [tick for tick in TICKS if low <= tick <= high]

    def place(self, value: float) -> float:
        left = LABEL_WIDTH + VALUE_WIDTH
        return left + BAR_WIDTH * (math.log(value) - self._low) / self._span


def _bar(times: float, y: int, scale: _Scale, colour: str) -> list[str]:
    one, end = scale.place(1.0), scale.place(times)
    left, width = min(one, end), max(abs(end - one), 1.0)
    anchor, x = ("start", end + 4) if times >= 1 else ("end", end - 4)
    return [
        f'<rect x="{left:.1f}" y="{y + 1}" width="{width:.1f}" height="{BAR - 2}" '
        f'fill="{colour}"/>',
        f'<text x="{x:.1f}" y="{y + 11}" text-anchor="{anchor}" font-size="11">{times:.2g}</text>',
    ]


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
