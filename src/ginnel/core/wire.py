"""Opcodes, the control packet's header and body, and the length framing of TCP links.

Responsible for: the layouts of protocol-facts 1, 2 and 21 that are the same for every wrapping.
Not responsible for: authenticating or encrypting the body (``core.wrap``), or when to send what
(``core.reliable``).
"""

from collections.abc import Sequence
from struct import Struct

from ginnel.core.errors import Malformed
from ginnel.core.types import KeyId, SessionId
from ginnel.dataclass import dataclass
from ginnel.enumeration import IntEnum


class Opcode(IntEnum):
    """High five bits of a packet's first byte: the wire names without ``P_``."""

    CONTROL_HARD_RESET_CLIENT_V1 = 1
    CONTROL_HARD_RESET_SERVER_V1 = 2
    CONTROL_SOFT_RESET_V1 = 3
    CONTROL_V1 = 4
    ACK_V1 = 5
    DATA_V1 = 6
    CONTROL_HARD_RESET_CLIENT_V2 = 7
    CONTROL_HARD_RESET_SERVER_V2 = 8
    DATA_V2 = 9
    CONTROL_HARD_RESET_CLIENT_V3 = 10
    CONTROL_WKC_V1 = 11


SESSION_ID_LENGTH = 8
HEADER_LENGTH = 1 + SESSION_ID_LENGTH
"""First byte and own session id, in clear in front of every control packet."""

MAX_ACKS = 8
"""Message ids that one packet may acknowledge (protocol-facts 5)."""

_OPCODES = {opcode.value: opcode for opcode in Opcode}
_DATA_OPCODES = (Opcode.DATA_V1, Opcode.DATA_V2)
_HARD_RESETS = frozenset(
    {
        Opcode.CONTROL_HARD_RESET_CLIENT_V1,
        Opcode.CONTROL_HARD_RESET_SERVER_V1,
        Opcode.CONTROL_HARD_RESET_CLIENT_V2,
        Opcode.CONTROL_HARD_RESET_SERVER_V2,
        Opcode.CONTROL_HARD_RESET_CLIENT_V3,
    }
)
_NO_SESSION_ID = bytes(SESSION_ID_LENGTH)
_U32 = Struct(">I")
_ACK_LISTS = tuple(Struct(f">{count}I") for count in range(MAX_ACKS + 1))


def is_hard_reset(packet: bytes) -> bool:
    """Tells by the opcode whether a packet, which is not empty, would open a session."""
    return packet[0] >> 3 in _HARD_RESETS


@dataclass(frozen=True, slots=True)
class ControlHeader:
    """What every control packet shows in clear: opcode, key id and the sender's session id."""

    opcode: Opcode
    key_id: KeyId
    session_id: SessionId


@dataclass(frozen=True, slots=True)
class ControlBody:
    """The part of a control packet that a wrapping protects.

    ``peer_session_id`` is present exactly when ``acks`` is not empty; ``message_id`` is None in
    ACK_V1 only, which has no payload.
    """

    acks: tuple[int, ...] = ()
    peer_session_id: SessionId | None = None
    message_id: int | None = None
    payload: bytes = b""


def first_byte(opcode: Opcode, key_id: KeyId) -> int:
    """Composes a packet's first byte."""
    return opcode << 3 | key_id


def split_first_byte(value: int) -> tuple[Opcode, KeyId]:
    """Splits a packet's first byte. Raises ``Malformed("opcode")`` for a number nobody uses."""
    opcode = _OPCODES.get(value >> 3 & 0x1F)
    if opcode is None:
        raise Malformed("opcode")
    return opcode, KeyId(value & 0x07)


def encode_header(header: ControlHeader) -> bytes:
    """Returns the nine clear bytes in front of a control packet."""
    return bytes((header.opcode << 3 | header.key_id,)) + header.session_id


def decode_header(packet: bytes) -> ControlHeader:
    """Reads the nine clear bytes in front of a control packet.

    Raises ``Malformed``: ``short``, ``opcode`` (unknown, or a data packet) or ``session-id``
    (all zero).
    """
    if len(packet) < HEADER_LENGTH:
        raise Malformed("short")
    opcode, key_id = split_first_byte(packet[0])
    if opcode in _DATA_OPCODES:
        raise Malformed("opcode")
    session_id = packet[1:HEADER_LENGTH]
    if session_id == _NO_SESSION_ID:
        raise Malformed("session-id")
    return ControlHeader(opcode, key_id, SessionId(session_id))


