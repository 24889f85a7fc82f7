"""The keys that wrap the control channel of a server: parsed once, used for every client.

Responsible for finding the wrapping that a client's first packets are under: tls-crypt-v2 brings
its own key along and may stand beside one of the others. What a packet leads to is ``listener``'s
and ``server_link``'s business.
"""

from ginnel.core.errors import Malformed
from ginnel.core.key_files import V2ClientKey, parse_v2_server_key
from ginnel.core.types import Side
from ginnel.core.wire import HEADER_LENGTH, ControlBody, ControlHeader, Opcode, decode_body
from ginnel.core.wrap import Wrapping
from ginnel.core.wrap.api import SivMaker, library_siv
from ginnel.core.wrap.build import wrapping_maker
from ginnel.dataclass import dataclass
from ginnel.options.model import PlainWrapping
from ginnel.options.server_model import ServerOptions

FIRST_RESETS = frozenset({Opcode.CONTROL_HARD_RESET_CLIENT_V2, Opcode.CONTROL_HARD_RESET_CLIENT_V3})
"""What a client begins with."""

_WITH_CLIENT_KEY = frozenset({Opcode.CONTROL_HARD_RESET_CLIENT_V3, Opcode.CONTROL_WKC_V1})
_RESEND_MARK = b"\x0f"
_SECONDS_A_DAY = 24 * 60 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKeyClaim:
    """What a tls-crypt-v2 client key says about its owner: sealed by us, judged by others."""

    metadata_type: int
    metadata: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A first packet that opened."""

    header: ControlHeader
    body: ControlBody
    wrapping: Wrapping
    """Fresh, with this packet not counted yet: ``open`` takes it once more."""
    claim: ClientKeyClaim | None = None
    """None without tls-crypt-v2."""


class ControlKeys:
    """Opens packets of clients that nothing is known about."""

    def __init__(self, options: ServerOptions, siv: SivMaker = library_siv) -> None:
        """Raises ``ConfigError`` for a key that does not parse."""
        self.siv = siv
        v2 = options.crypt_v2
        self._server_key = None if v2 is None else parse_v2_server_key(v2.key)
        self._max_age = 0 if v2 is None else v2.max_age
        is_bare = isinstance(options.wrapping, PlainWrapping)
        # Beside tls-crypt-v2 alone, packets without any wrapping must not be a way in.
        self._shared = (
            None
            if is_bare and v2 is not None
            else wrapping_maker(options.wrapping, Side.SERVER, siv=siv)
        )

    def open(
        self, packet: bytes, header: ControlHeader, *, unix_time: int, sent: int = 0
    ) -> Opened:
        """Opens a client's packet. Raises Malformed, ``wrapping`` when it has none that we take.

        ``unix_time`` is the wall clock in seconds; ``sent`` packets count as sent under the
        wrapping already.
        """
        if header.opcode in _WITH_CLIENT_KEY:
            return self._open_v2(packet, unix_time, sent)
        if self._shared is None:
            raise Malformed("wrapping")
        wrapping = self._shared(unix_time, sent)
        header, raw = wrapping.peek(packet)
        return Opened(header=header, body=decode_body(header.opcode, raw), wrapping=wrapping)

    def _open_v2(self, packet: bytes, unix_time: int, sent: int) -> Opened:
        if self._server_key is None:
            raise Malformed("wrapping")
        from ginnel.core.wrap.crypt_v2 import (
            METADATA_TIMESTAMP,
            CryptV2Control,
            split_wrapped_key,
            unwrap_client_key,
        )

        _, wrapped = split_wrapped_key(packet)
        unwrapped = unwrap_client_key(self._server_key, wrapped, self.siv)
        wrapping = CryptV2Control(
            key=V2ClientKey(unwrapped.key, b""),
            side=Side.SERVER,
            unix_time=unix_time,
            sent=sent,
            siv=self.siv,
        )
        header, raw = wrapping.peek(packet)
        if self._max_age:
            made = int.from_bytes(unwrapped.metadata, "big")
            has_time = (
                unwrapped.metadata_type == METADATA_TIMESTAMP and len(unwrapped.metadata) == 8
            )
            if not has_time or unix_time - made > self._max_age * _SECONDS_A_DAY:
                raise Malformed("client-key-age")
        return Opened(
            header=header,
            body=decode_body(header.opcode, raw),
            wrapping=wrapping,
            claim=ClientKeyClaim(
                metadata_type=unwrapped.metadata_type, metadata=unwrapped.metadata
            ),
        )


def announces_resend(packet: bytes) -> bool:
    """Whether a tls-crypt-v2 client can send its wrapped key once more (protocol-facts 4).

    The mark is in the replay id, so this means something only for a packet that opened.
    """
    return packet[HEADER_LENGTH : HEADER_LENGTH + 1] == _RESEND_MARK
