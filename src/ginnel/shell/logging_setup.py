"""Where log lines go and what they look like: standard output, a log file, or syslog.

Responsible for OpenVPN's line formats (time, ``us=N``, machine-readable), ``verb``, ``mute`` and
the destinations. Not responsible for wording: that is ``compat.log_lines`` and
``compat.shell_lines``. A destination that fails never stops the program; lines it could not take
are counted.
"""

import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import groupby
from operator import attrgetter

from ginnel.compat.log_lines import LogLine, Severity, printable
from ginnel.compat.shell_lines import key_file_accessible
from ginnel.dataclass import dataclass
from ginnel.hints import TYPE_CHECKING, Protocol
from ginnel.options.model import ClientOptions, ProcessOptions, TlsAuth, TlsCrypt, TlsCryptV2
from ginnel.options.values import FileContent

if TYPE_CHECKING:
    from logging import Handler

DEFAULT_PROGRAM = "openvpn"
"""Name in syslog when the option gave none; what existing filters look for."""


class Sink(Protocol):
    """A destination of finished lines. ``write`` raises OSError when it cannot take them."""

    stamped: bool
    """False when the destination adds the time itself."""

    def write(self, texts: Sequence[str], severity: Severity) -> None:
        """Takes lines that came together, before it returns."""
        ...

    def reopen(self) -> None:
        """Opens the destination anew, so that a rotated file is left alone."""
        ...

    def close(self) -> None: ...


class DescriptorSink:
    """A descriptor that stays open: standard output or standard error."""

    stamped = True

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, texts: Sequence[str], severity: Severity) -> None:
        _write_lines(self._fd, texts)

    def reopen(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """The descriptor is not ours to close."""


class FileSink:
    """``log`` and ``log-append``. A new file has mode 0600, as OpenVPN makes it.

    With ``standard_streams`` descriptors 1 and 2 point to the file too, so that what scripts print
    ends up in the log. Raises OSError when the file cannot be opened.
    """

    stamped = True

    def __init__(self, path: str, *, append: bool, standard_streams: bool = False) -> None:
        self._path = os.path.abspath(path)
        self._standard_streams = standard_streams
        self._fd = self._open(truncate=not append)

    def write(self, texts: Sequence[str], severity: Severity) -> None:
        _write_lines(self._fd, texts)

    def reopen(self) -> None:
        """Opens the path again; never truncates, so that SIGHUP loses nothing."""
        fresh = self._open(truncate=False)
        os.close(self._fd)
        self._fd = fresh

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self, *, truncate: bool) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(self._path, flags | (os.O_TRUNC if truncate else 0), 0o600)
        if self._standard_streams:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(fd, 1)
            os.dup2(fd, 2)
        return fd


class SyslogSink:
    """The system log, facility daemon, as ``program[pid]``.

    The connection is opened at once so that it survives a later chroot. The C library reconnects
    when the log daemon restarts and takes the pid anew after a fork.
    """

    stamped = False

    def __init__(self, program: str) -> None:
        import syslog

        self._syslog = syslog
        self._program = program
        self._open()

    def write(self, texts: Sequence[str], severity: Severity) -> None:
        if severity in {Severity.FATAL, Severity.ERROR}:
            priority = self._syslog.LOG_ERR
        elif severity is Severity.WARNING:
            priority = self._syslog.LOG_WARNING
        else:
            priority = self._syslog.LOG_NOTICE
        for text in texts:
            self._syslog.syslog(priority, text)

    def reopen(self) -> None:
        self._syslog.closelog()
        self._open()

    def close(self) -> None:
        self._syslog.closelog()

    def _open(self) -> None:
        options = self._syslog.LOG_PID | self._syslog.LOG_NDELAY
        self._syslog.openlog(self._program, options, self._syslog.LOG_DAEMON)


@dataclass(frozen=True, kw_only=True)
class LineFormat:
    """How a line looks at a destination."""

    timestamps: bool = True
    machine_readable: bool = False

    def render(self, line: LogLine, now: float, *, verb: int, stamped: bool) -> str:
        """Renders the line; ``now`` is wall-clock seconds. Verb 4 and up add microseconds."""
        text = printable(line.text)
        seconds, micros = divmod(round(now * 1_000_000), 1_000_000)
        if self.machine_readable and stamped:
            return f"{seconds}.{micros:06d} {_flags(line):x} {text}"
        if not (self.timestamps and stamped and line.timestamp):
            return text
        fine = f" us={micros}" if verb >= 4 else ""
        return f"{_second_text(seconds)}{fine} {text}"


@lru_cache(maxsize=1)
def _second_text(seconds: int) -> str:
    """Lines come many at a time."""
    return local_time_text(seconds)


