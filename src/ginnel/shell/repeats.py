"""Says a thing once, and counts it when it happens again: refusals that come by the thousand.

The set of things is small and fixed (one key for each reason), so this does not grow.
"""

from collections.abc import Callable

from ginnel.compat.log_lines import LogLine
from ginnel.core.types import Instant
from ginnel.dataclass import replace

INTERVAL = 60.0
"""Seconds in which a thing is said once."""


class Repeats:
    """Stands before the log for lines that an outsider can cause at will."""

    def __init__(
        self,
        log: Callable[[LogLine], None],
        clock: Callable[[], Instant],
        interval: float = INTERVAL,
    ) -> None:
        self._log = log
        self._clock = clock
        self._interval = interval
        self._said: dict[str, tuple[Instant, int]] = {}

    def say(self, key: str, line: LogLine) -> None:
        """Writes the line, or counts it where one with this key was written lately."""
        now = self._clock()
        said_at, left_out = self._said.get(key, (Instant(now - self._interval), 0))
        if now - said_at < self._interval:
            self._said[key] = (said_at, left_out + 1)
            return
        self._said[key] = (now, 0)
        if left_out:
            more = f"{line.text} [and {left_out} more time(s) before, not logged]"
            line = replace(line, text=more)
        self._log(line)
