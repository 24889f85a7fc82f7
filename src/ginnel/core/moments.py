"""Dates and times of day in UTC: the calendar, as far as certificates need it.

``datetime`` can do all of it, but importing it takes a hundredth of a client's start.
"""

Moment = tuple[int, int, int, int, int, int]
"""Year, month, day, hour, minute, second; earlier ones compare as smaller."""

_DAY = 86400
_DAYS_OF_400_YEARS = 146097
_TO_1970 = 719468
"""Days from the first of March of the year 0 to 1970."""


def checked(when: Moment) -> Moment:
    """Returns it. Raises ValueError for what no calendar or clock shows."""
    year, month, day, hour, minute, second = when
    if not (1 <= year <= 9999 and 1 <= month <= 12 and 1 <= day <= _days_of(year, month)):
        raise ValueError("no date of the calendar")
    if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60):
        raise ValueError("no time of day")
    return when


def moment_at(unix_time: int) -> Moment:
    """The moment so many seconds after 1970 began.

    Years are counted from March here: then the day that leap years add is the last of its year.
    """
    days, seconds = divmod(unix_time, _DAY)
    centuries, day = divmod(days + _TO_1970, _DAYS_OF_400_YEARS)
    year = (day - day // 1460 + day // 36524 - day // (_DAYS_OF_400_YEARS - 1)) // 365
    day -= 365 * year + year // 4 - year // 100
    # Five months from March, and five from August, have 153 days.
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5
    year += 400 * centuries + month // 10
    return (
        year,
        (month + 2) % 12 + 1,
        day + 1,
        seconds // 3600,
        seconds // 60 % 60,
        seconds % 60,
    )


def render_moment(when: Moment) -> str:
    year, *rest = when
    month, day, hour, minute, second = (f"{number:02}" for number in rest)
    return f"{year}-{month}-{day} {hour}:{minute}:{second} UTC"


def _days_of(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31
