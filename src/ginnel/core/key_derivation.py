"""From a finished key exchange to data-channel keys.

Responsible for: the TLS 1.0 PRF of the legacy derivation, the exporter labels, and cutting 256
bytes of key material into directions (protocol-facts 3, 8, 9). Not responsible for: the exporter
itself (``core.tls``), nor for epoch keys after the first, which the data plane derives.
"""

from ginnel.core.data_key import DataCipher, DataFormat, DataKey, DirectionKey
from ginnel.core.digests import Digest
from ginnel.core.key_files import KeyHalf, StaticKey
from ginnel.core.key_method import KeySource
from ginnel.core.types import KeyId, SessionId, Side
from ginnel.dataclass import dataclass
from ginnel.options.values import Secret

KEY2_LENGTH = 256
DATA_KEYS_LABEL = "EXPORTER-OpenVPN-datakeys"
DYNAMIC_CRYPT_LABEL = "EXPORTER-OpenVPN-dynamic-tls-crypt"
DYNAMIC_CRYPT_LENGTH = 256
P2P_PEER_ID_LABEL = "EXPORTER-OpenVPN-p2p-peerid"
P2P_PEER_ID_LENGTH = 3

_MASTER_LABEL = b"OpenVPN master secret"
_EXPANSION_LABEL = b"OpenVPN key expansion"
_MASTER_LENGTH = 48
_IMPLICIT_IV_LENGTH = 8
_EPOCH_SECRET_LENGTH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPair:
    """The session ids of both sides, part of the legacy derivation."""

    client: SessionId
    server: SessionId


def tls1_prf(secret: bytes, label: bytes, seed: bytes, length: int) -> bytes:
    """The PRF of TLS 1.0: P_MD5 over one half of the secret XOR P_SHA1 over the other."""
    half = (len(secret) + 1) // 2
    full_seed = label + seed
    left = _p_hash("md5", secret[:half], full_seed, length)
    right = _p_hash("sha1", secret[len(secret) - half :], full_seed, length)
    return bytes(one ^ other for one, other in zip(left, right, strict=True))


def _p_hash(digest: str, secret: bytes, seed: bytes, length: int) -> bytes:
    import hmac

    chain = seed
    output = bytearray()
    while len(output) < length:
        chain = hmac.digest(secret, chain, digest)
        output += hmac.digest(secret, chain + seed, digest)
    return bytes(output[:length])


def legacy_key2(client: KeySource, server: KeySource, sessions: SessionPair) -> Secret:
    """Derives 256 bytes of key material from both key sources and session ids."""
    master = tls1_prf(
        client.pre_master.reveal(),
        _MASTER_LABEL,
        client.random1.reveal() + server.random1.reveal(),
        _MASTER_LENGTH,
    )
    return Secret(
        tls1_prf(
            master,
            _EXPANSION_LABEL,
            client.random2.reveal() + server.random2.reveal() + sessions.client + sessions.server,
            KEY2_LENGTH,
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyShape:
    """What a data key is cut for. ``digest`` None stands for AEAD ciphers and for ``auth none``."""

    cipher: DataCipher
    format: DataFormat
    digest: Digest | None = None
    cipher_key_length: int | None = None
    """In bytes; None is the cipher's own."""

    def cut(
        self, send: KeyHalf, receive: KeyHalf, *, key_id: KeyId, packet_time: int = 0
    ) -> DataKey:
        """Takes what is used from the front of each slice (protocol-facts 3, 9).

        ``packet_time`` is the wall clock in seconds, for STATIC. For the epoch format each
        direction's first chain secret E1 is the front of its cipher slice.
        """
        return DataKey(
            key_id=key_id,
            cipher=self.cipher,
            format=self.format,
            send=self._direction(send),
            receive=self._direction(receive),
            digest=self.digest,
            packet_time=packet_time,
        )

    def _direction(self, half: KeyHalf) -> DirectionKey:
        cipher, mac = half.cipher.reveal(), half.hmac.reveal()
        if self.format is DataFormat.EPOCH:
            return DirectionKey(
                cipher_key=Secret(cipher[:_EPOCH_SECRET_LENGTH]), implicit_iv=Secret(b"")
            )
        length = self.cipher_key_length or self.cipher.key_length
        return DirectionKey(
            cipher_key=Secret(cipher[:length]),
            implicit_iv=Secret(mac[:_IMPLICIT_IV_LENGTH] if self.cipher.is_aead else b""),
            hmac_key=Secret(mac[: 0 if self.digest is None else self.digest.size]),
        )


def data_key(key2: Secret, shape: KeyShape, *, side: Side, key_id: KeyId) -> DataKey:
    """Cuts key material, legacy or exported, into the keys of both directions.

    The client sends with key 0 and the server with key 1.
    """
    halves = StaticKey(key2)
    client, server = halves.half(0), halves.half(1)
    send, receive = (client, server) if side is Side.CLIENT else (server, client)
    return shape.cut(send, receive, key_id=key_id)
