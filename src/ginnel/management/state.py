"""What a management client may look back on: states, log lines and echoes; and their lines.

Responsible for bounded histories and for the text of each record. Not responsible for who gets to
see them (``session``). Times are wall-clock seconds, as values from outside.
"""

from collections import deque
from collections.abc import Sequence

from ginnel.compat.log_lines import Category, LogLine, Severity
from ginnel.dataclass import dataclass
from ginnel.hints import Generic, Protocol, TypeVar
from ginnel.management.commands import HistoryKind

STATE_HISTORY = 100
ECHO_HISTORY = 100
DEFAULT_LOG_CACHE = 250

MAX_TEXT = 2048
"""Characters of one line shown to a client; peers choose part of what is logged."""

MAX_VARIABLE = 8192
"""Characters of a variable with its name: a password may be longer than a line of the log."""

DEBUG_VERB = 7
"""From this verb on OpenVPN marks its lines as meant for debugging."""

DEBUG_STARTS = ("MANAGEMENT: CMD ", "MANAGEMENT: >STATE:")
"""Lines of verb 3 that it marks so as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRecord:
    """One state. Fields that mean nothing in it stay empty."""

    when: int
    name: str
    detail: str = ""
    tun_ip4: str = ""
    remote_ip: str = ""
    remote_port: str = ""
    local_ip: str = ""
    local_port: str = ""
    tun_ip6: str = ""

    def render(self) -> str:
        """Renders ``time,NAME,detail,…``; the IPv6 field is there only when it is set."""
        fields = [
            str(self.when),
            self.name,
            clean(self.detail).replace(",", " "),
            self.tun_ip4,
            self.remote_ip,
            self.remote_port,
            self.local_ip,
            self.local_port,
        ]
        if self.tun_ip6:
            fields.append(self.tun_ip6)
        return ",".join(fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """One log line with its flags: I, F, N (error), W, D, or none."""

    when: int
    flags: str
    text: str

    def render(self) -> str:
        return f"{self.when},{self.flags},{clean(self.text)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoRecord:
    """What the configuration or the server asked to echo to the management client."""

    when: int
    text: str

    def render(self) -> str:
        return f"{self.when},{clean(self.text)}"


def log_flags(line: LogLine) -> str:
    """The letter OpenVPN gives a line: informational ones are those of verb 1 without category."""
    match line.severity:
        case Severity.FATAL:
            return "F"
        case Severity.ERROR:
            return "N"
        case Severity.WARNING:
            return "W"
        case _:
            pass
    if line.verb >= DEBUG_VERB or line.text.startswith(DEBUG_STARTS):
        return "D"
    return "I" if line.verb == 1 and line.category is Category.NONE else ""


def clean(text: str) -> str:
    """Makes text fit for one line of the interface: no control characters, bounded."""
    shown = text[:MAX_TEXT]
    if shown.isprintable():
        return shown
    return "".join(character if character.isprintable() else "?" for character in shown)


def clean_variable(name: str, value: str) -> str:
    """Makes a variable fit for one line, without harm to a password of any language.

    As in OpenVPN's environments nothing but control characters is left out. Bytes that are no UTF-8
    stay what they are.
    """
    return f"{name}={value}"[:MAX_VARIABLE].translate(_CONTROL)


_CONTROL = dict.fromkeys((*range(0x20), 0x7F))


class Record(Protocol):
    """What a history holds."""

    def render(self) -> str:
        """Renders the line without its end."""
        ...


R = TypeVar("R", bound=Record)


class RecordHistory(Generic[R]):
    """The newest records, at most ``limit``."""

    def __init__(self, limit: int) -> None:
        self._records: deque[R] = deque(maxlen=limit)

    def add(self, record: R) -> None:
        self._records.append(record)

    def newest(self, count: int) -> Sequence[R]:
        """Returns the newest ``count`` records, oldest first; all for a negative count."""
        if count < 0:
            return tuple(self._records)
        return tuple(self._records)[-count:] if count else ()


class Histories:
    """The three histories, by the command that shows them."""

    def __init__(self, log_cache: int) -> None:
        self.states: RecordHistory[StateRecord] = RecordHistory(STATE_HISTORY)
        self.echoes: RecordHistory[EchoRecord] = RecordHistory(ECHO_HISTORY)
        self.logs: RecordHistory[LogRecord] = RecordHistory(log_cache)

    def newest(self, kind: HistoryKind, count: int) -> Sequence[str]:
        """Renders the newest ``count`` lines of one of them, all for a negative count."""
        match kind:
            case HistoryKind.STATE:
                return [record.render() for record in self.states.newest(count)]
            case HistoryKind.ECHO:
                return [record.render() for record in self.echoes.newest(count)]
            case HistoryKind.LOG:
                return [record.render() for record in self.logs.newest(count)]
