"""What one packet costs, compared with a committed baseline: has something become slower?

    python -m bench.micro [--renew] [--repeats 3] [--tolerance 0.3]

Runs the engine's micro-benchmarks (``cargo bench -p ginnel-datapath``) several times and keeps the
least time of each; what seems slower than before is measured again before it is called so.
Nanoseconds do not carry over from one day to another, so each is divided by a plain memory copy of
8 KiB in the same run, and that ratio is compared with the baseline's.
"""

import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.report import describe_host

ROOT = Path(__file__).resolve().parent.parent
BASELINE = Path(__file__).resolve().parent / "micro-baseline.json"
COPY = "memory copy"
REPEATS = 3
MORE_REPEATS = 6
"""For what seems slower."""
TOLERANCE = 0.3
"""Runs of one build on a busy machine differed by up to a fifth; see README.md."""
CRITERION = (
    *("--noplot", "--sample-size", "20", "--nresamples", "1000"),
    *("--warm-up-time", "0.1", "--measurement-time", "0.4"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One benchmark in copies of memory, now and in the baseline; None where it is missing."""

    name: str
    now: float | None
    then: float | None

    def times(self) -> float | None:
        """How many times as long it takes as in the baseline."""
        return None if self.now is None or self.then is None else self.now / self.then

    def fault(self, tolerance: float) -> str | None:
        """Says what is wrong with it, if something is."""
        if self.now is None:
            return f"{self.name} is in the baseline but was not measured"
        times = self.times()
        if self.then is None or times is None or times <= 1 + tolerance:
            return None
        return (
            f"{self.name} became slower: {times:.2f} times its baseline"
            f" ({self.now:.3g} memory copies, were {self.then:.3g}; {1 + tolerance:g} is tolerated)"
        )


def in_copies(nanoseconds: Mapping[str, float]) -> dict[str, float]:
    """Times as multiples of the memory copy among them."""
    copy = nanoseconds[COPY]
    return {name: took / copy for name, took in nanoseconds.items() if name != COPY}


def compare(now: Mapping[str, float], then: Mapping[str, float]) -> list[Change]:
    """All benchmarks of either run, in order of name."""
    names = sorted(now.keys() | then.keys())
    return [Change(name=name, now=now.get(name), then=then.get(name)) for name in names]


def least(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """The lesser time of each benchmark: whatever disturbs a run only makes it longer."""
    return {
        name: min(it[name] for it in (one, other) if name in it)
        for name in sorted(one.keys() | other.keys())
    }


def read_samples(home: Path) -> dict[str, float]:
    """The least nanoseconds an iteration of each benchmark in a folder that criterion filled."""
    found = {}
    for description in home.glob("**/new/benchmark.json"):
        name = json.loads(description.read_text())["full_id"]
        sample = json.loads(description.with_name("sample.json").read_text())
        found[name] = min(
            took / count for took, count in zip(sample["times"], sample["iters"], strict=True)
        )
    return found


def measure(number: int, only: Iterable[str] = ()) -> dict[str, float]:
    """Runs all benchmarks or some of them, and the memory copy with them.

    The first time they are built, which takes a minute or two.
    """
    home = ROOT / "target" / "bench-check" / str(number)
    shutil.rmtree(home, ignore_errors=True)
    argv = [os.environ.get("CARGO", "cargo"), "bench", "--locked", "--quiet"]
    argv += ["--package", "ginnel-datapath", "--bench", "packets", "--bench", "tables"]
    names = "|".join(re.escape(name) for name in only)
    argv += ["--", *CRITERION, *([f"^({COPY}|{names})$"] if names else [])]
    subprocess.run(
        argv,
        cwd=ROOT,
        env=os.environ | {"CRITERION_HOME": str(home)},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    return read_samples(home)


def measure_all(repeats: int, then: Mapping[str, float], tolerance: float) -> dict[str, float]:
    """Runs all several times, and what seems slower than ``then`` a few times more."""
    taken: dict[str, float] = {}
    for number in range(repeats):
        print(f"bench-check: run {number + 1} of {repeats}", flush=True)
        taken = least(taken, measure(number))
    for number in range(repeats, repeats + MORE_REPEATS):
        slower = [it.name for it in compare(in_copies(taken), then) if it.fault(tolerance)]
        again = [name for name in slower if name in taken]
        if not again:
            break
        print(f"bench-check: once more: {', '.join(again)}", flush=True)
        taken = least(taken, measure(number, again))
    return taken


def renew(ratios: Mapping[str, float], nanoseconds: Mapping[str, float]) -> None:
    """Writes the baseline."""
    document = {
        "taken_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "host": describe_host(),
        "memory_copy_ns": round(nanoseconds[COPY], 1),
        "copies": {name: float(f"{ratios[name]:.4g}") for name in sorted(ratios)},
    }
    BASELINE.write_text(json.dumps(document, indent=1) + "\n")


def check(changes: Sequence[Change], tolerance: float) -> int:
    """Prints all changes, and what is wrong; returns the exit status."""
    print(f"{'in memory copies of 8 KiB':<40}{'now':>10}{'baseline':>10}{'times':>8}")
    for change in changes:
        now, then, times = (
            "–" if value is None else f"{value:.3g}"
            for value in (change.now, change.then, change.times())
        )
        print(f"{change.name:<40}{now:>10}{then:>10}{times:>8}")
    for change in changes:
        if change.then is None:
            print(f"bench-check: {change.name} has no baseline yet; see make bench-baseline")
    faults = [fault for change in changes if (fault := change.fault(tolerance))]
    for fault in faults:
        print(f"bench-check: {fault}")
    if not faults:
        print(f"bench-check: nothing became slower by more than {tolerance:.0%}")
    return 1 if faults else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Has a packet become dearer?")
    parser.add_argument("--renew", action="store_true", help="write the baseline anew")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="runs of everything")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="0.3 is 30 %% slower")
    given = parser.parse_args()
    baseline = {} if given.renew else json.loads(BASELINE.read_text())
    then = baseline.get("copies", {})
    try:
        nanoseconds = measure_all(given.repeats, then, given.tolerance)
    except FileNotFoundError:
        print("bench-check: these benchmarks are Rust and need cargo")
        return 2
    except subprocess.CalledProcessError as failed:
        print(f"bench-check: cargo bench failed:\n{failed.stderr}")
        return 2
    ratios = in_copies(nanoseconds)
    if given.renew:
        renew(ratios, nanoseconds)
        print("bench-check: wrote", BASELINE.relative_to(ROOT))
        return 0
    cpu, theirs = describe_host()["cpu"], baseline["host"]["cpu"]
    if cpu != theirs:
        print(f"bench-check: the baseline is of another processor, {theirs}; this is {cpu}")
    return check(compare(ratios, then), given.tolerance)


if __name__ == "__main__":
    sys.exit(main())
