"""Says a thing once, and counts it when it happens again: refusals that come by the thousand.

The set of things is small and fixed (one key for each reason), so this does not grow.
"""

from collections.abc import Callable

from ginnel.compat.log_lines import LogLine
from ginnel.core.types import Instant
from ginnel.dataclass import replace

INTERVAL = 60.0
"""Seconds in which a thing is said once."""

MOST_PLACES = 16
"""Places for which it is said in that time."""


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
        self._said: dict[str, _Said] = {}

    def say(self, key: str, line: LogLine, place: str = "") -> None:
        """Writes the line, or counts it where one with this key was written lately.

        One that tells of a place, such as an address, is written for some places each.
        """
        now = self._clock()
        said = self._said.get(key)
        left_out = 0
        if said is None or now - said.since >= self._interval:
            left_out = 0 if said is None else said.left_out
            said = self._said[key] = _Said(now)
        elif place in said.places or len(said.places) >= MOST_PLACES:
            said.left_out += 1
            return
        said.places.add(place)
        if left_out:
            more = f"{line.text} [and {left_out} more time(s) before, not logged]"
            line = replace(line, text=more)
        self._log(line)


class _Said:
    """When a thing was said, about which places, and how often it was not."""

    __slots__ = ("left_out", "places", "since")

    def __init__(self, since: Instant) -> None:
        self.since = since
        self.places: set[str] = set()
        self.left_out = 0
