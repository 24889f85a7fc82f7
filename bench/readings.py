"""Readings of any kind: medians and ratios, printed as a table and kept as dated files.

Absolute figures hold for one machine and one run only; ratios of interleaved runs carry over.
"""

import datetime
import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.plot import Bar, render
from bench.report import describe_host, figure

OURS = "ginnel"
"""The system that has goals: ginnel at both ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What is measured. ``more_is_better`` says which way a ratio is good."""

    name: str
    unit: str
    more_is_better: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One figure of one round. ``load`` is the machine's one-minute load average then."""

    measure: Measure
    system: str
    value: float
    load: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What the ratio of ginnel's median over the other's should be, or the median by itself."""

    measure: Measure
    limit: float
    absolute: bool = False

    def met(self, value: float) -> bool:
        more = self.measure.more_is_better
        return value >= self.limit if more else value <= self.limit


@dataclass(slots=True)
class Readings:
    """All readings of a run. ``base`` is the system that the others are compared with."""

    base: str
    taken: list[Reading] = field(default_factory=list)

    def add(self, measure: Measure, system: str, value: float) -> None:
        self.taken.append(
            Reading(measure=measure, system=system, value=value, load=os.getloadavg()[0])
        )

    def values(self, measure: Measure, system: str) -> list[float]:
        return [it.value for it in self.taken if (it.measure, it.system) == (measure, system)]

    def median(self, measure: Measure, system: str) -> float | None:
        values = self.values(measure, system)
        return statistics.median(values) if values else None

    def ratio(self, measure: Measure, system: str) -> float | None:
        """Median over that of the base."""
        ours, theirs = self.median(measure, system), self.median(measure, self.base)
        return ours / theirs if ours is not None and theirs else None

    def measures(self) -> list[Measure]:
        return list(dict.fromkeys(it.measure for it in self.taken))

    def systems(self) -> list[str]:
        """All but the base."""
        found = dict.fromkeys(it.system for it in self.taken)
        return [system for system in found if system != self.base]

    def judge(self, goals: Sequence[Goal], system: str) -> list[str]:
        """One line for each goal of a system that there are readings for."""
        lines = []
        for goal in goals:
            median = self.median if goal.absolute else self.ratio
            value = median(goal.measure, system)
            if value is None:
                continue
            bound = "at least" if goal.measure.more_is_better else "at most"
            unit = f" {goal.measure.unit}" if goal.absolute else ""
            verdict = "met" if goal.met(value) else "NOT met"
            what = goal.measure.name if goal.absolute else f"{goal.measure.name}, ratio"
            lines.append(f"{what}: {value:.3g}{unit} ({bound} {goal.limit:g}: {verdict})")
        return lines

    def bars(self) -> list[Bar]:
        """How many times as good each system is as the base; measures without a ratio left out."""
        made = []
        for measure in self.measures():
            for system in self.systems():
                ratio = self.ratio(measure, system)
                if ratio:
                    times = ratio if measure.more_is_better else 1 / ratio
                    made.append(Bar(label=measure.name, system=system, times=times))
        return made

    def table(self) -> str:
        """Markdown, ratios first, then medians with minimum and maximum."""
        systems = self.systems()
        titles = ["measure", "unit"]
        titles += [f"{system} / {self.base}" for system in systems]
        titles += [*systems, self.base]
        lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
        for measure in self.measures():
            ratios = [self.ratio(measure, system) for system in systems]
            cells = [measure.name, measure.unit]
            cells += ["–" if ratio is None else f"**{ratio:.2f}**" for ratio in ratios]
            cells += [_span(self.values(measure, system)) for system in (*systems, self.base)]
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def save(
        self, name: str, settings: dict[str, str | int], goals: Sequence[Goal], folder: Path
    ) -> Path:
        """Writes JSON, table and plot to dated files in the folder; returns the bare path."""
        now = datetime.datetime.now(datetime.UTC)
        host = describe_host()
        verdicts = {OURS: self.judge(goals, OURS)}
        document = {
            "name": name,
            "taken_at": now.isoformat(timespec="seconds"),
            "host": host,
            "settings": settings,
            "base": self.base,
            "goals": verdicts,
            "ratios": {
                system: {
                    measure.name: round(ratio, 4)
                    for measure in self.measures()
                    if (ratio := self.ratio(measure, system)) is not None
                }
                for system in self.systems()
            },
            "medians": [
                {
                    "measure": measure.name,
                    "unit": measure.unit,
                    "system": system,
                    **figure(values),
                }
                for measure in self.measures()
                for system in (*self.systems(), self.base)
                if (values := self.values(measure, system))
            ],
            "readings": [
                {
                    "measure": it.measure.name,
                    "system": it.system,
                    "value": round(it.value, 5),
                    "load": round(it.load, 2),
                }
                for it in self.taken
            ],
        }
        folder.mkdir(parents=True, exist_ok=True)
        stem = folder / f"{now:%Y-%m-%dT%H%M}-{name}"
        stem.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
        machine = ", ".join(f"{key} {value}" for key, value in host.items())
        goal_lines = [f"- {system}: {line}" for system, lines in verdicts.items() for line in lines]
        page = [f"# {name}, {now:%Y-%m-%d %H:%M} UTC", "", *goal_lines, "", self.table()]
        page += ["", f"Medians (minimum to maximum). Machine: {machine}."]
        page += ["", f"![ratios]({stem.name}.svg)"]
        page += [
            "",
            f"Settings: {', '.join(f'{key} {value}' for key, value in settings.items())}.",
            "",
        ]
        stem.with_suffix(".md").write_text("\n".join(page))
        plot = render(f"{name}, {now:%Y-%m-%d}", self.base, self.bars())
        stem.with_suffix(".svg").write_text(plot)
        return stem


def _span(values: Sequence[float]) -> str:
    if not values:
        return "–"
    shown = figure(values)
    return f"{shown['median']:.4g} ({shown['min']:.4g}–{shown['max']:.4g})"
