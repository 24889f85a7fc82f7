"""The keys of tls-crypt on the cryptography package, for where there is no compiled engine.

Responsible for: one direction's AES-256-CTR and HMAC-SHA256. Not responsible for: which keys are
used (``dataplane.choose``). Loads 14 modules of the package that a client's start can do without.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from ginnel.core.wrap.api import SIV_KEY_LENGTH

_IV_LENGTH = 16


class LibrarySivKey:
    """A ``wrap.api.SivKey``.

    One cipher context and one keyed HMAC serve all packets, of any number of sessions: making a
    context costs six times what a packet does, and a copy of the HMAC a third of a new one.
    """

    __slots__ = ("_context", "_hmac")

    def __init__(self, cipher_key: bytes, mac_key: bytes) -> None:
        """Raises ``ValueError`` for keys of another length."""
        if not len(cipher_key) == len(mac_key) == SIV_KEY_LENGTH:
            raise ValueError(f"each key has {SIV_KEY_LENGTH} bytes")
        self._context = Cipher(AES(cipher_key), CTR(bytes(_IV_LENGTH))).encryptor()
        self._hmac = HMAC(mac_key, SHA256())

    def seal(self, clear: bytes, secret: bytes) -> tuple[bytes, bytes]:
        tag = self._covering(clear, secret).finalize()
        return tag, self._crypt(tag, secret)

    def open(self, clear: bytes, tag: bytes, ciphertext: bytes) -> bytes | None:
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
