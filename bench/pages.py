"""Shows readings and keeps them as dated files: JSON, a page with goals and tables, a plot.

Goals come first, then ratios, then medians.
"""

import datetime
import json
from collections.abc import Sequence
from pathlib import Path

from bench.plot import Group, render
from bench.readings import Goal, Measure, Readings, Verdict
from bench.report import describe_host, figure

Settings = dict[str, str | int]


def show(readings: Readings, goals: Sequence[Goal]) -> bool:
    """Prints goals, gaps and the table; True when no goal was missed."""
    verdicts = readings.judge(goals)
    print("", *verdicts, "", ratio_table(readings, readings.measures(detail=False)), sep="\n")
    if readings.gaps:
        print("", *gap_lines(readings), sep="\n")
    return all(verdict.met for verdict in verdicts)


def save(
    readings: Readings, name: str, settings: Settings, goals: Sequence[Goal], folder: Path
) -> Path:
    """Writes the dated files to the folder; returns their path without an ending."""
    now = datetime.datetime.now(datetime.UTC)
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"{now:%Y-%m-%dT%H%M}-{name}"
    host = describe_host()
    document = {
        "name": name,
        "taken_at": now.isoformat(timespec="seconds"),
        "host": host,
        "settings": settings,
        **_figures(readings, readings.judge(goals)),
    }
    stem.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
    machine = ", ".join(f"{key} {value}" for key, value in host.items())
    page = [
        f"# {name}, {now:%Y-%m-%d %H:%M} UTC",
        "",
        *goal_table(readings.judge(goals), readings.base),
        *gap_lines(readings),
        "",
        f"![ratios]({stem.name}.svg)",
        "",
        "## Ratios of medians",
        "",
        ratio_table(readings, readings.measures(detail=False)),
        "",
        "## Medians (minimum to maximum)",
        "",
        median_table(readings, readings.measures(detail=False)),
        "",
    ]
    if details := readings.measures(detail=True):
        page += ["## Details", "", median_table(readings, details), ""]
    page += [
        f"Machine: {machine}.",
        "",
        f"Settings: {', '.join(f'{key} {value}' for key, value in settings.items())}.",
        "",
    ]
    stem.with_suffix(".md").write_text("\n".join(page))
    plot = render(f"{name}, {now:%Y-%m-%d}", readings.base, groups(readings))
    stem.with_suffix(".svg").write_text(plot)
    return stem


def _figures(readings: Readings, verdicts: Sequence[Verdict]) -> dict[str, object]:
    """What the JSON says of the run itself."""
    systems = readings.systems()
    return {
        "base": readings.base,
        "goals": [
            {
                "system": it.goal.system,
                "measure": it.goal.measure.name,
                "value": round(it.value, 4),
                "limit": round(it.goal.limit, 4),
                "aim": None if it.goal.aim is None else round(it.goal.aim, 4),
                "absolute": it.goal.absolute,
                "verdict": it.word,
            }
            for it in verdicts
        ],
        "gaps": [
            {"what": it.what, "system": it.system, "reason": it.reason} for it in readings.gaps
        ],
        "ratios": {
            system: {
                measure.name: round(ratio, 4)
                for measure in readings.measures()
                if (ratio := readings.ratio(measure, system)) is not None
            }
            for system in systems
        },
        "medians": [
            {"measure": measure.name, "unit": measure.unit, "system": system, **figure(values)}
            for measure in readings.measures()
            for system in (*systems, readings.base)
            if (values := readings.values(measure, system))
        ],
        "readings": [
            {
                "measure": it.measure.name,
                "system": it.system,
                "value": round(it.value, 5),
                "load": round(it.load, 2),
            }
            for it in readings.taken
        ],
    }


def goal_table(verdicts: Sequence[Verdict], base: str) -> list[str]:
    """Markdown: each goal, what was found, and what became of it."""
    if not verdicts:
        return []
    lines = _header(["goal", "system", f"over {base}", "asked", "aim", ""])
    for it in verdicts:
        aim = "–" if it.goal.aim is None else f"{it.goal.aim:.3g}"
        word = it.word if it.met else f"**{it.word}**"
        cells = [it.goal.measure.name, it.goal.system, it.found, it.bound, aim, word]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def gap_lines(readings: Readings) -> list[str]:
    """What could not be measured, each with its reason."""
    return [f"- not measured: {it.what}, {it.system}: {it.reason}" for it in readings.gaps]


def groups(readings: Readings) -> list[Group]:
    """How many times as good as the base each system is; measures without a ratio left out."""
    made = []
    for measure in readings.measures(detail=False):
        times = {
            system: ratio if measure.more_is_better else 1 / ratio
            for system in readings.systems()
            if system != readings.bound and (ratio := readings.ratio(measure, system))
        }
        if times:
            made.append(Group(label=measure.name, times=times))
    return made


def ratio_table(readings: Readings, measures: Sequence[Measure]) -> str:
    """Markdown: medians over the base's."""
    systems = readings.systems()
    lines = _header(["measure", *(f"{system} / {readings.base}" for system in systems)])
    for measure in measures:
        ratios = [readings.ratio(measure, system) for system in systems]
        if any(ratio is not None for ratio in ratios):
            cells = ["–" if ratio is None else f"{ratio:.3g}" for ratio in ratios]
            lines.append("| " + " | ".join([measure.name, *cells]) + " |")
    return "\n".join(lines)


def median_table(readings: Readings, measures: Sequence[Measure]) -> str:
    """Markdown: medians with minimum and maximum."""
    systems = [*readings.systems(), readings.base]
    lines = _header(["measure", "unit", *systems])
    for measure in measures:
        cells = [_span(readings, measure, system) for system in systems]
        lines.append("| " + " | ".join([measure.name, measure.unit, *cells]) + " |")
    return "\n".join(lines)


def _header(titles: Sequence[str]) -> list[str]:
    return ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]


def _span(readings: Readings, measure: Measure, system: str) -> str:
    values = readings.values(measure, system)
    if not values:
        return "failed" if readings.has_gap(measure, system) else "–"
    shown = figure(values)
    return f"{shown['median']:.4g} ({shown['min']:.4g}–{shown['max']:.4g})"
