"""tls-auth: an HMAC over every control packet.

Responsible for: the tls-auth layout of protocol-facts 2 with any digest. Not responsible for:
secrecy; session ids, acknowledgements and TLS records stay readable.
"""

import hmac

from ginnel.core.digests import digest_named
from ginnel.core.errors import Malformed
from ginnel.core.key_files import StaticKey
from ginnel.core.replay import ReplayWindow
from ginnel.core.wire import HEADER_LENGTH, ControlHeader, Opcode, decode_header, encode_header
from ginnel.core.wrap.api import ReplayIds
from ginnel.options.model import KeyDirection


class AuthControl:
    """tls-auth with a static key, a ``key-direction`` and the digest of ``auth``."""

    __slots__ = ("_body_at", "_digest", "_key", "_receive_key", "_replay", "_send_key", "_tag_end")

    def __init__(
        self,
        *,
        key: StaticKey,
        direction: KeyDirection,
        digest: str,
        unix_time: int,
        base: int = 0,
        replay_window: ReplayWindow | None = None,
    ) -> None:
        """``digest`` is OpenVPN's name for it; ``base`` is where the send counter starts.

        Raises ``ValueError`` when this system lacks the digest.
        """
        algorithm = digest_named(digest)
        send, receive = key.by_direction(direction)
        self._key = key
        self._digest = algorithm.hashlib_name
        self._send_key = send.hmac.reveal()[: algorithm.size]
        self._receive_key = receive.hmac.reveal()[: algorithm.size]
        self._tag_end = HEADER_LENGTH + algorithm.size
        self._body_at = self._tag_end + 8
        self._replay = ReplayIds(unix_time=unix_time, base=base, window=replay_window)

    @property
    def overhead(self) -> int:
        return self._body_at - HEADER_LENGTH

    @property
    def static_key(self) -> StaticKey | None:
        return self._key

    def trailer(self, opcode: Opcode) -> int:
        return 0

    def seal(self, header: ControlHeader, body: bytes) -> bytes:
        clear = encode_header(header)
        replay_id = self._replay.next()
        # The HMAC covers the replay id before the header, though the packet has them reversed.
        tag = hmac.digest(self._send_key, replay_id + clear + body, self._digest)
        return clear + tag + replay_id + body

    def open(self, packet: bytes) -> tuple[ControlHeader, bytes]:
        return self._open(packet, mark=True)

    def peek(self, packet: bytes) -> tuple[ControlHeader, bytes]:
        return self._open(packet, mark=False)

    def _open(self, packet: bytes, *, mark: bool) -> tuple[ControlHeader, bytes]:
        header = decode_header(packet)
        if len(packet) < self._body_at:
            raise Malformed("short")
        replay_id = packet[self._tag_end : self._body_at]
        body = packet[self._body_at :]
        tag = hmac.digest(
            self._receive_key, replay_id + packet[:HEADER_LENGTH] + body, self._digest
        )
        if not hmac.compare_digest(tag, packet[HEADER_LENGTH : self._tag_end]):
            raise Malformed("hmac")
        self._replay.check(replay_id, mark=mark)
        return header, body
