from dataclasses import replace

import pytest

from bench.pages import gap_lines, goal_table, groups, median_table, ratio_table
from bench.readings import Goal, Measure, Readings
from tests.interop.lab.process import LabError

SPEED = Measure(name="speed", unit="Mbit/s")
WAIT = Measure(name="wait", unit="s", more_is_better=False)


@pytest.fixture
def readings() -> Readings:
    found = Readings(base="openvpn", bound="bare")
    for value in (900.0, 1100.0, 1000.0):
        found.add(SPEED, "ginnel", value)
    found.add(SPEED, "openvpn", 100.0)
    found.add(SPEED, "bare", 9000.0)
    found.add(WAIT, "ginnel", 0.15)
    found.add(WAIT, "openvpn", 0.3)
    return found


def fail(error: BaseException) -> None:
    raise error


def test_goals_say_what_was_found_and_what_became_of_them(readings: Readings) -> None:
    goals = (
        Goal(measure=SPEED, limit=9.0, aim=12.0),
        Goal(measure=SPEED, limit=9.0, aim=10.0),
        Goal(measure=SPEED, limit=11.0),
        Goal(measure=WAIT, limit=1.0, aim=0.6),
        Goal(measure=WAIT, limit=0.1, absolute=True),
        Goal(measure=SPEED, limit=1.0, system="never measured"),
    )
    verdicts = readings.judge(goals)
    assert [it.word for it in verdicts] == [
        "met",
        "met, and the aim",
        "MISSED",
        "met, and the aim",
        "MISSED",
    ]
    assert str(verdicts[4]) == "ginnel: wait: 0.15 s (at most 0.1 s: MISSED)"
    assert "| speed | ginnel | 10 | at least 11 | – | **MISSED** |" in goal_table(verdicts, "x")


def test_a_failure_is_a_gap_with_its_reason_and_nothing_else_ends(readings: Readings) -> None:
    with readings.attempt(WAIT.name, "mixed"):
        readings.add(SPEED, "mixed", 500.0)
        fail(LabError("iperf3 failed:\n  unable to connect"))
    assert gap_lines(readings) == [
        "- not measured: wait, mixed: iperf3 failed: unable to connect",
    ]
    table = median_table(readings, readings.measures())
    assert "| wait | s | 0.15 (0.15–0.15) | – | failed | 0.3 (0.3–0.3) |" in table


def test_an_interruption_is_no_gap(readings: Readings) -> None:
    with pytest.raises(KeyboardInterrupt), readings.attempt("anything", "ginnel"):
        fail(KeyboardInterrupt())
    assert readings.gaps == []


def test_ratios_are_of_medians(readings: Readings) -> None:
    table = ratio_table(readings, readings.measures())
    assert "| speed | 10 | 90 |" in table
    assert "| wait | 0.5 | – |" in table


def test_plots_turn_over_what_is_better_when_less_and_leave_out_the_cable(
    readings: Readings,
) -> None:
    readings.add(replace(SPEED, name="more", detail=True), "ginnel", 1.0)
    assert [(it.label, it.times) for it in groups(readings)] == [
        ("speed", {"ginnel": 10.0}),
        ("wait", {"ginnel": 2.0}),
    ]
