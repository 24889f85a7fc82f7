"""What happens a thousand times is said once."""

from ginnel.compat.log_lines import LogLine
from ginnel.shell.repeats import INTERVAL, MOST_PLACES, Repeats
from tests.unit.shell.loops import Lines
from tests.unit.shell.server_stand_ins import Clock


def test_a_line_is_said_once_in_a_while_with_the_count_of_the_others() -> None:
    lines, clock = Lines(), Clock()
    repeats = Repeats(lines, clock)
    for _ in range(1000):
        repeats.say("full", LogLine(text="full"))
    repeats.say("other", LogLine(text="other"))
    assert lines.texts == ["full", "other"]
    clock.now += INTERVAL
    repeats.say("full", LogLine(text="full"))
    assert lines.texts[-1] == "full [and 999 more time(s) before, not logged]"


def test_a_line_about_places_is_said_for_some_of_them() -> None:
    lines, clock = Lines(), Clock()
    repeats = Repeats(lines, clock)
    for _ in range(3):
        for number in range(1000):
            repeats.say("bad", LogLine(text=f"bad from {number}"), str(number))
    assert lines.texts == [f"bad from {number}" for number in range(MOST_PLACES)]
    clock.now += INTERVAL
    repeats.say("bad", LogLine(text="bad from 7"), "7")
    assert lines.texts[-1].startswith("bad from 7 [and 2984 more")
