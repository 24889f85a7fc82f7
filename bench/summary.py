"""Prints the goals of a kept result as the short table that README.md shows.

    python -m bench.summary bench/results/2026-11-27T0530-client.json

Both directions of a measure share a line, the worse verdict counts.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

WAYS = ("up", "down")
WORST_FIRST = ("MISSED", "met", "met, and the aim")

Goal = Mapping[str, str | float | bool | None]


def both_ways(name: str) -> str:
    """The name without its direction."""
    words = name.replace(",", " ,").split()
    return " ".join(word for word in words if word not in WAYS).replace(" ,", ",")


def rows(goals: Sequence[Goal]) -> list[str]:
    """Markdown: one line for each measure of a system."""
    grouped: dict[tuple[str, str], list[Goal]] = {}
    for goal in goals:
        key = str(goal["system"]), both_ways(str(goal["measure"]))
        grouped.setdefault(key, []).append(goal)
    lines = ["| | found | at least or at most | aim | |", "|---|---|---|---|---|"]
    for (system, name), members in grouped.items():
        found = " / ".join(f"{it['value']:.3g}" for it in members)
        limit, aim = members[0]["limit"], members[0]["aim"]
        verdict = min((str(it["verdict"]) for it in members), key=WORST_FIRST.index)
        shown = f"{aim:.3g}" if isinstance(aim, float) else "–"
        what = name if system == "ginnel" else f"{name}, {system}"
        unit = " (s, no ratio)" if members[0]["absolute"] else ""
        lines.append(f"| {what}{unit} | {found} | {limit:.3g} | {shown} | {verdict} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description="The goals of a result as README.md's table.")
    parser.add_argument("result", type=Path, nargs="+", help="a JSON file")
    given = parser.parse_args()
    goals = [goal for path in given.result for goal in json.loads(path.read_text())["goals"]]
    print("\n".join(rows(goals)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
