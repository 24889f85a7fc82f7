"""The calendar, compared with Python's."""

from datetime import UTC, datetime

import pytest

from ginnel.core.moments import checked, moment_at, render_moment


def theirs(when: datetime) -> tuple[int, int, int, int, int, int]:
    return when.year, when.month, when.day, when.hour, when.minute, when.second


@pytest.mark.parametrize("first", ["0001-01-01", "1599-12-01", "1899-12-01", "1999-12-01"])
def test_every_day_of_years_with_and_without_a_leap_day(first: str) -> None:
    start = int(datetime.fromisoformat(f"{first}T00:00:00+00:00").timestamp())
    for day in range(365 * 9):
        unix_time = start + day * 86400 + day * 37 % 86400
        assert moment_at(unix_time) == theirs(datetime.fromtimestamp(unix_time, UTC))


@pytest.mark.parametrize(
    "unix_time", [-(2**31) - 1, -1, 0, 951782399, 951782400, 2**31, 2**32, 253402300799]
)
def test_seconds_before_1970_and_after_2038(unix_time: int) -> None:
    expected = datetime.fromtimestamp(unix_time, UTC)
    found = moment_at(unix_time)
    assert found == theirs(expected) == checked(found)
    assert render_moment(found) == f"{expected:%Y-%m-%d %H:%M:%S} UTC"


def test_a_clock_beyond_all_dates_is_after_them() -> None:
    assert moment_at(253402300800) == (10000, 1, 1, 0, 0, 0) > (9999, 12, 31, 23, 59, 59)


def test_what_no_calendar_shows_is_refused_as_by_python() -> None:
    wrong = 0
    for year in (0, 1, 1900, 1999, 2000, 2024, 9999):
        for month in range(14):
            for day in (0, 1, 28, 29, 30, 31, 32):
                try:
                    expected = theirs(datetime(year, month, day, tzinfo=UTC))
                except ValueError:
                    wrong += 1
                    with pytest.raises(ValueError, match="calendar"):
                        checked((year, month, day, 0, 0, 0))
                else:
                    assert checked((year, month, day, 0, 0, 0)) == expected
    assert wrong


@pytest.mark.parametrize("clock", [(24, 0, 0), (0, 60, 0), (0, 0, 60), (-1, 0, 0)])
def test_what_no_clock_shows_is_refused(clock: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="time of day"):
        checked((2000, 1, 1, *clock))
