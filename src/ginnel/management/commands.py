"""The grammar of the management interface: one line of a client becomes one command, or a refusal.

Names, numbers of arguments and every text are those of openvpn 2.6.14, whose interface version 5
this is (tests/vectors/management). A pure parser: what a command does is in ``session``, how lines
are cut from a stream in ``framing``.
"""

from collections.abc import Callable

from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum
from ginnel.options.errors import ConfigError
from ginnel.options.lexer import lex_line
from ginnel.options.model import AuthRetry
from ginnel.options.values import Origin, Secret

MAX_WORD_BYTES = 256
"""Longest word of a command (seen with openvpn 2.6.14)."""

ALL = -1
"""Stands for ``all`` where a number of history lines is asked for."""

_SECRET_COMMANDS = frozenset({"password", "cr-response", "needstr"})
_ORIGIN = Origin("TCP", 0)  # the place that OpenVPN names in complaints about a command's words


class HistoryKind(Enum):
    """Which history a command is about; the value is the command's name."""

    LOG = "log"
    STATE = "state"
    ECHO = "echo"


class BodyKind(Enum):
    """What the lines up to END after a command are; the value is the command's name."""

    RSA_SIGNATURE = "rsa-sig"
    PK_SIGNATURE = "pk-sig"
    CERTIFICATE = "certificate"
    CLIENT_AUTH = "client-auth"
    PASSWORD = "password"  # noqa: S105 -- the name of a command


class QueryAnswer(Enum):
    """Commands that answer a query of a named type; the value is their name."""

    USERNAME = "username"
    PASSWORD = "password"  # noqa: S105 -- the name of a command
    NEED_OK = "needok"
    NEED_STR = "needstr"


class SignalName(Enum):
    """Signals a client may throw."""

    HUP = "SIGHUP"
    TERM = "SIGTERM"
    USR1 = "SIGUSR1"
    USR2 = "SIGUSR2"


class HoldAction(Enum):
    """Argument of ``hold``; SHOW when there is none."""

    SHOW = "show"
    ON = "on"
    OFF = "off"
    RELEASE = "release"


class ProxyKind(Enum):
    """First argument of ``proxy``."""

    NONE = "NONE"
    HTTP = "HTTP"
    SOCKS = "SOCKS"


@dataclass(frozen=True, kw_only=True)
class Help:
    """``help``."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """``version``, or the client's own version with ``version N``."""

    client: int | None = None


@dataclass(frozen=True, kw_only=True)
class Pid:
    """``pid``."""


@dataclass(frozen=True, kw_only=True)
class Exit:
    """``exit`` and ``quit``."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """``status``; a client shows the same for every form asked for."""

    form: int | None = None
    """Which of a server's forms; None is the one of ``status-version``."""


@dataclass(frozen=True, kw_only=True)
class LoadStats:
    """``load-stats``."""


@dataclass(frozen=True, kw_only=True)
class RealTime:
    """``on`` or ``off`` of a history command."""

    on: bool


@dataclass(frozen=True, kw_only=True)
class Lines:
    """How many lines of a history are to be shown; ``ALL`` for all."""

    count: int


@dataclass(frozen=True, kw_only=True)
class History:
    """``log``, ``state`` or ``echo`` with its one or two words, in order; None: not understood."""

    kind: HistoryKind
    steps: tuple[RealTime | Lines | None, ...]


@dataclass(frozen=True, kw_only=True)
class ByteCount:
    """``bytecount N``: seconds between two reports, 0 for none."""

    seconds: int


@dataclass(frozen=True, kw_only=True)
class Hold:
    """``hold``."""

    action: HoldAction


@dataclass(frozen=True, kw_only=True)
class ThrowSignal:
    """``signal NAME``."""

    signal: SignalName


@dataclass(frozen=True, kw_only=True)
class Verb:
    """``verb``; None asks for the level."""

    level: int | None = None


@dataclass(frozen=True, kw_only=True)
class Mute:
    """``mute``; None asks for the level."""

    level: int | None = None


