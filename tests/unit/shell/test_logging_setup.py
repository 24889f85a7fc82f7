"""Formats, verbosity, muting and destinations of the log."""

import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ginnel.compat.log_lines import Category, LogLine, Severity
from ginnel.options.model import (
    AddressFamily,
    ClientOptions,
    ConnectionProfile,
    LinkProtocol,
    ProcessOptions,
    TlsCrypt,
    TlsOptions,
)
from ginnel.options.values import FileContent, Origin, Secret
from ginnel.shell.logging_setup import (
    FileSink,
    LineFormat,
    LogOutput,
    Sink,
    private_file_warnings,
    setup_logging,
)

NOON = 1795349442.104275
"""2026-11-22 12:10:42.104275 UTC."""
ORIGIN = Origin("test", 1)


class Memory:
    """A sink that remembers."""

    stamped = True

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.writes = 0
        self.reopened = 0
        self.closed = False
        self.broken = False

    def write(self, texts: Sequence[str], severity: Severity) -> None:
        if self.broken:
            raise BrokenPipeError
        self.lines += texts
        self.writes += 1

    def reopen(self) -> None:
        self.reopened += 1

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def output(
    sink: Sink,
    *,
    line_format: LineFormat | None = None,
    verb: int = 3,
    mute: int = 0,
    errors: Sink | None = None,
) -> LogOutput:
    return LogOutput(
        sink,
        line_format=line_format or LineFormat(),
        verb=verb,
        mute=mute,
        error_sink=errors,
        clock=lambda: NOON,
    )


PUSH = LogLine(text="PUSH", verb=3, category=Category.PUSH)
BARE = LogLine(text="Options error: x", verb=0, severity=Severity.ERROR, timestamp=False)


@pytest.mark.parametrize(
    ("line_format", "verb", "line", "expected"),
    [
        (LineFormat(), 3, PUSH, "2026-11-22 12:10:42 PUSH"),
        (LineFormat(), 4, PUSH, "2026-11-22 12:10:42 us=104275 PUSH"),
        (LineFormat(timestamps=False), 4, PUSH, "PUSH"),
        (LineFormat(), 4, BARE, "Options error: x"),
        # As OpenVPN 2.6.14 prints it: seconds, flags in hexadecimal.
        (LineFormat(machine_readable=True), 4, PUSH, "1795349442.104275 22000003 PUSH"),
        (
            LineFormat(machine_readable=True),
            4,
            LogLine(text="Closing TUN/TAP interface", verb=2, category=Category.CLOSE),
            "1795349442.104275 16000002 Closing TUN/TAP interface",
        ),
        (
            LineFormat(machine_readable=True, timestamps=False),
            1,
            LogLine(text="WARNING: w", verb=0, severity=Severity.WARNING),
            "1795349442.104275 40 WARNING: w",
        ),
        (
            LineFormat(machine_readable=True),
            1,
            LogLine(text="f", verb=0, severity=Severity.FATAL),
            "1795349442.104275 10 f",
        ),
        (
            LineFormat(machine_readable=True),
            1,
            LogLine(text="t", severity=Severity.ERROR, category=Category.TLS_ERROR),
            "1795349442.104275 3000021 t",
        ),
    ],
)
def test_line_formats(line_format: LineFormat, verb: int, line: LogLine, expected: str) -> None:
    memory = Memory()
    output(memory, line_format=line_format, verb=verb).log(line)
    assert memory.lines == [expected]


def test_microseconds_are_not_padded() -> None:
    line = LineFormat().render(PUSH, 5.000042, verb=4, stamped=True)
    assert line == "1970-01-01 00:00:05 us=42 PUSH"


def test_verb_decides_and_can_change() -> None:
    memory = Memory()
    log = output(memory, line_format=LineFormat(timestamps=False), verb=1)
    log.log(PUSH)
    log.log(LogLine(text="one"))
    log.set_verb(3)
    log.log_all([PUSH, LogLine(text="four", verb=4)])
    log.set_verb(0)
    log.log_all([LogLine(text="two"), LogLine(text="w", verb=0, severity=Severity.WARNING)])
    assert memory.lines == ["one", "PUSH", "w"]


def test_a_line_stays_one_line_whatever_it_holds() -> None:
    memory = Memory()
    output(memory).log(LogLine(text="a\nforged\x1b[31m"))
    assert memory.lines == ["2026-11-22 12:10:42 a?forged?[31m"]


def test_mute_counts_lines_of_one_category_as_openvpn_does() -> None:
    # The reference sequence: openvpn 2.6.14 --mute 1 --verb 4.
    memory = Memory()
    log = output(memory, line_format=LineFormat(timestamps=False), mute=1)
    for _ in range(4):
        log.log(PUSH)
    log.log(LogLine(text="other"))
    log.log(LogLine(text="other"))
    assert memory.lines == [
        "PUSH",
        "NOTE: --mute triggered...",
        "3 variation(s) on previous 1 message(s) suppressed by --mute",
        "other",
        "other",
    ]


