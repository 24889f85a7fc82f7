"""tls-crypt: every control packet encrypted and authenticated with a shared static key.

Responsible for: the tls-crypt layout of protocol-facts 2 (AES-256-CTR under an IV taken from
HMAC-SHA256 of the plaintext), and the dynamic key of later negotiations (protocol-facts 8). Not
responsible for: wrapped client keys (``wrap.crypt_v2``).
"""

from ginnel.core.errors import Malformed
from ginnel.core.key_files import STATIC_KEY_LENGTH, KeyHalf, StaticKey
from ginnel.core.replay import ReplayWindow
from ginnel.core.types import Side
from ginnel.core.wire import HEADER_LENGTH, ControlHeader, Opcode, decode_header, encode_header
from ginnel.core.wrap.api import SIV_KEY_LENGTH, ReplayIds, SivKey, SivMaker, library_siv
from ginnel.options.values import Secret

TAG_LENGTH = 32
_TAG_AT = HEADER_LENGTH + 8
_BODY_AT = _TAG_AT + TAG_LENGTH


def siv_key(half: KeyHalf, make: SivMaker = library_siv) -> SivKey:
    """The keys of one direction, from the front of each part."""
    return make(half.cipher.reveal()[:SIV_KEY_LENGTH], half.hmac.reveal()[:SIV_KEY_LENGTH])


def siv_keys(key: StaticKey, side: Side, make: SivMaker = library_siv) -> tuple[SivKey, SivKey]:
    """The keys to send and to receive with: the server sends with key 0, the client with key 1."""
    send, receive = key.by_side(side)
    return siv_key(send, make), siv_key(receive, make)


class CryptControl:
    """tls-crypt with a static key."""

    __slots__ = ("_key", "_receive", "_replay", "_send")

    def __init__(
        self,
        *,
        key: StaticKey,
        keys: tuple[SivKey, SivKey],
        unix_time: int,
        base: int = 0,
        replay_window: ReplayWindow | None = None,
    ) -> None:
        """``keys`` are ``siv_keys`` of ``key``, which many sessions may share.

        ``base`` is where the send counter starts: see ``EARLY_NEGOTIATION_BASE``.
        """
        self._key = key
        self._send, self._receive = keys
        self._replay = ReplayIds(unix_time=unix_time, base=base, window=replay_window)

    @property
    def overhead(self) -> int:
        return _BODY_AT - HEADER_LENGTH

    @property
    def static_key(self) -> StaticKey | None:
        return self._key

    def trailer(self, opcode: Opcode) -> int:
        return 0

    def seal(self, header: ControlHeader, body: bytes) -> bytes:
        clear = encode_header(header) + self._replay.next()
        tag, ciphertext = self._send.seal(clear, body)
        return clear + tag + ciphertext

    def open(self, packet: bytes) -> tuple[ControlHeader, bytes]:
        return self._open(packet, mark=True)

    def peek(self, packet: bytes) -> tuple[ControlHeader, bytes]:
        return self._open(packet, mark=False)

    def _open(self, packet: bytes, *, mark: bool) -> tuple[ControlHeader, bytes]:
        header = decode_header(packet)
        # One byte of body is the least that decodes: the count of acknowledgements.
        if len(packet) <= _BODY_AT:
            raise Malformed("short")
        body = self._receive.open(packet[:_TAG_AT], packet[_TAG_AT:_BODY_AT], packet[_BODY_AT:])
        if body is None:
            raise Malformed("hmac")
        self._replay.check(packet[HEADER_LENGTH:_TAG_AT], mark=mark)
        return header, body


def dynamic_crypt(
    *,
    exported: Secret,
    base: StaticKey | None,
    side: Side,
    unix_time: int,
    siv: SivMaker = library_siv,
) -> CryptControl:
    """Builds the wrapping of negotiations with key id above 0 (dynamic tls-crypt).

    ``exported`` are 256 bytes of the TLS exporter (``key_derivation.DYNAMIC_CRYPT_LABEL``),
    ``base`` is ``static_key`` of the configured wrapping. The two are XORed (protocol-facts 8).
    """
    key = StaticKey(exported)
    if base is not None:
        both = int.from_bytes(exported.reveal(), "big") ^ int.from_bytes(
            base.material.reveal(), "big"
        )
        key = StaticKey(Secret(both.to_bytes(STATIC_KEY_LENGTH, "big")))
    return CryptControl(key=key, keys=siv_keys(key, side, siv), unix_time=unix_time)
