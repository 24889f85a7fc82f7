"""Named deadlines of a machine: set, cancel, ask what is due and when the next one is.

It has no clock; ``now`` always comes in. Retransmission times live in ``reliable``.
"""

from ginnel.core.types import Instant
from ginnel.enumeration import Enum
from ginnel.hints import Generic, TypeVar

Name = TypeVar("Name", bound=Enum)


class Timers(Generic[Name]):
    """At most one deadline a name."""

    __slots__ = ("_deadlines",)

    def __init__(self) -> None:
        self._deadlines: dict[Name, Instant] = {}

    def arm(self, name: Name, at: float) -> None:
        """Sets a deadline, replacing an earlier one of that name."""
        self._deadlines[name] = Instant(at)

    def cancel(self, name: Name) -> None:
        """Forgets a deadline; none set is fine."""
        self._deadlines.pop(name, None)

    def deadline(self, name: Name) -> Instant | None:
        """When the named deadline is, or None."""
        return self._deadlines.get(name)

    def clear(self) -> None:
        """Forgets all."""
        self._deadlines.clear()

    def take_due(self, now: Instant) -> list[Name]:
        """Removes and returns what is due, earliest first."""
        due = sorted((at, index) for index, at in enumerate(self._deadlines.values()) if at <= now)
        names = list(self._deadlines)
        late = [names[index] for _, index in due]
        for name in late:
            del self._deadlines[name]
        return late

    def next(self) -> Instant | None:
        """The earliest deadline."""
        return min(self._deadlines.values(), default=None)


def earliest(*times: Instant | None) -> Instant | None:
    """The first of those that there are."""
    first = None
    for time in times:
        if time is not None and (first is None or time < first):
            first = time
    return first
