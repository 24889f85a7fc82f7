"""Brings records of Python's ``logging`` into the program's log.

A module of its own because ``logging`` costs start-up time that the short commands do not need.
"""

import logging

from ginnel.compat.log_lines import LogLine, Severity
from ginnel.hints import Protocol


class LineLog(Protocol):
    """Something that takes log lines."""

    def log(self, line: LogLine) -> None: ...


class OutputHandler(logging.Handler):
    """Turns a record into a line: DEBUG at verb 9, INFO at verb 4, worse ones always."""

    def __init__(self, output: LineLog) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        text = f"{record.name}: {record.getMessage()}"
        if record.exc_info is not None and record.exc_info[1] is not None:
            text += f" ({record.exc_info[1]!r})"
        if record.levelno >= logging.ERROR:
            line = LogLine(text=text, verb=0, severity=Severity.ERROR)
        elif record.levelno >= logging.WARNING:
            line = LogLine(text=text, verb=0, severity=Severity.WARNING)
        else:
            line = LogLine(text=text, verb=4 if record.levelno >= logging.INFO else 9)
        self._output.log(line)