def local_time_text(now: float) -> str:
    """Renders wall-clock seconds as OpenVPN 2.5 and later do in logs and status files."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))


def _flags(line: LogLine) -> int:
    bare = 0 if line.timestamp else 0x8000
    return line.category << 24 | bare | line.severity.value | line.verb


class LogOutput:
    """The log of the process. One object for the whole life, also over SIGHUP."""

    def __init__(
        self,
        sink: Sink,
        *,
        line_format: LineFormat,
        verb: int = 1,
        mute: int = 0,
        error_sink: Sink | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sink = sink
        self._error_sink = error_sink
        self._format = line_format
        self._clock = clock
        self._muting = _Muting(mute)
        self.verb = verb
        self.tap: Callable[[LogLine], None] = _unheard
        """Hears each line that is written."""
        self.lost = 0
        """Lines that the destination refused."""

    def shows(self, verb: int) -> bool:
        """Whether lines of this verbosity are written now."""
        return verb <= self.verb

    def log(self, *lines: LogLine) -> None:
        """Writes the lines in order, but those that ``verb`` or ``mute`` keep back."""
        admit = self._muting.admit
        ready = [some for line in lines if line.verb <= self.verb for some in admit(line)]
        if ready:
            self._write(ready)

    def log_all(self, lines: Iterable[LogLine]) -> None:
        """As ``log``, with lines that somebody has in one piece."""
        self.log(*lines)

    def set_verb(self, verb: int) -> None:
        self.verb = verb

    def set_mute(self, mute: int) -> None:
        """Sets how many lines of one category in a row are shown; 0 shows all."""
        self._muting = _Muting(mute)

    def reopen(self) -> None:
        """Opens the destination anew (SIGHUP, log rotation); keeps the old one on failure."""
        try:
            self._sink.reopen()
        except OSError as failed:
            self.log(
                LogLine(
                    text=f"Warning: the log could not be opened again: {failed}",
                    severity=Severity.WARNING,
                    verb=0,
                )
            )

    def close(self) -> None:
        """Says what was muted, then closes the destination."""
        self._write(self._muting.finish())
        self._sink.close()

    def python_handler(self) -> "Handler":
        """Makes a ``logging`` handler that brings library records here.

        DEBUG shows at verb 9, INFO at verb 4, warnings and errors always.
        """
        from ginnel.shell.python_logging import OutputHandler

        return OutputHandler(self)

    def _write(self, lines: Iterable[LogLine]) -> None:
        """Lines that come together leave with one system call: a client of a server has a dozen."""
        for severity, group in groupby(lines, attrgetter("severity")):
            severe = severity is Severity.FATAL or severity is Severity.ERROR
            sink = self._error_sink if severe and self._error_sink is not None else self._sink
            now, verb, stamped = self._clock(), self.verb, sink.stamped
            together = list(group)
            render = self._format.render
            texts = [render(line, now, verb=verb, stamped=stamped) for line in together]
            try:
                sink.write(texts, severity)
            except OSError:
                self.lost += len(texts)
            for line in together:
                self.tap(line)


def _unheard(line: LogLine) -> None:
    """Nobody listens."""


class _Muting:
    """``mute N``: of consecutive lines of one category, shows N and then counts."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._category = 0
        self._count = 0

    def admit(self, line: LogLine) -> tuple[LogLine, ...]:
        """Returns what is to be written for this line: itself, notices of muting, or nothing."""
        if self._limit <= 0:
            return (line,)
        if line.category == self._category and line.category > 0:
            self._count += 1
            if self._count == self._limit + 1:
                return (LogLine(text="NOTE: --mute triggered..."),)
            return (line,) if self._count <= self._limit else ()
        before = self.finish()
        self._category = line.category
        self._count = 1
        return (*before, line)

    def finish(self) -> tuple[LogLine, ...]:
        """Returns the line that says how much was held back, if anything was, and starts anew."""
        suppressed = self._count - self._limit
        self._count = 0
        self._category = 0
        if self._limit <= 0 or suppressed <= 0:
            return ()
        return (
            LogLine(
                text=f"{suppressed} variation(s) on previous {self._limit} message(s) suppressed "
                "by --mute"
            ),
        )


def setup_logging(process: ProcessOptions) -> LogOutput:
    """Opens the log that the options ask for.

    A log file comes before syslog, syslog (also meant by ``daemon``) before standard output. A log
    file that cannot be opened is reported and the other destinations are used, as OpenVPN does.
    """
    problem: LogLine | None = None
    sink: Sink | None = None
    if process.log_file is not None:
        try:
            sink = FileSink(process.log_file, append=process.log_append, standard_streams=True)
        except OSError as failed:
            problem = LogLine(
                text="Warning: Error redirecting stdout/stderr to --log file: "
                f"{process.log_file}: {failed.strerror} (errno={failed.errno})",
                verb=0,
                severity=Severity.WARNING,
            )
    program = process.syslog if process.syslog is not None else process.daemon
    if sink is None:
        sink = DescriptorSink(1) if program is None else SyslogSink(program or DEFAULT_PROGRAM)
    output = LogOutput(
        sink,
        line_format=LineFormat(
            timestamps=not process.suppress_timestamps,
            machine_readable=process.machine_readable_output,
        ),
        verb=process.verb,
        mute=process.mute,
        error_sink=DescriptorSink(2) if process.errors_to_stderr else None,
    )
    if problem is not None:
        output.log(problem)
    return output


def private_file_warnings(options: ClientOptions) -> tuple[LogLine, ...]:
    """Warns about files with secrets that their group or others can open. Stats each file once."""
    tls = options.tls
    files: list[FileContent | None] = [tls.key, tls.pkcs12, options.login.source.credentials]
    files.append(options.management.password)
    for profile in options.profiles:
        files.append(None if profile.login is None else profile.login.credentials)
        match profile.wrapping:
            case TlsAuth(key=key) | TlsCrypt(key=key) | TlsCryptV2(key=key):
                files.append(key)
            case _:
                continue
    paths = dict.fromkeys(file.path for file in files if file is not None and file.path is not None)
    return tuple(key_file_accessible(path) for path in paths if _is_shared(path))


def _is_shared(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & (stat.S_IRWXG | stat.S_IRWXO))


def _write_lines(fd: int, texts: Sequence[str]) -> None:
    content = "\n".join((*texts, "")).encode("utf-8", "backslashreplace")
    while content:
        content = content[os.write(fd, content) :]
