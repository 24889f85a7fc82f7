"""Layouts of data packets: header, packet-id, AEAD, and the key chain of the epoch format.

Pure functions over bytes, after protocol-facts 9. Not responsible for which key opens a packet,
for replay protection or for limits; those belong to ``reference_keys``.
"""

from typing import NamedTuple

from ginnel.core.data_key import DataCipher
from ginnel.core.errors import Malformed
from ginnel.hints import Protocol
from ginnel.options.values import Secret

OPCODE_DATA_V1 = 6
OPCODE_DATA_V2 = 9
DATA_OPCODES = frozenset({OPCODE_DATA_V1, OPCODE_DATA_V2})

OCC_MAGIC = bytes.fromhex("287f346bd4ef7a812d56b8d3afc5459c")
"""First bytes of a payload that carries an OCC message (protocol-facts 12)."""

TAG_LENGTH = 16
CLASSIC_ID_LENGTH = 4
EPOCH_ID_LENGTH = 8
IMPLICIT_IV_LENGTH = 8
CHAIN_LENGTH = 32
MAX_PACKET_ID = 0xFFFFFFFF
MAX_EPOCH_COUNTER = 2**48 - 1
MAX_EPOCH = 0xFFFF


class Unauthentic(Exception):
    """The tag of a packet does not match; exists only between ``open_`` and its caller."""


class Aead(Protocol):
    """One cipher with one key: the tag follows the ciphertext, as in the cryptography package."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes: ...
    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes: ...


def new_aead(cipher: DataCipher, key: bytes) -> Aead:
    """Prepares a cipher; the package behind it is heavy to import, hence only here.

    Raises ValueError when the key's length is not the cipher's, or when the OpenSSL behind the
    package does not offer the cipher (a system restricted by policy).
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.ciphers import aead

    if len(key) != cipher.key_length:
        raise ValueError(f"{cipher.value} takes {cipher.key_length} key bytes, not {len(key)}")
    try:
        if cipher is DataCipher.CHACHA20_POLY1305:
            return aead.ChaCha20Poly1305(key)
        return aead.AESGCM(key)
    except UnsupportedAlgorithm as refused:
        raise ValueError(f"{cipher.value} is not available here") from refused


class DataHeader(NamedTuple):
    """What a data packet says before its packet-id; ``peer_id`` is None in DATA_V1."""

    key_id: int
    peer_id: int | None
    length: int


NO_HEADER = DataHeader(key_id=0, peer_id=None, length=0)
"""Stands for what packets of a tunnel without TLS do not have."""


def opcode_of(packet: bytes) -> int:
    """The opcode of a packet that is not empty."""
    return packet[0] >> 3


def header_of(packet: bytes) -> bytes:
    """What stands before the packet-id of a data packet; of any other packet the first byte."""
    return packet[:4] if packet and packet[0] >> 3 == OPCODE_DATA_V2 else packet[:1]


def decode_header(packet: bytes) -> DataHeader:
    """Reads the header of a data packet; raises Malformed when there is none."""
    if not packet:
        raise Malformed("malformed")
    key_id = packet[0] & 0x07
    match packet[0] >> 3:
        case 6:
            return DataHeader(key_id, None, 1)
        case 9 if len(packet) >= 4:
            return DataHeader(key_id, int.from_bytes(packet[1:4], "big"), 4)
        case _:
            raise Malformed("malformed")


def encode_header_v1(key_id: int) -> bytes:
    return bytes((OPCODE_DATA_V1 << 3 | key_id,))


def encode_header_v2(key_id: int, peer_id: int) -> bytes:
    return bytes((OPCODE_DATA_V2 << 3 | key_id,)) + peer_id.to_bytes(3, "big")


def seal_classic(
    aead: Aead, implicit_iv: bytes, header: bytes, packet_id: int, plaintext: bytes
) -> bytes:
    """Seals in the layout of V1 or V2, which the header's length tells."""
    number = packet_id.to_bytes(CLASSIC_ID_LENGTH, "big")
    front = header + number
    sealed = aead.encrypt(number + implicit_iv, plaintext, number if len(header) == 1 else front)
    return front + sealed[-TAG_LENGTH:] + sealed[:-TAG_LENGTH]


