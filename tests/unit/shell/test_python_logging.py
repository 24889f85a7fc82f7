"""Records of Python's logging find the program's log, with their rank."""

import logging
import sys

import pytest

from ginnel.compat.log_lines import LogLine, Severity
from ginnel.shell.python_logging import OutputHandler


class Kept:
    def __init__(self) -> None:
        self.lines: list[LogLine] = []

    def log(self, line: LogLine) -> None:
        self.lines.append(line)


@pytest.mark.parametrize(
    ("level", "verb", "severity"),
    [
        (logging.DEBUG, 9, Severity.INFO),
        (logging.INFO, 4, Severity.INFO),
        (logging.WARNING, 0, Severity.WARNING),
        (logging.ERROR, 0, Severity.ERROR),
        (logging.CRITICAL, 0, Severity.ERROR),
    ],
)
def test_rank_decides_verb_and_severity(level: int, verb: int, severity: Severity) -> None:
    kept = Kept()
    record = logging.LogRecord("ginnel.core", level, "f", 1, "drops %s", ("hmac",), None)
    OutputHandler(kept).emit(record)
    (line,) = kept.lines
    assert (line.text, line.verb, line.severity) == ("ginnel.core: drops hmac", verb, severity)


def test_an_exception_is_named() -> None:
    kept = Kept()
    try:
        raise ValueError("why")
    except ValueError:
        record = logging.LogRecord("asyncio", logging.ERROR, "f", 1, "task", (), sys.exc_info())
    OutputHandler(kept).emit(record)
    assert kept.lines[0].text == "asyncio: task (ValueError('why'))"
