"""tls-crypt: every control packet encrypted and authenticated with a shared static key.

Responsible for: the tls-crypt layout of protocol-facts 2 (AES-256-CTR under an IV taken from
HMAC-SHA256 of the plaintext), and the dynamic key of later negotiations (protocol-facts 8). Not
responsible for: wrapped client keys (``wrap.crypt_v2``).
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from ginnel.core.errors import Malformed
from ginnel.core.key_files import STATIC_KEY_LENGTH, KeyHalf, StaticKey
from ginnel.core.replay import ReplayWindow
from ginnel.core.types import Side
from ginnel.core.wire import HEADER_LENGTH, ControlHeader, Opcode, decode_header, encode_header
from ginnel.core.wrap.api import ReplayIds
from ginnel.options.values import Secret

TAG_LENGTH = 32
_TAG_AT = HEADER_LENGTH + 8
_BODY_AT = _TAG_AT + TAG_LENGTH
_KEY_LENGTH = 32
_IV_LENGTH = 16


class SivKey:
    """The keys of one direction: AES-256-CTR and HMAC-SHA256, in the SIV manner.

    One cipher context and one keyed HMAC serve all packets, of any number of sessions: making a
    context costs six times what a packet does, and a copy of the HMAC a third of a new one.
    """

    __slots__ = ("_context", "_hmac")

    def __init__(self, half: KeyHalf) -> None:
        key = half.cipher.reveal()[:_KEY_LENGTH]
        self._context = Cipher(AES(key), CTR(bytes(_IV_LENGTH))).encryptor()
        self._hmac = HMAC(half.hmac.reveal()[:_KEY_LENGTH], SHA256())

    def seal(self, clear: bytes, secret: bytes) -> tuple[bytes, bytes]:
        """Returns (tag, ciphertext); the tag covers ``clear | secret``."""
        tag = self._covering(clear, secret).finalize()
        return tag, self._crypt(tag, secret)

    def open(self, clear: bytes, tag: bytes, ciphertext: bytes) -> bytes | None:
        """Returns the plaintext, or None when the tag does not fit."""
        secret = self._crypt(tag, ciphertext)
        try:
            self._covering(clear, secret).verify(tag)
        except InvalidSignature:
            return None
        return secret

    def _covering(self, clear: bytes, secret: bytes) -> HMAC:
        covering = self._hmac.copy()
        covering.update(clear)
        covering.update(secret)
        return covering

    def _crypt(self, tag: bytes, text: bytes) -> bytes:
        self._context.reset_nonce(tag[:_IV_LENGTH])
        return self._context.update(text)


def siv_keys(key: StaticKey, side: Side) -> tuple[SivKey, SivKey]:
    """The keys to send and to receive with: the server sends with key 0, the client with key 1."""
    send, receive = key.by_side(side)
    return SivKey(send), SivKey(receive)


class CryptControl:
    """tls-crypt with a static key."""

    __slots__ = ("_key", "_keys", "_replay", "_side")

    def __init__(
        self,
        *,
        key: StaticKey,
        side: Side,
        unix_time: int,
        base: int = 0,
        replay_window: ReplayWindow | None = None,
        keys: tuple[SivKey, SivKey] | None = None,
    ) -> None:
        """``base`` is where the send counter starts: see ``EARLY_NEGOTIATION_BASE``.

        ``keys`` are ``siv_keys`` of the two, where many sessions share them; without, they are made
        with the first packet: for a dynamic key that is an hour later, or never.
        """
        self._key = key
        self._side = side
        self._keys = keys
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
        tag, ciphertext = self._siv()[0].seal(clear, body)
        return clear + tag + ciphertext

    def open(self, packet: bytes) -> tuple[ControlHeader, bytes]:
        return self._open(packet, mark=True)

    def peek(self, packet: bytes) -> tuple[ControlHeader, bytes]:
        return self._open(packet, mark=False)

    def _siv(self) -> tuple[SivKey, SivKey]:
        if self._keys is None:
            self._keys = siv_keys(self._key, self._side)
        return self._keys

    def _open(self, packet: bytes, *, mark: bool) -> tuple[ControlHeader, bytes]:
        header = decode_header(packet)
        # One byte of body is the least that decodes: the count of acknowledgements.
        if len(packet) <= _BODY_AT:
            raise Malformed("short")
        receive = self._siv()[1]
        body = receive.open(packet[:_TAG_AT], packet[_TAG_AT:_BODY_AT], packet[_BODY_AT:])
        if body is None:
            raise Malformed("hmac")
        self._replay.check(packet[HEADER_LENGTH:_TAG_AT], mark=mark)
        return header, body


def dynamic_crypt(
    *, exported: Secret, base: StaticKey | None, side: Side, unix_time: int
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
    return CryptControl(key=key, side=side, unix_time=unix_time)