def test_mute_larger_than_one_and_the_rest_at_close() -> None:
    memory = Memory()
    log = output(memory, line_format=LineFormat(timestamps=False), mute=2)
    for _ in range(4):
        log.log(PUSH)
    log.close()
    assert memory.lines == [
        "PUSH",
        "PUSH",
        "NOTE: --mute triggered...",
        "2 variation(s) on previous 2 message(s) suppressed by --mute",
    ]
    assert memory.closed


def test_mute_does_not_count_what_verb_hides() -> None:
    memory = Memory()
    log = output(memory, line_format=LineFormat(timestamps=False), verb=1, mute=1)
    for _ in range(3):
        log.log(PUSH)
    log.close()
    assert memory.lines == []


def test_errors_can_go_elsewhere() -> None:
    memory, errors = Memory(), Memory()
    log = output(memory, line_format=LineFormat(timestamps=False), errors=errors)
    log.log_all(
        [
            LogLine(text="info"),
            LogLine(text="warn", verb=0, severity=Severity.WARNING),
            LogLine(text="bad", severity=Severity.ERROR),
            LogLine(text="fatal", severity=Severity.FATAL),
        ]
    )
    assert (memory.lines, errors.lines) == (["info", "warn"], ["bad", "fatal"])


def test_lines_that_come_together_leave_together_and_in_order() -> None:
    memory = Memory()
    heard: list[str] = []
    log = output(memory, line_format=LineFormat(timestamps=False))
    log.tap = lambda line: heard.append(line.text)
    log.log(PUSH, LogLine(text="hidden", verb=9), LogLine(text="second"))
    assert (memory.lines, memory.writes) == (["PUSH", "second"], 1)
    log.log(LogLine(text="third"), BARE, LogLine(text="fourth"))
    assert memory.lines[2:] == ["third", "Options error: x", "fourth"]
    assert memory.writes == 4  # a destination may tell severities apart
    log.log(LogLine(text="hidden", verb=9))
    assert memory.writes == 4
    assert heard == memory.lines


def test_a_line_is_out_before_anything_else_hears_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = output(FileSink(str(path), append=False), line_format=LineFormat(timestamps=False))
    seen: list[str] = []
    log.tap = lambda line: seen.append(path.read_text())
    log.log(PUSH, LogLine(text="second"))
    assert seen == ["PUSH\nsecond\n"] * 2
    log.close()


def test_a_broken_destination_never_stops_the_program() -> None:
    memory = Memory()
    log = output(memory)
    memory.broken = True
    log.log_all([PUSH, PUSH])
    assert log.lost == 2


def test_python_records_arrive_with_fitting_verbs() -> None:
    memory = Memory()
    log = output(memory, line_format=LineFormat(timestamps=False), verb=4)
    logger = logging.getLogger("ginnel.test_python_records")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    handler = log.python_handler()
    logger.addHandler(handler)
    try:
        logger.debug("hidden")
        logger.info("an %s", "info")
        try:
            raise ValueError("bang")
        except ValueError:
            logger.exception("failed")
        log.set_verb(0)
        logger.info("hidden")
        logger.warning("careful")
    finally:
        logger.removeHandler(handler)
    name = "ginnel.test_python_records"
    assert memory.lines == [
        f"{name}: an info",
        f"{name}: failed (ValueError('bang'))",
        f"{name}: careful",
    ]


def test_log_file_is_private_and_starts_empty(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old\n")
    path.chmod(0o640)
    sink = FileSink(str(path), append=False)
    sink.write(["new"], Severity.INFO)
    assert path.read_text() == "new\n"
    fresh = FileSink(str(tmp_path / "fresh"), append=False)
    assert (tmp_path / "fresh").stat().st_mode & 0o777 == 0o600
    fresh.close()
    sink.close()
    sink.close()


def test_log_append_keeps_and_reopen_follows_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old\n")
    sink = FileSink(str(path), append=True)
    log = output(sink, line_format=LineFormat(timestamps=False))
    log.log(LogLine(text="one"))
    path.rename(tmp_path / "log.1")
    log.log(LogLine(text="two"))
    log.reopen()
    log.log(LogLine(text="three"))
    log.close()
    assert (tmp_path / "log.1").read_text() == "old\none\ntwo\n"
    assert path.read_text() == "three\n"


def test_reopen_never_truncates(tmp_path: Path) -> None:
    path = tmp_path / "log"
    sink = FileSink(str(path), append=False)
    log = output(sink, line_format=LineFormat(timestamps=False))
    log.log(LogLine(text="one"))
    log.reopen()
    log.log(LogLine(text="two"))
    log.close()
    assert path.read_text() == "one\ntwo\n"


def test_reopen_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    path = directory / "log"
    log = output(FileSink(str(path), append=False), line_format=LineFormat(timestamps=False))
    moved = tmp_path / "e"
    directory.rename(moved)
    log.reopen()
    log.log(LogLine(text="still here"))
    log.close()
    warned, kept = (moved / "log").read_text().splitlines()
    assert warned.startswith("Warning: the log could not be opened again: ")
    assert kept == "still here"


def test_text_that_is_not_unicode_is_written_escaped(tmp_path: Path) -> None:
    path = tmp_path / "log"
    sink = FileSink(str(path), append=False)
    sink.write(["a\udcffb"], Severity.INFO)
    sink.close()
    assert path.read_bytes() == b"a\\udcffb\n"


PROGRAM = """
import sys
from ginnel.options.model import ProcessOptions
from ginnel.shell.logging_setup import setup_logging
from ginnel.compat.log_lines import LogLine, Severity
import os
log = setup_logging(ProcessOptions({options}))
log.log(LogLine(text="Initialization Sequence Completed"))
log.log(LogLine(text="bad", verb=0, severity=Severity.FATAL))
os.system("echo from a script; echo from its stderr >&2")
log.close()
"""


def run_program(options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(options=options)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "TZ": "UTC"},
    )


STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


def test_default_destination_is_standard_output() -> None:
    done = run_program("")
    first, second, script = done.stdout.splitlines()
    assert re.fullmatch(f"{STAMP} Initialization Sequence Completed", first)
    assert re.fullmatch(f"{STAMP} bad", second)
    assert script == "from a script"
    assert done.stderr == "from its stderr\n"


def test_errors_to_stderr() -> None:
    done = run_program("errors_to_stderr=True, suppress_timestamps=True")
    assert done.stdout == "Initialization Sequence Completed\nfrom a script\n"
    assert done.stderr == "bad\nfrom its stderr\n"


def test_log_file_takes_what_scripts_print(tmp_path: Path) -> None:
    path = tmp_path / "log"
    done = run_program(f"log_file={str(path)!r}, suppress_timestamps=True")
    assert (done.stdout, done.stderr) == ("", "")
    assert path.read_text().splitlines() == [
        "Initialization Sequence Completed",
        "bad",
        "from a script",
        "from its stderr",
    ]


def test_unusable_log_file_is_reported_and_output_used_instead(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "log"
    done = run_program(f"log_file={str(path)!r}, suppress_timestamps=True")
    assert done.stdout.splitlines()[0] == (
        f"Warning: Error redirecting stdout/stderr to --log file: {path}: "
        "No such file or directory (errno=2)"
    )
    assert "Initialization Sequence Completed" in done.stdout


def test_syslog_is_used_for_syslog_and_daemon_but_a_file_goes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import syslog

    calls: list[tuple[object, ...]] = []

    def record(name: str) -> Callable[..., None]:
        def call(*arguments: object) -> None:
            calls.append((name, *arguments))

        return call

    for name in ("openlog", "syslog", "closelog"):
        monkeypatch.setattr(syslog, name, record(name))
    log = setup_logging(ProcessOptions(syslog="nm-openvpn", machine_readable_output=True))
    log.log(LogLine(text="info"))
    log.log(LogLine(text="warn", verb=0, severity=Severity.WARNING))
    log.log(LogLine(text="err", severity=Severity.ERROR))
    log.reopen()
    log.close()
    options = syslog.LOG_PID | syslog.LOG_NDELAY
    # No time and no flags: the system log adds its own.
    assert calls == [
        ("openlog", "nm-openvpn", options, syslog.LOG_DAEMON),
        ("syslog", syslog.LOG_NOTICE, "info"),
        ("syslog", syslog.LOG_WARNING, "warn"),
        ("syslog", syslog.LOG_ERR, "err"),
        ("closelog",),
        ("openlog", "nm-openvpn", options, syslog.LOG_DAEMON),
        ("closelog",),
    ]
    calls.clear()
    setup_logging(ProcessOptions(daemon=""))
    assert calls == [("openlog", "openvpn", options, syslog.LOG_DAEMON)]
    done = run_program(f"log_file={str(tmp_path / 'log')!r}, daemon='x'")
    assert done.stdout == ""
    assert "Initialization" in (tmp_path / "log").read_text()


def content(option: str, path: Path | None) -> FileContent:
    return FileContent(
        option=option,
        origin=ORIGIN,
        path=None if path is None else str(path),
        content=Secret(b""),
    )


def test_shared_private_files_are_named_once(tmp_path: Path) -> None:
    shared, private, crypt = (tmp_path / name for name in ("shared.key", "own", "crypt"))
    for path, mode in ((shared, 0o640), (private, 0o600), (crypt, 0o604)):
        path.touch()
        path.chmod(mode)
    profile = ConnectionProfile(
        host="192.0.2.1",
        port="1194",
        protocol=LinkProtocol.UDP,
        family=AddressFamily.ANY,
        origin=ORIGIN,
        wrapping=TlsCrypt(key=content("tls-crypt", crypt)),
    )
    options = ClientOptions(
        profiles=(profile, profile),
        tls=TlsOptions(
            key=content("key", shared),
            pkcs12=content("pkcs12", private),
            ca=content("ca", shared),
        ),
    )
    assert [line.text for line in private_file_warnings(options)] == [
        f"WARNING: file '{shared}' is group or others accessible",
        f"WARNING: file '{crypt}' is group or others accessible",
    ]
    gone = ClientOptions(
        profiles=(),
        tls=TlsOptions(key=content("key", tmp_path / "gone"), pkcs12=content("pkcs12", None)),
    )
    assert private_file_warnings(gone) == ()
