"""Limits on how often something happens."""

from ginnel.core.frequency import FrequencyLimit
from ginnel.core.types import Instant


def test_without_a_limit_everything_is_allowed() -> None:
    free = FrequencyLimit(None)
    assert all(free.allows(Instant(0.0)) for _ in range(1000))


def test_a_window_allows_so_many_and_the_next_one_as_many_again() -> None:
    limit = FrequencyLimit((2, 10))
    seen = [limit.allows(Instant(at)) for at in (100.0, 101.0, 102.0, 109.9, 110.0, 111.0, 112.0)]
    assert seen == [True, True, False, False, True, True, False]
