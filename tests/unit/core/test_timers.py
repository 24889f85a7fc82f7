"""Named deadlines."""

from enum import Enum

from ginnel.core.timers import Timers, earliest
from ginnel.core.types import Instant


class Name(Enum):
    ONE = 1
    TWO = 2
    THREE = 3


def test_due_deadlines_come_earliest_first_and_once() -> None:
    timers: Timers[Name] = Timers()
    timers.arm(Name.ONE, 3.0)
    timers.arm(Name.TWO, 1.0)
    timers.arm(Name.THREE, 9.0)
    assert timers.next() == 1.0
    assert timers.take_due(Instant(3.0)) == [Name.TWO, Name.ONE]
    assert timers.take_due(Instant(3.0)) == []
    assert timers.next() == 9.0


def test_arming_again_replaces_and_cancelling_forgets() -> None:
    timers: Timers[Name] = Timers()
    timers.arm(Name.ONE, 3.0)
    timers.arm(Name.ONE, 7.0)
    assert timers.deadline(Name.ONE) == 7.0
    timers.cancel(Name.ONE)
    timers.cancel(Name.ONE)
    assert timers.deadline(Name.ONE) is None
    timers.arm(Name.TWO, 1.0)
    timers.clear()
    assert timers.next() is None


def test_the_earliest_is_found_among_those_that_there_are() -> None:
    assert earliest() is None
    assert earliest(None, None) is None
    assert earliest(None, Instant(0.0), Instant(-1.0), None) == -1.0
    assert earliest(Instant(0.0)) == 0.0
