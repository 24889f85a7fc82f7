"""How the commands that do one thing and exit say what happened.

Their results go to standard output as they are; complaints take the form of log lines, because
that is what OpenVPN prints. What the lines say is up to the command.
"""

import sys
from collections.abc import Iterable, Sequence

from ginnel.compat.log_lines import LogLine, Severity
from ginnel.options.model import ProcessOptions


def print_lines(lines: Iterable[str]) -> None:
    """Prints results, bare."""
    for line in lines:
        print(line)
    sys.stdout.flush()


def log_lines(process: ProcessOptions, lines: Iterable[LogLine]) -> None:
    """Writes log lines to where the options send them."""
    from ginnel.shell.logging_setup import setup_logging

    sys.stdout.flush()
    output = setup_logging(process)
    output.log_all(lines)
    output.close()


def fail(process: ProcessOptions, *causes: str) -> int:
    """Says why, then ``Exiting due to fatal error``; returns the exit status, 1."""
    lines = [LogLine(text=cause, verb=0, severity=Severity.FATAL) for cause in causes]
    log_lines(process, [*lines, LogLine(text="Exiting due to fatal error", verb=0)])
    return 1


_FLAGS = {
    "suppress-timestamps": "suppress_timestamps",
    "machine-readable-output": "machine_readable_output",
    "errors-to-stderr": "errors_to_stderr",
}


def early_process_options(arguments: Sequence[str]) -> ProcessOptions:
    """Reads from a command line where and how to log, before it is known to be right.

    OpenVPN obeys these options while it still parses, so a mistake after ``--syslog`` or ``--log``
    is reported there: service managers depend on it. Options in files are not looked at.
    """
    flags: dict[str, bool] = {}
    words: dict[str, str] = {}
    position = 0
    while position < len(arguments):
        name = arguments[position].removeprefix("--")
        is_option = name != arguments[position]
        values: list[str] = []
        position += 1
        while position < len(arguments) and not arguments[position].startswith("--"):
            values.append(arguments[position])
            position += 1
        if is_option and name in _FLAGS:
            flags[_FLAGS[name]] = True
        elif is_option and name in {"daemon", "syslog"} and len(values) <= 1:
            words.setdefault("syslog", values[0] if values else "")
        elif is_option and name in {"log", "log-append"} and len(values) == 1:
            words["log"] = values[0]
            flags["log_append"] = name == "log-append"
    return ProcessOptions(
        syslog=words.get("syslog"),
        log_file=words.get("log"),
        log_append=flags.get("log_append", False),
        suppress_timestamps=flags.get("suppress_timestamps", False),
        machine_readable_output=flags.get("machine_readable_output", False),
        errors_to_stderr=flags.get("errors_to_stderr", False),
    )
