"""A server that talks without end fills neither log nor disk."""

from ginnel.compat.log_lines import LogLine
from ginnel.core.types import Instant
from ginnel.shell.peer_log import BURST, RATE, PeerLog
from tests.unit.shell.loops import Lines


class Clock:
    now = 100.0

    def __call__(self) -> Instant:
        return Instant(self.now)


def test_a_burst_passes_the_flood_is_counted_and_said() -> None:
    lines, clock = Lines(), Clock()
    log = PeerLog(lines, clock)
    log.log_all(LogLine(text=f"line {n}") for n in range(BURST))
    assert lines.texts == [f"line {n}" for n in range(BURST)]
    for _ in range(5000):
        log.log_all([LogLine(text="flood")])
    assert len(lines.texts) == BURST
    clock.now += 1 / RATE
    log.log_all([LogLine(text="after"), LogLine(text="too many")])
    assert lines.texts[BURST:] == [
        "WARNING: 5000 line(s) left out: the server causes too many",
        "after",
    ]
    log.tell_left_out()
    log.tell_left_out()
    assert lines.texts[-1] == "WARNING: 1 line(s) left out: the server causes too many"
    assert len(lines.texts) == BURST + 3


def test_quiet_time_fills_the_bucket_up_to_the_burst() -> None:
    lines, clock = Lines(), Clock()
    log = PeerLog(lines, clock)
    log.log_all(LogLine(text="x") for _ in range(2 * BURST))
    clock.now += 1e9
    log.log_all(LogLine(text="y") for _ in range(2 * BURST))
    assert lines.texts.count("y") == BURST