def encode_body(body: ControlBody) -> bytes:
    """Lays out ``ack_count | ids | peer session id | message id | payload`` (protocol-facts 2)."""
    count = len(body.acks)
    parts = [bytes((count,))]
    if count:
        if body.peer_session_id is None:
            raise ValueError("acknowledgements need the peer's session id")
        parts += (_ACK_LISTS[count].pack(*body.acks), body.peer_session_id)
    if body.message_id is not None:
        parts += (_U32.pack(body.message_id), body.payload)
    return b"".join(parts)


def decode_body(opcode: Opcode, body: bytes) -> ControlBody:
    """Reads a body; what follows the acknowledgements of an ACK_V1 is ignored, as OpenVPN does.

    Raises ``Malformed``: ``short`` or ``ack-count``.
    """
    if not body:
        raise Malformed("short")
    count = body[0]
    if count > MAX_ACKS:
        raise Malformed("ack-count")
    position = 1
    acks: tuple[int, ...] = ()
    peer_session_id: SessionId | None = None
    if count:
        position += 4 * count + SESSION_ID_LENGTH
        if len(body) < position:
            raise Malformed("short")
        acks = _ACK_LISTS[count].unpack_from(body, 1)
        peer_session_id = SessionId(body[position - SESSION_ID_LENGTH : position])
    if opcode is Opcode.ACK_V1:
        return ControlBody(acks, peer_session_id)
    if len(body) < position + 4:
        raise Malformed("short")
    message_id: int = _U32.unpack_from(body, position)[0]
    return ControlBody(acks, peer_session_id, message_id, body[position + 4 :])


def body_overhead(ack_count: int) -> int:
    """Bytes that a body with a message id spends besides its payload."""
    return 5 + (4 * ack_count + SESSION_ID_LENGTH if ack_count else 0)


def frame_tcp(packet: bytes) -> bytes:
    """Puts the 16-bit length of TCP links in front (protocol-facts 21)."""
    return len(packet).to_bytes(2, "big") + packet


class TcpDeframer:
    """Cuts the byte stream of a TCP link into packets.

    Holds at most one incomplete packet, so at most ``max_length + 1`` bytes between calls. After
    ``Malformed("length")`` the stream has no boundaries any more: the connection must be closed.
    """

    __slots__ = ("_buffer", "bad_length", "max_length")

    def __init__(self, *, max_length: int = 0xFFFF) -> None:
        self._buffer = bytearray()
        self.max_length = max_length
        self.bad_length = 0
        """The length that ended the stream, once one did."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Adds received bytes and returns the packets that are complete now.

        Raises ``Malformed("length")`` for a length of zero or above the limit; packets in front of
        it in the same chunk are lost with the connection.
        """
        buffer = self._buffer
        buffer += chunk
        packets: list[bytes] = []
        position = 0
        available = len(buffer)
        while available - position >= 2:
            length = buffer[position] << 8 | buffer[position + 1]
            if not 0 < length <= self.max_length:
                buffer.clear()
                self.bad_length = length
                raise Malformed("length")
            if available - position - 2 < length:
                break
            packets.append(bytes(buffer[position + 2 : position + 2 + length]))
            position += 2 + length
        del buffer[:position]
        return packets

    def take_unread(self) -> bytes:
        """Hands over the bytes of an incomplete packet to whoever reads the stream from here on."""
        unread = bytes(self._buffer)
        self._buffer.clear()
        return unread


def control_payload_limit(
    *, max_packet_size: int, outer: int, wrapping: int, acks: Sequence[int]
) -> int:
    """Largest payload of a CONTROL packet that keeps the outer packet within ``max_packet_size``.

    ``outer`` is the size of IP and UDP headers (28 or 48), ``wrapping`` what the wrapping adds to
    the nine clear bytes and the body, ``acks`` what is piggybacked (protocol-facts 5).
    """
    return max_packet_size - outer - HEADER_LENGTH - wrapping - body_overhead(len(acks))
