"""At most so many events in a time: for what others can make us do."""

from ginnel.core.types import Instant


class FrequencyLimit:
    """At most so many events in so many seconds, counted in fixed windows as OpenVPN does."""

    __slots__ = ("_count", "_left", "_seconds", "_until")

    def __init__(self, limit: tuple[int, int] | None) -> None:
        """``limit`` is count and seconds; None is no limit."""
        self._count, self._seconds = (0, 0) if limit is None else limit
        self._left = self._count
        self._until = 0.0

    def allows(self, now: Instant) -> bool:
        """Takes one event, or says that it is too many."""
        if not self._seconds:
            return True
        if now >= self._until:
            self._left, self._until = self._count, now + self._seconds
        if self._left <= 0:
            return False
        self._left -= 1
        return True
