"""Data packets of peers older than AEAD: a cipher in CBC, CFB or OFB mode, or none, and an HMAC.

Pure functions over bytes, after protocol-facts 9: ``header | HMAC | IV | ciphertext``. Not
responsible for which key opens a packet, nor for replay protection (``old_keys``).
"""

import contextlib
import hmac
from collections.abc import Callable
from functools import cache
from importlib import import_module

from ginnel.core.data_key import DataCipher
from ginnel.core.digests import Digest
from ginnel.core.errors import Malformed
from ginnel.dataclass import dataclass
from ginnel.dataplane.formats import Unauthentic
from ginnel.hints import TYPE_CHECKING, Any, Final
from ginnel.options.ciphers import CipherMode

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm
    from cryptography.hazmat.primitives.ciphers.modes import CBC

ID_LENGTH = 4
LONG_ID_LENGTH = 8

_CLASSES: Final = {
    "AES": "AES",
    "CAMELLIA": "Camellia",
    "BF": "Blowfish",
    "CAST5": "CAST5",
    "DES": "TripleDES",
}


@dataclass(frozen=True, slots=True)
class PacketId:
    """Number and time of a packet; the time is 0 in the short form."""

    time: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OldSuite:
    """What packets are protected with, and how their ids are written."""

    cipher: DataCipher
    digest: Digest | None
    long_ids: bool

    @property
    def id_is_iv(self) -> bool:
        return self.cipher.mode in (CipherMode.CFB, CipherMode.OFB)

    @property
    def id_length(self) -> int:
        return LONG_ID_LENGTH if self.long_ids or self.id_is_iv else ID_LENGTH

    @property
    def iv_length(self) -> int:
        return self.cipher.block_length

    @property
    def tag_length(self) -> int:
        return 0 if self.digest is None else self.digest.size


@dataclass(frozen=True, slots=True)
class OldKeys:
    """Raw keys of one direction; ``hmac_key`` is empty without a digest."""

    cipher_key: bytes
    hmac_key: bytes


def check_keys(suite: OldSuite, keys: OldKeys) -> None:
    """Raises ValueError when material and suite do not fit, or the system lacks the cipher."""
    if len(keys.hmac_key) != suite.tag_length:
        raise ValueError(f"the HMAC key has {len(keys.hmac_key)} bytes, not {suite.tag_length}")
    lengths = (suite.cipher.key_length, *suite.cipher.kind.key_lengths)
    if len(keys.cipher_key) not in lengths:
        raise ValueError(f"{suite.cipher.value} takes no key of {len(keys.cipher_key)} bytes")
    if suite.cipher.mode is not CipherMode.NONE and not is_available(suite.cipher):
        raise ValueError(f"{suite.cipher.value} is not available here")


def seal(suite: OldSuite, keys: OldKeys, packet_id: PacketId, plaintext: bytes, iv: bytes) -> bytes:
    """What stands behind the header. ``iv`` is random, and used by CBC only."""
    number = packet_id.number.to_bytes(4, "big") + packet_id.time.to_bytes(4, "big")
    mode = suite.cipher.mode
    if mode is CipherMode.NONE:
        covered = number[: suite.id_length] + plaintext
    elif suite.id_is_iv:
        iv = number.ljust(suite.iv_length, b"\x00")
        covered = iv + _crypt(suite.cipher, keys.cipher_key, iv, plaintext, encrypt=True)
    else:
        text = number[: suite.id_length] + plaintext
        padding = suite.iv_length - len(text) % suite.iv_length
        text += bytes((padding,)) * padding
        covered = iv + _crypt(suite.cipher, keys.cipher_key, iv, text, encrypt=True)
    return _tag(suite, keys, covered) + covered


def open_packet(suite: OldSuite, keys: OldKeys, body: bytes) -> tuple[PacketId, bytes]:
    """Takes apart what stands behind the header.

    The HMAC is compared, in constant time, before anything is decrypted. Raises Unauthentic, and
    Malformed for what cannot be a packet.
    """
    start = suite.tag_length + suite.iv_length
    if len(body) <= start:
        raise Malformed("malformed")
    tag, covered = body[: suite.tag_length], body[suite.tag_length :]
    if not hmac.compare_digest(tag, _tag(suite, keys, covered)):
        raise Unauthentic
    iv, text = covered[: suite.iv_length], covered[suite.iv_length :]
    if suite.cipher.mode is CipherMode.CBC:
        text = _unpadded(suite, keys, iv, text)
    elif suite.id_is_iv:
        text = _crypt(suite.cipher, keys.cipher_key, iv, text, encrypt=False)
    source, rest = (iv, text) if suite.id_is_iv else (text, text[suite.id_length :])
    if not rest:
        raise Malformed("malformed")
    time = int.from_bytes(source[4:8], "big") if suite.id_length == LONG_ID_LENGTH else 0
    return PacketId(time, int.from_bytes(source[:4], "big")), rest


def _unpadded(suite: OldSuite, keys: OldKeys, iv: bytes, text: bytes) -> bytes:
    if len(text) % suite.iv_length:
        raise Malformed("malformed")
    padded = _crypt(suite.cipher, keys.cipher_key, iv, text, encrypt=False)
    padding = padded[-1]
    if not 1 <= padding <= suite.iv_length or padded[-padding:] != bytes((padding,)) * padding:
        raise Malformed("malformed")
    return padded[:-padding]


def _tag(suite: OldSuite, keys: OldKeys, covered: bytes) -> bytes:
    if suite.digest is None:
        return b""
    return hmac.digest(keys.hmac_key, covered, suite.digest.hashlib_name)


def _crypt(cipher: DataCipher, key: bytes, iv: bytes, text: bytes, *, encrypt: bool) -> bytes:
    made = _cipher(cipher, key, iv)
    context = made.encryptor() if encrypt else made.decryptor()
    return context.update(text) + context.finalize()


@cache
def is_available(cipher: DataCipher) -> bool:
    """Whether the OpenSSL behind the ``cryptography`` package has the cipher."""
    from cryptography.exceptions import UnsupportedAlgorithm

    if cipher.mode is CipherMode.NONE:
        return True
    try:
        _cipher(cipher, bytes(range(cipher.key_length)), bytes(cipher.block_length)).encryptor()
    except UnsupportedAlgorithm:
        return False
    return True


def _cipher(cipher: DataCipher, key: bytes, iv: bytes) -> "Cipher[CBC]":
    """The packages behind it are heavy to import, hence only here."""
    from cryptography.hazmat.primitives.ciphers import Cipher

    family = cipher.value.split("-")[0]
    if family == "DES":
        key = (key + key + key)[:24]  # one key three times, or the first one again, is DES or EDE
    algorithm: Callable[[bytes], CipherAlgorithm] = _find("algorithms", _CLASSES[family])
    mode: Callable[[bytes], CBC] = _find("modes", cipher.mode.name)
    return Cipher(algorithm(key), mode(iv))


def _find(module: str, name: str) -> Callable[[bytes], Any]:
    """Old ciphers and modes move within the package from release to release."""
    for place in ("decrepit", "primitives"):
        with contextlib.suppress(ImportError, AttributeError):
            package = import_module(f"cryptography.hazmat.{place}.ciphers.{module}")
            found: Callable[[bytes], Any] = getattr(package, name)
            return found
    raise ImportError(f"cryptography has no {name}")