@dataclass(frozen=True, kw_only=True)
class SetAuthRetry:
    """``auth-retry``; None asks for the mode."""

    mode: AuthRetry | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """``username``, ``password``, ``needok`` or ``needstr`` with the query's type and a value."""

    to: QueryAnswer
    type_name: str
    value: Secret


@dataclass(frozen=True, kw_only=True)
class PasswordBody:
    """``password`` with a type alone: the value follows as lines of base64 up to END."""

    type_name: str


@dataclass(frozen=True, kw_only=True)
class ForgetPasswords:
    """``forget-passwords``."""


@dataclass(frozen=True, kw_only=True)
class ChallengeResponse:
    """``cr-response``; the text is base64 as the client gave it."""

    response: Secret


@dataclass(frozen=True, kw_only=True)
class Remote:
    """``remote``: the words after it. What they mean depends on the pending query."""

    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RemoteEntryCount:
    """``remote-entry-count``."""


@dataclass(frozen=True, kw_only=True)
class RemoteEntries:
    """``remote-entry-get``: entries from ``first`` up to, not with, ``end``; None is all."""

    first: int
    end: int | None


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """``proxy``: the words after it."""

    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Body:
    """A command that is followed by lines up to END."""

    kind: BodyKind
    words: tuple[str, ...] = ()
    """Of ``client-auth``: all words of the line."""


@dataclass(frozen=True, kw_only=True)
class EnvFilter:
    """``env-filter``: how much of the environment UPDOWN and CLIENT blocks show."""

    level: int


@dataclass(frozen=True, kw_only=True)
class TokenIdCount:
    """``pkcs11-id-count``."""


@dataclass(frozen=True, kw_only=True)
class TokenId:
    """``pkcs11-id-get``."""

    index: int


@dataclass(frozen=True, kw_only=True)
class TestLines:
    """``test N``."""

    count: int


@dataclass(frozen=True, kw_only=True)
class ServerCommand:
    """A command of servers (``server_commands``); clients refuse it by its name."""

    name: str
    """As it is refused, which is not always as it was sent."""
    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ShowNet:
    """``net``, which shows something on Windows only."""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A line that is no valid command; ``replies`` are the whole reply, without line ends."""

    replies: tuple[str, ...]


Command = (
    Help
    | Version
    | Pid
    | Exit
    | Status
    | LoadStats
    | History
    | ByteCount
    | Hold
    | ThrowSignal
    | Verb
    | Mute
    | SetAuthRetry
    | Answer
    | PasswordBody
    | ForgetPasswords
    | ChallengeResponse
    | Remote
    | RemoteEntryCount
    | RemoteEntries
    | Proxy
    | Body
    | EnvFilter
    | TokenIdCount
    | TokenId
    | TestLines
    | ServerCommand
    | ShowNet
    | Refused
)

NOT_SUPPORTED = "ERROR: The '{}' command is not supported by the current daemon mode"
NO_PASSWORD = "ERROR: the 'password' command requires 2 parameters"  # noqa: S105 -- a reply
WINDOWS_ONLY = "ERROR: Sorry, this command is currently only implemented on Windows"
UNKNOWN = "ERROR: unknown command, enter 'help' for more options"


def parse_command(line: str) -> Command | None:
    """Parses one line without its end. None for an empty line or a comment."""
    try:
        words = lex_line(line, _ORIGIN).words
    except ConfigError as bad:
        return Refused(replies=(f"ERROR: {_lexer_complaint(bad)}",))
    for word in words:
        encoded = word.encode("utf-8", "surrogateescape")
        if len(encoded) > MAX_WORD_BYTES:
            start = encoded[: MAX_WORD_BYTES - 1].decode("utf-8", "surrogateescape")
            return Refused(
                replies=(
                    f"ERROR: Options error: Parameter at {_ORIGIN} is too long "
                    f"({MAX_WORD_BYTES} chars max): {start}",
                )
            )
    if not words:
        return None
    grammar = _GRAMMAR.get(words[0])
    if grammar is None:
        return Refused(replies=(UNKNOWN,))
    if len(words) - 1 < grammar.count:
        arity = NO_PASSWORD if words[0] == "password" else _arity(words[0], grammar)
        return Refused(replies=(arity,))
    return grammar.make(words)


def shown_in_log(line: str) -> str | None:
    """Renders a line for the log; None for the command that is not logged.

    Hidden are values that may be secret, and lines that begin with no command: they may be the rest
    of an overlong password line, or a misspelt one.
    """
    name = line.lstrip().partition(" ")[0].strip("\"'")
    if name == "load-stats":
        return None
    if name in _SECRET_COMMANDS:
        return f"{name} [...]"
    return line if name in _GRAMMAR or not name else "[...]"


def leading_number(text: str) -> int:
    """Reads the number a word begins with, as C's ``atoi`` does: 0 when there is none."""
    sign = -1 if text[:1] == "-" else 1
    digits = ""
    for character in text.lstrip("+-" if len(text) > 1 and text[1] not in "+-" else ""):
        if not ("0" <= character <= "9"):
            break
        digits += character
    return max(-(2**31), min(2**31 - 1, sign * int(digits or "0")))


