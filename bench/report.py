"""Turns samples into medians and ratios, prints them, and keeps them as dated JSON.

Absolute figures hold for one machine and one run only; ratios of interleaved runs carry over.
"""

import datetime
import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Direction, Sample

RESULTS = Path(__file__).resolve().parent / "results"

Figure = dict[str, float]
Row = dict[str, str | int | Figure]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """A ratio of medians that the run should show."""

    what: str
    ratio: float
    at_least: float

    @property
    def met(self) -> bool:
        return self.ratio >= self.at_least

    def __str__(self) -> str:
        verdict = "met" if self.met else "NOT met"
        return f"{self.what}: {self.ratio:.2f} (expected at least {self.at_least:g}: {verdict})"


def figure(values: Sequence[float]) -> Figure:
    """Median with the extremes."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def select(
    samples: Iterable[Sample], system: str, direction: Direction, streams: int
) -> list[Sample]:
    return [
        sample
        for sample in samples
        if (sample.system, sample.direction, sample.streams) == (system, direction, streams)
    ]


def ratio(ours: Sequence[Sample], theirs: Sequence[Sample], of: Callable[[Sample], float]) -> float:
    """Median of ours over median of theirs."""
    return statistics.median(map(of, ours)) / statistics.median(map(of, theirs))


def rows(samples: Sequence[Sample]) -> list[Row]:
    """One row for each system, direction and number of streams, in order of appearance."""
    keys = dict.fromkeys((it.system, it.direction, it.streams) for it in samples)
    made: list[Row] = []
    for system, direction, streams in keys:
        group = select(samples, system, direction, streams)
        made.append(
            {
                "system": system,
                "direction": direction.value,
                "streams": streams,
                "mbit_s": figure([it.megabits for it in group]),
                "cpu_s_per_gb": figure([it.cpu_per_gigabyte for it in group]),
                "client_cpu_share": figure([it.client_cpu / it.seconds for it in group]),
                "server_cpu_share": figure([it.server_cpu / it.seconds for it in group]),
            }
        )
    return made


def show(expectations: Sequence[Expectation], samples: Sequence[Sample]) -> None:
    """Prints ratios first, then the table of medians with minimum and maximum."""
    for expectation in expectations:
        print(expectation)
    print()
    print(
        f"{'system':<24}{'way':<6}{'streams':>7}{'Mbit/s':>24}{'CPU s/GB':>20}"
        f"{'client CPU':>12}{'server CPU':>12}"
    )
    for row in rows(samples):
        print(
            f"{row['system']!s:<24}{row['direction']!s:<6}{row['streams']!s:>7}"
            f"{_span(row['mbit_s'], 0):>24}{_span(row['cpu_s_per_gb'], 2):>20}"
            f"{_median(row['client_cpu_share']):>12}{_median(row['server_cpu_share']):>12}"
        )


def save(
    name: str,
    settings: dict[str, str | int],
    expectations: Sequence[Expectation],
    samples: Sequence[Sample],
    folder: Path,
) -> Path:
    """Writes the result to a dated file in the folder and returns its path."""
    now = datetime.datetime.now(datetime.UTC)
    document = {
        "name": name,
        "taken_at": now.isoformat(timespec="seconds"),
        "host": describe_host(),
        "settings": settings,
        "expectations": [
            {
                "what": it.what,
                "ratio": round(it.ratio, 3),
                "at_least": it.at_least,
                "met": it.met,
            }
            for it in expectations
        ],
        "medians": rows(samples),
        "samples": [
            {
                "system": it.system,
                "direction": it.direction.value,
                "streams": it.streams,
                "seconds": round(it.seconds, 3),
                "bytes": it.size,
                "client_cpu_s": round(it.client_cpu, 3),
                "server_cpu_s": round(it.server_cpu, 3),
                "load_before": round(it.load, 2),
            }
            for it in samples
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{now:%Y-%m-%dT%H%M}-{name}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def describe_host() -> dict[str, str | int]:
    """What a reader needs to judge the figures."""
    cpu = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    flags = Path("/proc/cpuinfo").read_text()
    return {
        "cpu": cpu[0] if cpu else platform.machine(),
        "cores": len(cpu),
        "cpu_features": " ".join(
            it for it in ("aes", "vaes", "avx2", "avx512f") if f" {it} " in flags
        ),
        "kernel": platform.release(),
        "python": _python(),
        "openvpn": _first_line(["openvpn", "--version"]),
        "iperf3": _first_line(["iperf3", "--version"]),
        "commit": _first_line(["git", "rev-parse", "--short", "HEAD"]),
    }


def _python() -> str:
    """Version, and whose: one built without profile-guided optimization is a fifth slower."""
    whose = "the system's" if sys.base_prefix == "/usr" else "not the system's"
    return f"{platform.python_version()} ({whose})"


def _first_line(argv: list[str]) -> str:
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, cwd=RESULTS.parent.parent
    )
    return (done.stdout.splitlines() or ["unknown"])[0]


def _span(value: str | int | Figure, digits: int) -> str:
    assert isinstance(value, dict)
    return f"{value['median']:.{digits}f} ({value['min']:.{digits}f}-{value['max']:.{digits}f})"


def _median(value: str | int | Figure) -> str:
    assert isinstance(value, dict)
    return f"{value['median']:.0%}"