def decode_classic_id(packet: bytes, header: DataHeader) -> int:
    """The packet-id of a V1 or V2 packet; raises Malformed when there is no payload behind it."""
    end = header.length + CLASSIC_ID_LENGTH
    if len(packet) <= end + TAG_LENGTH:
        raise Malformed("malformed")
    return int.from_bytes(packet[header.length : end], "big")


def open_classic(aead: Aead, implicit_iv: bytes, header: DataHeader, packet: bytes) -> bytes:
    """Opens what ``decode_classic_id`` accepted; raises Unauthentic."""
    end = header.length + CLASSIC_ID_LENGTH
    number = packet[header.length : end]
    associated = number if header.length == 1 else packet[:end]
    body = packet[end + TAG_LENGTH :] + packet[end : end + TAG_LENGTH]
    return _decrypt(aead, number + implicit_iv, body, associated)


class EpochId(NamedTuple):
    """Epoch and counter of a packet in the epoch format; both are 1 in the first packet."""

    epoch: int
    counter: int


def seal_epoch(
    aead: Aead, data_iv: bytes, header: bytes, number: EpochId, plaintext: bytes
) -> bytes:
    """Seals in the epoch layout under the 4-byte header."""
    wire = (number.epoch << 48 | number.counter).to_bytes(EPOCH_ID_LENGTH, "big")
    front = header + wire
    return front + aead.encrypt(_epoch_nonce(data_iv, wire), plaintext, front)


def decode_epoch_id(packet: bytes, header: DataHeader) -> EpochId:
    """Epoch and counter; raises Malformed for DATA_V1 or when there is no payload behind them."""
    end = header.length + EPOCH_ID_LENGTH
    if header.peer_id is None or len(packet) <= end + TAG_LENGTH:
        raise Malformed("malformed")
    number = int.from_bytes(packet[header.length : end], "big")
    return EpochId(number >> 48, number & MAX_EPOCH_COUNTER)


def open_epoch(aead: Aead, data_iv: bytes, header: DataHeader, packet: bytes) -> bytes:
    """Opens what ``decode_epoch_id`` accepted; raises Unauthentic."""
    end = header.length + EPOCH_ID_LENGTH
    front = packet[:end]
    return _decrypt(aead, _epoch_nonce(data_iv, front[header.length :]), packet[end:], front)


def expand_label(secret: bytes, label: bytes, length: int) -> bytes:
    """OVPN-Expand-Label with an empty context: HKDF-Expand of SHA-256 (protocol-facts 9)."""
    name = b"ovpn " + label
    info = length.to_bytes(2, "big") + bytes((len(name),)) + name + b"\x00"
    import hmac

    block = hmac.digest(secret, info + b"\x01", "sha256")
    if length > len(block):
        raise ValueError("the epoch format asks for one block only")
    return block[:length]


def next_chain_secret(chain: Secret) -> Secret:
    """The chain secret of the following epoch."""
    return Secret(expand_label(chain.reveal(), b"datakey upd", CHAIN_LENGTH))


def epoch_key(chain: Secret, cipher: DataCipher) -> tuple[Aead, bytes]:
    """The cipher and the 12-byte IV of the epoch whose chain secret is given."""
    key = expand_label(chain.reveal(), b"data_key", cipher.key_length)
    return new_aead(cipher, key), expand_label(chain.reveal(), b"data_iv", 12)


def _epoch_nonce(data_iv: bytes, wire: bytes) -> bytes:
    mixed = int.from_bytes(data_iv, "big") ^ int.from_bytes(wire, "big") << 32
    return mixed.to_bytes(len(data_iv), "big")


def _decrypt(aead: Aead, nonce: bytes, body: bytes, associated: bytes) -> bytes:
    try:
        return aead.decrypt(nonce, body, associated)
    except _invalid_tag() as bad:
        raise Unauthentic from bad


def _invalid_tag() -> type[Exception]:
    """What the package raises: asked for when something is raised, not for each packet."""
    from cryptography.exceptions import InvalidTag

    return InvalidTag
