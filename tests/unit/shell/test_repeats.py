"""What happens a thousand times is said once."""

from ginnel.compat.log_lines import LogLine
from ginnel.shell.repeats import INTERVAL, Repeats
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
