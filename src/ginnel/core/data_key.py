"""Data-channel key values: what a negotiation derives and a data plane installs.

The derivation itself is in ``key_method``; the packet formats are in ``dataplane``.
"""

from enum import Enum, IntEnum

from ginnel.core.digests import Digest
from ginnel.core.types import KeyId
from ginnel.dataclass import dataclass
from ginnel.options.values import Secret

_UNUSED = Secret(b"")


class DataCipher(Enum):
    """Data-channel ciphers by OpenVPN's canonical name; ``value`` is that name."""

    AES_128_GCM = "AES-128-GCM"
    AES_192_GCM = "AES-192-GCM"
    AES_256_GCM = "AES-256-GCM"
    CHACHA20_POLY1305 = "CHACHA20-POLY1305"

    @property
    def key_length(self) -> int:
        """Length of the cipher key in bytes."""
        return {"AES-128-GCM": 16, "AES-192-GCM": 24}.get(self.value, 32)


class DataFormat(Enum):
    """Layout of a data packet (protocol-facts 9)."""

    V1 = "v1"
    """``op(1) packet-id(4) tag(16) ciphertext``, AD = packet-id."""
    V2 = "v2"
    """``op(1) peer-id(3) packet-id(4) tag(16) ciphertext``, AD = first 8 bytes."""
    EPOCH = "epoch"
    """``op(1) peer-id(3) epoch(2) counter(6) ciphertext tag(16)``, AD = first 12 bytes."""


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
