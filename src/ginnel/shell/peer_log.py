"""Keeps a peer from filling the disk: lines about what it said are limited in number over time.

Responsible for counting only. A normal start, renegotiations and all failures stay far below the
limit; what is left out is counted and said.
"""

from collections.abc import Callable, Iterable

from ginnel.compat.log_lines import LogLine, Severity
from ginnel.core.types import Instant
from ginnel.hints import Protocol

BURST = 400
"""Lines that may come at once: a push with many refused options is about a hundred."""

RATE = 5.0
"""Lines a second that may follow."""


class Log(Protocol):
    """Where lines go; those of one call leave together."""

    def __call__(self, *lines: LogLine) -> None: ...


class PeerLog:
    """A token bucket in front of the log."""

    __slots__ = ("_burst", "_clock", "_filled_at", "_left_out", "_log", "_rate", "_tokens", "_who")

    def __init__(
        self,
        log: Log,
        clock: Callable[[], Instant],
        *,
        who: str = "the server",
        burst: int = BURST,
        rate: float = RATE,
    ) -> None:
        self._log = log
        self._clock = clock
        self._who = who
        self._burst = float(burst)
        self._rate = rate
        self._tokens = self._burst
        self._filled_at = clock()
        self._left_out = 0

    def log_all(self, lines: Iterable[LogLine]) -> None:
        """Writes the lines, or counts those for which there is no room now."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        admitted: list[LogLine] = []
        for line in lines:
            if self._tokens < 1.0:
                self._left_out += 1
                continue
            self._tokens -= 1.0
            self.tell_left_out()
            admitted.append(line)
        if admitted:
            self._log(*admitted)

    def tell_left_out(self) -> None:
        """Says how many lines were left out since the last time, if any were."""
        if self._left_out:
            text = f"WARNING: {self._left_out} line(s) left out: {self._who} causes too many"
            self._log(LogLine(text=text, verb=0, severity=Severity.WARNING))
            self._left_out = 0
