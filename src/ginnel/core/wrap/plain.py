"""No wrapping: control packets in clear, trusted only for what TLS inside them proves.

Responsible for: the plain layout of protocol-facts 2. Not responsible for: replays, which TLS and
the reliability layer sort out.
"""

from ginnel.core.key_files import StaticKey
from ginnel.core.wire import HEADER_LENGTH, ControlHeader, Opcode, decode_header, encode_header


class PlainControl:
    """The wrapping that adds nothing."""

    __slots__ = ()

    @property
    def overhead(self) -> int:
        return 0

    @property
    def static_key(self) -> StaticKey | None:
        return None

    def trailer(self, opcode: Opcode) -> int:
        return 0

    def seal(self, header: ControlHeader, body: bytes) -> bytes:
        return encode_header(header) + body

    def open(self, packet: bytes) -> tuple[ControlHeader, bytes]:
        return decode_header(packet), packet[HEADER_LENGTH:]

    def peek(self, packet: bytes) -> tuple[ControlHeader, bytes]:
        return self.open(packet)
