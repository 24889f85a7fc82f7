"""tls-crypt-v2: tls-crypt under a key of the client's own, sent along sealed for the server (WKc).

Responsible for: appending and finding the wrapped client key, sealing and opening it
(protocol-facts 4), and the TLV of the early negotiation. Not responsible for: judging the metadata,
or when a resend is due.
"""

from struct import Struct

from ginnel.core.errors import Malformed
from ginnel.core.key_files import (
    MAX_WKC_LENGTH,
    MIN_WKC_LENGTH,
    STATIC_KEY_LENGTH,
    KeyHalf,
    StaticKey,
    V2ClientKey,
    V2ServerKey,
)
from ginnel.core.replay import ReplayWindow
from ginnel.core.types import Side
from ginnel.core.wire import HEADER_LENGTH, ControlHeader, Opcode
from ginnel.core.wrap.api import EARLY_NEGOTIATION_BASE, SivKey, SivMaker, library_siv
from ginnel.core.wrap.crypt import TAG_LENGTH, CryptControl, siv_key, siv_keys
from ginnel.dataclass import dataclass
from ginnel.options.values import Secret

MAX_METADATA = MAX_WKC_LENGTH - MIN_WKC_LENGTH
"""Most metadata in a wrapped key, its type byte included."""
METADATA_USER = 0
METADATA_TIMESTAMP = 1

_WKC_OPCODES = (Opcode.CONTROL_HARD_RESET_CLIENT_V3, Opcode.CONTROL_WKC_V1)
_TLV_FLAGS = 0x0001
_FLAG_RESEND_WKC = 0x0001
_TLV = Struct(">HH")


class CryptV2Control:
    """tls-crypt under a client key. A client appends its WKc where the server needs it.

    On the server it is built after ``split_wrapped_key`` and ``unwrap_client_key`` gave the key;
    its ``open`` ignores the WKc that later packets repeat.
    """

    __slots__ = ("_crypt", "_side", "_wrapped")

    def __init__(
        self,
        *,
        key: V2ClientKey,
        side: Side,
        unix_time: int,
        sent: int = 0,
        replay_window: ReplayWindow | None = None,
        siv: SivMaker = library_siv,
    ) -> None:
        """A server counts on from ``sent`` packets, a client from the mark of resending."""
        self._wrapped = key.wrapped
        self._side = side
        self._crypt = CryptControl(
            key=key.key,
            keys=siv_keys(key.key, side, siv),
            unix_time=unix_time,
            base=EARLY_NEGOTIATION_BASE if side is Side.CLIENT else sent,
            replay_window=replay_window,
        )

    @property
    def overhead(self) -> int:
        return self._crypt.overhead

    @property
    def static_key(self) -> StaticKey | None:
        return self._crypt.static_key

    def trailer(self, opcode: Opcode) -> int:
        carries = self._side is Side.CLIENT and opcode in _WKC_OPCODES
        return len(self._wrapped) if carries else 0

    def seal(self, header: ControlHeader, body: bytes) -> bytes:
        packet = self._crypt.seal(header, body)
        return packet + self._wrapped if self.trailer(header.opcode) else packet

    def open(self, packet: bytes) -> tuple[ControlHeader, bytes]:
        return self._crypt.open(self._without_wrapped_key(packet))

    def peek(self, packet: bytes) -> tuple[ControlHeader, bytes]:
        return self._crypt.peek(self._without_wrapped_key(packet))

    def _without_wrapped_key(self, packet: bytes) -> bytes:
        if self._side is Side.SERVER and packet and packet[0] >> 3 in _WKC_OPCODES:
            return split_wrapped_key(packet)[0]
        return packet


@dataclass(frozen=True, slots=True, kw_only=True)
class UnwrappedClientKey:
    """What a server finds in a wrapped client key; ``metadata`` is without its type byte."""

    key: StaticKey
    metadata_type: int
    metadata: bytes


def split_wrapped_key(packet: bytes) -> tuple[bytes, bytes]:
    """Splits (tls-crypt packet, WKc); the packet's last two bytes give the length of the WKc.

    Raises ``Malformed("wkc")``.
    """
    length = int.from_bytes(packet[-2:], "big")
    if not MIN_WKC_LENGTH <= length <= min(MAX_WKC_LENGTH, len(packet) - HEADER_LENGTH):
        raise Malformed("wkc")
    return packet[:-length], packet[-length:]


def wrap_client_key(
    server_key: V2ServerKey, key: StaticKey, *, metadata_type: int, metadata: bytes
) -> V2ClientKey:
    """Seals a client key for the server. Raises ``ValueError`` when the metadata is too long."""
    if len(metadata) + 1 > MAX_METADATA:
        raise ValueError(f"metadata of a client key has at most {MAX_METADATA - 1} bytes")
    secret = key.material.reveal() + bytes((metadata_type,)) + metadata
    length = (TAG_LENGTH + len(secret) + 2).to_bytes(2, "big")
    tag, ciphertext = _server_siv(server_key, library_siv).seal(length, secret)
    return V2ClientKey(key, tag + ciphertext + length)


def unwrap_client_key(
    server_key: V2ServerKey, wrapped: bytes, siv: SivMaker = library_siv
) -> UnwrappedClientKey:
    """Opens a WKc. Raises ``Malformed("wkc")`` when it is none, or sealed for another server."""
    if not MIN_WKC_LENGTH <= len(wrapped) <= MAX_WKC_LENGTH:
        raise Malformed("wkc")
    length = wrapped[-2:]
    if int.from_bytes(length, "big") != len(wrapped):
        raise Malformed("wkc")
    key = _server_siv(server_key, siv)
    secret = key.open(length, wrapped[:TAG_LENGTH], wrapped[TAG_LENGTH:-2])
    if secret is None:
        raise Malformed("wkc")
    return UnwrappedClientKey(
        key=StaticKey(Secret(secret[:STATIC_KEY_LENGTH])),
        metadata_type=secret[STATIC_KEY_LENGTH] if len(secret) > STATIC_KEY_LENGTH else 0,
        metadata=secret[STATIC_KEY_LENGTH + 1 :],
    )


def _server_siv(server_key: V2ServerKey, make: SivMaker) -> SivKey:
    material = server_key.material.reveal()
    return siv_key(KeyHalf(Secret(material[:64]), Secret(material[64:])), make)


def resend_wkc_requested(payload: bytes) -> bool:
    """Reads the TLVs of a HARD_RESET_SERVER_V2: must message 1 go out as CONTROL_WKC_V1?

    Unknown types are skipped. Raises ``Malformed("early-negotiation")`` when they do not parse.
    """
    position = 0
    resend = False
    while position < len(payload):
        if len(payload) - position < _TLV.size:
            raise Malformed("early-negotiation")
        kind, length = _TLV.unpack_from(payload, position)
        position += _TLV.size
        value = payload[position : position + length]
        if len(value) < length:
            raise Malformed("early-negotiation")
        position += length
        if kind == _TLV_FLAGS:
            if length != 2:
                raise Malformed("early-negotiation")
            resend = bool(int.from_bytes(value, "big") & _FLAG_RESEND_WKC)
    return resend


def encode_resend_wkc() -> bytes:
    """The TLV by which a server asks for the wrapped key once more."""
    return _TLV.pack(_TLV_FLAGS, 2) + _FLAG_RESEND_WKC.to_bytes(2, "big")