# --- words -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Grammar:
    count: int
    """Arguments needed."""
    at_least: bool
    make: Callable[[tuple[str, ...]], Command]


def _lexer_complaint(bad: ConfigError) -> str:
    text = bad.message
    if text.startswith("Bad backslash"):
        return f"Options warning: {text}"
    return f"Options error: {text}"


def _arity(name: str, grammar: _Grammar) -> str:
    least = "at least " if grammar.at_least else ""
    plural = "" if grammar.count == 1 else "s"
    return f"ERROR: the '{name}' command requires {least}{grammar.count} parameter{plural}"


def _optional_number(words: tuple[str, ...]) -> int | None:
    return leading_number(words[1]) if len(words) > 1 else None


def _history(words: tuple[str, ...]) -> Command:
    steps = tuple(_history_step(word) for word in words[1:3])
    # Only the first word may be a switch together with a second word; OpenVPN takes any pair.
    return History(kind=HistoryKind(words[0]), steps=steps)


def _history_step(word: str) -> RealTime | Lines | None:
    if word in {"on", "off"}:
        return RealTime(on=word == "on")
    if word == "all":
        return Lines(count=ALL)
    count = leading_number(word)
    return Lines(count=count) if count > 0 else None


def _state(words: tuple[str, ...]) -> Command:
    if len(words) == 1:
        return History(kind=HistoryKind.STATE, steps=(Lines(count=1),))
    return _history(words)


def _hold(words: tuple[str, ...]) -> Command:
    word = words[1] if len(words) > 1 else "show"
    if word == "show" and len(words) > 1:
        return Refused(replies=("ERROR: bad hold command parameter",))
    try:
        return Hold(action=HoldAction(word))
    except ValueError:
        return Refused(replies=("ERROR: bad hold command parameter",))


def _signal(words: tuple[str, ...]) -> Command:
    try:
        return ThrowSignal(signal=SignalName(words[1]))
    except ValueError:
        return Refused(replies=(f"ERROR: signal '{words[1]}' is not a known signal type",))


def _verb(words: tuple[str, ...]) -> Command:
    level = _optional_number(words)
    if level is not None and not 0 <= level <= 15:
        return Refused(replies=("ERROR: verb level is out of range",))
    return Verb(level=level)


def _mute(words: tuple[str, ...]) -> Command:
    level = _optional_number(words)
    if level is not None and level < 0:
        return Refused(replies=("ERROR: mute level is out of range",))
    return Mute(level=level)


def _auth_retry(words: tuple[str, ...]) -> Command:
    if len(words) == 1:
        return SetAuthRetry()
    try:
        return SetAuthRetry(mode=AuthRetry(words[1]))
    except ValueError:
        return Refused(
            replies=(
                "--auth-retry method must be 'interact', 'nointeract', or 'none'",
                "ERROR: bad auth-retry parameter",
            )
        )


def _answer(words: tuple[str, ...]) -> Command:
    value = Secret(words[2].encode("utf-8", "surrogateescape"))
    return Answer(to=QueryAnswer(words[0]), type_name=words[1], value=value)


def _password(words: tuple[str, ...]) -> Command:
    return _answer(words) if len(words) > 2 else PasswordBody(type_name=words[1])


