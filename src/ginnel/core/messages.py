"""Text messages of the control channel, after the key exchange.

Responsible for: cutting the decrypted stream into messages, and parsing each into a value
(protocol-facts 16). Not responsible for: what a message leads to, or the options inside a push.
"""

from binascii import Error as Base64Error
from binascii import a2b_base64

from ginnel.core.errors import Malformed
from ginnel.dataclass import dataclass, field
from ginnel.enumeration import Enum

MAX_MESSAGE = 65536
"""Longest message in bytes; OpenVPN sends at most about 2000."""
MAX_MESSAGES_AT_ONCE = 1024

_UNPRINTABLE = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)))


class MessageSplitter:
    """Cuts decrypted bytes at NULs. An unfinished message waits for its rest, within a bound."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, plaintext: bytes) -> list[str]:
        """Returns the messages that are complete now, without unprintable characters.

        Empty messages are skipped. Raises ``Malformed``: ``message-length`` or ``message-count``;
        the stream cannot be used after that.
        """
        whole = self._rest + plaintext
        if whole.count(b"\0") > MAX_MESSAGES_AT_ONCE:
            raise Malformed("message-count")
        *complete, self._rest = whole.split(b"\0")
        if any(len(piece) > MAX_MESSAGE for piece in (*complete, self._rest)):
            raise Malformed("message-length")
        texts = (clean_text(piece.decode("utf-8", "replace")) for piece in complete)
        return [text for text in texts if text]


def encode_message(text: str) -> bytes:
    """Returns a message with the NUL that ends it. Raises ``ValueError`` for a NUL inside."""
    if "\0" in text:
        raise ValueError("a control message cannot hold a NUL")
    return text.encode("utf-8", "replace") + b"\0"


def clean_text(text: str) -> str:
    """Removes control characters, so that a peer cannot forge log lines or terminal commands."""
    return text.translate(_UNPRINTABLE)


def without_controls(text: str) -> str:
    """Puts ``_`` for control characters of ASCII, as OpenVPN does in names and passwords."""
    return "".join("_" if char < " " or char == "\x7f" else char for char in text)


class TemporaryAdvance(Enum):
    """Where ``AUTH_FAILED,TEMP`` sends the client next."""

    SAME = "no"
    NEXT_ADDRESS = "addr"
    NEXT_REMOTE = "remote"


@dataclass(frozen=True, kw_only=True)
class TemporaryFailure:
    """Flags of ``AUTH_FAILED,TEMP[...]``; ``backoff`` in seconds, None when not given."""

    backoff: int | None = None
    advance: TemporaryAdvance | None = None


@dataclass(frozen=True, kw_only=True)
class DynamicChallenge:
    """A ``CRV1`` challenge: the text is to be shown, the answer sent with the next login."""

    echo: bool
    response_required: bool
    state_id: str
    username: str
    text: str


@dataclass(frozen=True, kw_only=True)
class AuthFailed:
    """The login was refused. ``reason`` is as sent, for TEMP the text after the flags."""

    reason: str = ""
    temporary: TemporaryFailure | None = None
    challenge: DynamicChallenge | None = None
    text: str = field(default="", compare=False)
    """All that came after the keyword, for the log."""


@dataclass(frozen=True, kw_only=True)
class AuthPending:
    """The login takes longer: wait ``timeout`` seconds when given."""

    timeout: int | None = None
    keywords: tuple[str, ...] = ()
    """What was not understood."""
    text: str = field(default="", compare=False)
    """All that came after the keyword."""


@dataclass(frozen=True, kw_only=True)
class Info:
    """Text for the management interface, once connected."""

    text: str


@dataclass(frozen=True, kw_only=True)
class InfoPre:
    """Text for the management interface that may come before the login is decided."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Restart:
    """The server wants the client to reconnect."""

    text: str = ""
    next_remote: bool = False
    keep_password: bool = False


@dataclass(frozen=True, kw_only=True)
class Halt:
    """The server wants the client to stop."""

    text: str = ""
    keep_password: bool = False


@dataclass(frozen=True, kw_only=True)
class Exit:
    """The peer leaves."""


@dataclass(frozen=True, kw_only=True)
class PushRequest:
    """A client asks for its options."""


