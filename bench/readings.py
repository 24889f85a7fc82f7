"""Readings of any kind, their medians and ratios, what could not be read, and goals.

Absolute figures hold for one machine and one run only; ratios of interleaved runs carry over. Not
responsible for showing or keeping them: see ``pages``.
"""

import os
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

OURS = "ginnel"
"""The system that most goals are about: ginnel at both ends."""
FAILURES = (AssertionError, OSError, ValueError, LookupError, subprocess.SubprocessError)
"""What a measurement that goes wrong raises; the lab's own errors are the first of them."""
REASON_LENGTH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What is measured. ``more_is_better`` says which way a ratio is good.

    A ``detail`` is kept and shown in a table of its own, and is not in the plot.
    """

    name: str
    unit: str
    more_is_better: bool = True
    detail: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One figure of one round. ``load`` is the machine's one-minute load average then."""

    measure: Measure
    system: str
    value: float
    load: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something that could not be measured, and why."""

    what: str
    system: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What the ratio of a system's median over the base's should be, or the median by itself."""

    measure: Measure
    limit: float
    aim: float | None = None
    """Better than the limit, and wished for."""
    absolute: bool = False
    system: str = OURS

    def reached(self, value: float, bound: float) -> bool:
        return value >= bound if self.measure.more_is_better else value <= bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A goal and what was found."""

    goal: Goal
    value: float

    @property
    def met(self) -> bool:
        return self.goal.reached(self.value, self.goal.limit)

    @property
    def word(self) -> str:
        goal = self.goal
        if not self.met:
            return "MISSED"
        with_aim = goal.aim is not None and goal.reached(self.value, goal.aim)
        return "met, and the aim" if with_aim else "met"

    @property
    def bound(self) -> str:
        side = "at least" if self.goal.measure.more_is_better else "at most"
        return f"{side} {self.goal.limit:.3g}{self._unit}"

    @property
    def found(self) -> str:
        return f"{self.value:.3g}{self._unit}"

    @property
    def _unit(self) -> str:
        return f" {self.goal.measure.unit}".rstrip() if self.goal.absolute else ""

    def __str__(self) -> str:
        kind = "" if self.goal.absolute else ", ratio"
        what = f"{self.goal.system}: {self.goal.measure.name}{kind}"
        return f"{what}: {self.found} ({self.bound}: {self.word})"


@dataclass(slots=True)
class Readings:
    """All readings of a run. ``base`` is the system that the others are compared with.

    ``bound`` is what no system can be better than; a plot has no use for it.
    """

    base: str
    bound: str | None = None
    taken: list[Reading] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    def add(self, measure: Measure, system: str, value: float) -> None:
        self.taken.append(
            Reading(measure=measure, system=system, value=value, load=os.getloadavg()[0])
        )

    @contextmanager
    def attempt(self, what: str, system: str) -> Iterator[None]:
        """Makes a failure within it a gap; the rest of the run goes on."""
        try:
            yield
        except FAILURES as failed:
            reason = " ".join(str(failed).split())[:REASON_LENGTH] or type(failed).__name__
            self.gaps.append(Gap(what=what, system=system, reason=reason))
            print(f"  FAILED: {what}: {failed}", flush=True)

    def values(self, measure: Measure, system: str) -> list[float]:
        return [it.value for it in self.taken if (it.measure, it.system) == (measure, system)]

    def has_gap(self, measure: Measure, system: str) -> bool:
        return any((it.what, it.system) == (measure.name, system) for it in self.gaps)

    def median(self, measure: Measure, system: str) -> float | None:
        values = self.values(measure, system)
        return statistics.median(values) if values else None

    def ratio(self, measure: Measure, system: str) -> float | None:
        """Median over that of the base."""
        ours, theirs = self.median(measure, system), self.median(measure, self.base)
        return ours / theirs if ours is not None and theirs else None

    def measures(self, *, detail: bool | None = None) -> list[Measure]:
        """All, or only details or only what is none."""
        found = dict.fromkeys(it.measure for it in self.taken)
        return [it for it in found if detail is None or it.detail == detail]

    def systems(self) -> list[str]:
        """All but the base."""
        found = dict.fromkeys(it.system for it in self.taken)
        return [system for system in found if system != self.base]

    def judge(self, goals: Sequence[Goal]) -> list[Verdict]:
        """What became of each goal that there are readings for."""
        found = []
        for goal in goals:
            value = (self.median if goal.absolute else self.ratio)(goal.measure, goal.system)
            if value is not None:
                found.append(Verdict(goal=goal, value=value))
        return found
