"""Key method 2: the one message each side sends inside TLS before anything else.

Responsible for: its layout and bounds (protocol-facts 7). Not responsible for: deriving keys from
it (``core.key_derivation``) or judging options, login and peer info.
"""

from ginnel.core.cursor import Reader, Writer
from ginnel.core.errors import Malformed
from ginnel.core.types import Side
from ginnel.dataclass import dataclass
from ginnel.options.values import Secret

KEY_METHOD = 2
PRE_MASTER_LENGTH = 48
RANDOM_LENGTH = 32

MAX_OPTIONS_STRING = 512
MAX_LOGIN = 4096
"""Largest user name or password; builds of OpenVPN without PKCS#11 take 127 bytes only."""
MAX_PEER_INFO = 8192
MAX_MESSAGE = 2048
"""Largest message that OpenVPN reads: it takes no more at a time out of TLS."""

_NO_PASSWORD = Secret(b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySource:
    """One side's random contribution to the legacy key derivation.

    ``pre_master`` has 48 bytes from a client and none from a server.
    """

    pre_master: Secret
    random1: Secret
    random2: Secret

    @classmethod
    def from_entropy(cls, side: Side, entropy: bytes) -> "KeySource":
        """Cuts ``key_source_length(side)`` random bytes into a key source."""
        reader = Reader(entropy)
        source = _read_source(reader, side)
        if reader.remaining:
            raise ValueError("more entropy than a key source takes")
        return source


def key_source_length(side: Side) -> int:
    """Random bytes that a side contributes."""
    return 2 * RANDOM_LENGTH + (PRE_MASTER_LENGTH if side is Side.CLIENT else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyMethodMessage:
    """A key method 2 message. Empty strings mean that the side has nothing to say there."""

    source: KeySource
    options_string: str
    username: str = ""
    password: Secret = _NO_PASSWORD
    peer_info: str = ""


def encode_key_method(message: KeyMethodMessage) -> bytearray:
    """Lays out a message; the presence of a pre-master tells the sides apart.

    It holds the password: overwrite it once it was sent.

    Raises ``ValueError`` when a text or the whole is too long, or a text holds a NUL.
    """
    writer = Writer()
    writer.u32(0)
    writer.u8(KEY_METHOD)
    for piece in (message.source.pre_master, message.source.random1, message.source.random2):
        writer.put(piece.view())
    _write_text(writer, _encode(message.options_string), MAX_OPTIONS_STRING)
    _write_text(writer, _encode(message.username), MAX_LOGIN)
    _write_text(writer, message.password.view(), MAX_LOGIN)
    _write_text(writer, _encode(message.peer_info), MAX_PEER_INFO)
    content = writer.buffer()
    if len(content) > MAX_MESSAGE:
        raise ValueError(f"the key exchange would have {len(content)} bytes")
    return content


def decode_key_method(content: bytes, sender: Side) -> KeyMethodMessage:
    """Reads the message that ``sender`` sent. Missing trailing fields are empty; more is ignored.

    Raises ``Malformed``: ``short``, ``key-method`` (not version 2) or ``text`` (a string too long,
    without its final NUL, or with another one).
    """
    reader = Reader(content)
    if reader.u32() != 0 or reader.u8() & 0x0F != KEY_METHOD:
        raise Malformed("key-method")
    source = _read_source(reader, sender)
    options_string = _read_text(reader, MAX_OPTIONS_STRING)
    username = _read_text(reader, MAX_LOGIN)
    password = _read_text(reader, MAX_LOGIN)
    peer_info = _read_text(reader, MAX_PEER_INFO)
    return KeyMethodMessage(
        source=source,
        options_string=_decode(options_string),
        username=_decode(username),
        password=Secret(password),
        peer_info=_decode(peer_info),
    )


def _read_source(reader: Reader, sender: Side) -> KeySource:
    return KeySource(
        pre_master=Secret(reader.take(PRE_MASTER_LENGTH if sender is Side.CLIENT else 0)),
        random1=Secret(reader.take(RANDOM_LENGTH)),
        random2=Secret(reader.take(RANDOM_LENGTH)),
    )


def _write_text(writer: Writer, text: bytes | memoryview, limit: int) -> None:
    if not text:
        writer.u16(0)
        return
    if len(text) >= limit or 0 in text:
        raise ValueError(f"a text of {len(text)} bytes does not fit into the key exchange")
    writer.u16(len(text) + 1)
    writer.put(text)
    writer.put(b"\0")


def _read_text(reader: Reader, limit: int) -> bytes:
    """Reads ``length | bytes | NUL``; the end of the message counts as an empty text."""
    if not reader.remaining:
        return b""
    length = reader.u16()
    if length == 0:
        return b""
    if length > limit:
        raise Malformed("text")
    text = reader.take(length)
    if text.find(b"\0") != length - 1:
        raise Malformed("text")
    return text[:-1]


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _decode(text: bytes) -> str:
    # Bytes that are not UTF-8 survive, so that a login is checked against what was really sent.
    return text.decode("utf-8", "surrogateescape")
