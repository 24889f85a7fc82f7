"""Data-channel key values: what a negotiation derives and a data plane installs.

The derivation itself is in ``key_method``; the packet formats are in ``dataplane``.
"""

from ginnel.core.digests import Digest
from ginnel.core.types import KeyId
from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum, IntEnum
from ginnel.options.ciphers import CIPHERS, CipherKind, CipherMode
from ginnel.options.values import Secret

_UNUSED = Secret(b"")


class DataCipher(Enum):
    """Data-channel ciphers by OpenVPN's canonical name; ``value`` is that name."""

    AES_128_GCM = "AES-128-GCM"
    AES_192_GCM = "AES-192-GCM"
    AES_256_GCM = "AES-256-GCM"
    CHACHA20_POLY1305 = "CHACHA20-POLY1305"
    AES_128_CBC = "AES-128-CBC"
    AES_192_CBC = "AES-192-CBC"
    AES_256_CBC = "AES-256-CBC"
    AES_128_CFB = "AES-128-CFB"
    AES_192_CFB = "AES-192-CFB"
    AES_256_CFB = "AES-256-CFB"
    AES_128_OFB = "AES-128-OFB"
    AES_192_OFB = "AES-192-OFB"
    AES_256_OFB = "AES-256-OFB"
    CAMELLIA_128_CBC = "CAMELLIA-128-CBC"
    CAMELLIA_192_CBC = "CAMELLIA-192-CBC"
    CAMELLIA_256_CBC = "CAMELLIA-256-CBC"
    BF_CBC = "BF-CBC"
    CAST5_CBC = "CAST5-CBC"
    DES_CBC = "DES-CBC"
    DES_EDE_CBC = "DES-EDE-CBC"
    DES_EDE3_CBC = "DES-EDE3-CBC"
    NONE = "none"

    @property
    def kind(self) -> CipherKind:
        """What follows from the name."""
        return CIPHERS[self.value]

    @property
    def mode(self) -> CipherMode:
        return self.kind.mode

    @property
    def key_length(self) -> int:
        """Length of the cipher key in bytes, where ``keysize`` does not ask for another one."""
        return self.kind.key_length

    @property
    def block_length(self) -> int:
        """Length of a block in bytes; 1 for a stream cipher, 0 for none."""
        return self.kind.block_length

    @property
    def is_aead(self) -> bool:
        """Whether the cipher authenticates, too."""
        return self.kind.is_aead


AEAD_CIPHERS = tuple(cipher for cipher in DataCipher if cipher.is_aead)
OLD_CIPHERS = tuple(cipher for cipher in DataCipher if not cipher.is_aead)
"""Those that need an HMAC beside them, ``none`` among them."""


class DataFormat(Enum):
    """Layout of a data packet (protocol-facts 9).

    Behind the header an AEAD cipher has what is told here; any other one has
    ``HMAC IV ciphertext``, whatever the header is.
    """

    V1 = "v1"
    """``op(1)``, then ``packet-id(4) tag(16) ciphertext``, AD = packet-id."""
    V2 = "v2"
    """``op(1) peer-id(3)``, then ``packet-id(4) tag(16) ciphertext``, AD = first 8 bytes."""
    EPOCH = "epoch"
    """``op(1) peer-id(3) epoch(2) counter(6) ciphertext tag(16)``, AD = first 12 bytes."""
    STATIC = "static"
    """No header and packet-ids with a time: tunnels without TLS, where AEAD cannot be used.

    While a peer has such a key, every packet of its link is data; its ``key_id`` is 0.
    """


AEAD_FORMATS = (DataFormat.V1, DataFormat.V2, DataFormat.EPOCH)
OLD_FORMATS = (DataFormat.V1, DataFormat.V2, DataFormat.STATIC)


class KeySlot(IntEnum):
    """A place in a data plane: PRIMARY seals, either one opens, chosen by key_id."""

    PRIMARY = 0
    SECONDARY = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionKey:
    """Material of one direction; what a suite does not use is empty.

    AEAD in V1/V2: ``cipher_key`` of the cipher's key length, 8-byte ``implicit_iv`` (the nonce
    tail). EPOCH: ``cipher_key`` is the 32-byte chain secret E1. Any other cipher: ``cipher_key``
    and ``hmac_key``, the latter of the digest's size.
    """

    cipher_key: Secret
    implicit_iv: Secret
    hmac_key: Secret = _UNUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class DataKey:
    """All that a data plane needs to seal and open packets of one negotiation."""

    key_id: KeyId
    cipher: DataCipher
    format: DataFormat
    send: DirectionKey
    receive: DirectionKey
    digest: Digest | None = None
    """Of the HMAC; None with AEAD ciphers, and with ``auth none``."""
    packet_time: int = 0
    """Unix time in seconds when the key was made; part of packet-ids in their long form."""