def _remote_entries(words: tuple[str, ...]) -> Command:
    if words[1] == "all":
        return RemoteEntries(first=0, end=None)
    first = leading_number(words[1])
    end = leading_number(words[2]) if len(words) > 2 else first + 1
    return RemoteEntries(first=first, end=end)


def _server(name: str) -> Callable[[tuple[str, ...]], Command]:
    return lambda words: ServerCommand(name=name, words=words)


_GRAMMAR: dict[str, _Grammar] = {
    "help": _Grammar(0, False, lambda words: Help()),
    "version": _Grammar(0, False, lambda words: Version(client=_optional_number(words))),
    "pid": _Grammar(0, False, lambda words: Pid()),
    "exit": _Grammar(0, False, lambda words: Exit()),
    "quit": _Grammar(0, False, lambda words: Exit()),
    "status": _Grammar(0, False, lambda words: Status(form=_optional_number(words))),
    "load-stats": _Grammar(0, False, lambda words: LoadStats()),
    "nclients": _Grammar(0, False, _server("nclients")),
    "state": _Grammar(0, False, _state),
    "log": _Grammar(1, True, _history),
    "echo": _Grammar(1, True, _history),
    "bytecount": _Grammar(
        1, False, lambda words: ByteCount(seconds=max(0, leading_number(words[1])))
    ),
    "hold": _Grammar(0, False, _hold),
    "signal": _Grammar(1, False, _signal),
    "verb": _Grammar(0, False, _verb),
    "mute": _Grammar(0, False, _mute),
    "auth-retry": _Grammar(0, False, _auth_retry),
    "username": _Grammar(2, False, _answer),
    "password": _Grammar(1, True, _password),
    "needok": _Grammar(2, False, _answer),
    "needstr": _Grammar(2, False, _answer),
    "forget-passwords": _Grammar(0, False, lambda words: ForgetPasswords()),
    "cr-response": _Grammar(
        1,
        False,
        lambda words: ChallengeResponse(
            response=Secret(words[1].encode("utf-8", "surrogateescape"))
        ),
    ),
    "remote": _Grammar(1, True, lambda words: Remote(words=words[1:])),
    "remote-entry-count": _Grammar(0, False, lambda words: RemoteEntryCount()),
    "remote-entry-get": _Grammar(1, True, _remote_entries),
    "proxy": _Grammar(1, True, lambda words: Proxy(words=words[1:])),
    "kill": _Grammar(1, False, _server("kill")),
    "client-auth": _Grammar(2, False, lambda words: Body(kind=BodyKind.CLIENT_AUTH, words=words)),
    # OpenVPN names client-auth here, whichever of the two was sent.
    "client-auth-nt": _Grammar(2, False, _server("client-auth")),
    "client-deny": _Grammar(3, True, _server("client-deny")),
    "client-pending-auth": _Grammar(4, False, _server("client-pending-auth")),
    "client-kill": _Grammar(1, True, _server("client-kill")),
    # Of OpenVPN 2.7; a client's interface does not know them (``server_executor``).
    "push-update-broad": _Grammar(1, True, _server("push-update-broad")),
    "push-update-cid": _Grammar(2, True, _server("push-update-cid")),
    "env-filter": _Grammar(
        0, False, lambda words: EnvFilter(level=max(0, _optional_number(words) or 0))
    ),
    "rsa-sig": _Grammar(0, False, lambda words: Body(kind=BodyKind.RSA_SIGNATURE)),
    "pk-sig": _Grammar(0, False, lambda words: Body(kind=BodyKind.PK_SIGNATURE)),
    "certificate": _Grammar(0, False, lambda words: Body(kind=BodyKind.CERTIFICATE)),
    "net": _Grammar(0, False, lambda words: ShowNet()),
    "pkcs11-id-count": _Grammar(0, False, lambda words: TokenIdCount()),
    "pkcs11-id-get": _Grammar(1, False, lambda words: TokenId(index=leading_number(words[1]))),
    "test": _Grammar(1, False, lambda words: TestLines(count=max(0, leading_number(words[1])))),
}
"""Commands of interface version 5, and two of 6. OpenVPN ignores arguments too many; so do we."""