@dataclass(frozen=True, kw_only=True)
class PushReply:
    """Options, possibly a part of them: see ``core.push``."""

    items: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PushUpdate:
    """Changed options, possibly a part of them."""

    items: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CrResponse:
    """Answer to a text challenge, base64 as sent."""

    response: str


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """Anything else: logged and ignored."""

    keyword: str
    text: str


TextMessage = (
    AuthFailed
    | AuthPending
    | Info
    | InfoPre
    | Restart
    | Halt
    | Exit
    | PushRequest
    | PushReply
    | PushUpdate
    | CrResponse
    | Unknown
)


def parse_message(text: str) -> TextMessage:
    """Parses one message of ``MessageSplitter``; never fails, for ``Unknown`` takes the rest."""
    keyword, comma, rest = text.partition(",")
    match keyword:
        case "PUSH_REPLY":
            return PushReply(items=_items(rest))
        case "PUSH_REQUEST":
            return PushRequest()
        case "AUTH_FAILED":
            return _parse_auth_failed(rest)
        case "AUTH_PENDING":
            return _parse_auth_pending(rest)
        case "INFO":
            return Info(text=rest)
        case "INFO_PRE":
            return InfoPre(text=rest)
        case "RESTART":
            flags, reason = _bracketed(rest)
            return Restart(text=reason, next_remote="N" in flags, keep_password="P" in flags)
        case "HALT":
            flags, reason = _bracketed(rest)
            return Halt(text=reason, keep_password="P" in flags)
        case "EXIT" if not comma:
            return Exit()
        case "PUSH_UPDATE":
            return PushUpdate(items=_items(rest))
        case "CR_RESPONSE":
            return CrResponse(response=rest)
        case _:
            return Unknown(keyword=keyword, text=rest)


def _items(rest: str) -> tuple[str, ...]:
    """Splits pushed options at commas; there is no escaping (protocol-facts 17)."""
    return tuple(item for item in (part.strip(" ") for part in rest.split(",")) if item)


def _bracketed(rest: str) -> tuple[str, str]:
    """Splits ``[flags]text``; without a closing bracket there are no flags."""
    if rest.startswith("["):
        flags, closed, text = rest[1:].partition("]")
        if closed:
            return flags, text
    return "", rest


def _parse_auth_failed(rest: str) -> AuthFailed:
    if rest.startswith("CRV1:"):
        return AuthFailed(reason=rest, challenge=_parse_challenge(rest), text=rest)
    if rest.startswith("TEMP"):  # whatever follows, as OpenVPN
        flags, text = _bracketed(rest.removeprefix("TEMP"))
        temporary = _parse_temporary(flags)
        reason = text.removeprefix(":")
        return AuthFailed(reason=reason, temporary=temporary, text=rest)
    return AuthFailed(reason=rest, text=rest)


def _parse_temporary(flags: str) -> TemporaryFailure:
    backoff: int | None = None
    advance: TemporaryAdvance | None = None
    for flag in flags.split(","):
        name, _, value = flag.strip(" ").partition(" ")
        if name == "backoff":
            backoff = _small_number(value)
        elif name == "advance" and value in {choice.value for choice in TemporaryAdvance}:
            advance = TemporaryAdvance(value)
    return TemporaryFailure(backoff=backoff, advance=advance)


def _parse_challenge(rest: str) -> DynamicChallenge | None:
    """Reads ``CRV1:flags:state_id:base64(user):text``; None when it is not complete."""
    parts = rest.split(":", 4)
    if len(parts) != 5:
        return None
    _, flags, state_id, encoded, text = parts
    try:
        username = a2b_base64(encoded, strict_mode=True).decode("utf-8", "surrogateescape")
    except (Base64Error, ValueError):
        return None
    chosen = flags.split(",")
    return DynamicChallenge(
        echo="E" in chosen,
        response_required="R" in chosen,
        state_id=state_id,
        username=username,
        text=text,
    )


def _parse_auth_pending(rest: str) -> AuthPending:
    timeout: int | None = None
    keywords: list[str] = []
    for word in rest.split(","):
        name, _, value = word.strip(" ").partition(" ")
        if name == "timeout":
            timeout = _small_number(value)
        elif name:
            keywords.append(word.strip(" "))
    return AuthPending(timeout=timeout, keywords=tuple(keywords), text=rest)


def _small_number(text: str) -> int | None:
    """Reads a count of seconds of at most nine digits."""
    text = text.strip(" ")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
