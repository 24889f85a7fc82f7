"""A data key of peers older than AEAD at work: packet-ids short or long, and the replay window.

Not responsible for layouts (``old_formats``), slots or peers.
"""

import secrets

from ginnel.core.data_key import DataFormat, DataKey, DirectionKey
from ginnel.core.types import PeerId
from ginnel.dataplane import formats, old_formats
from ginnel.dataplane.formats import DataHeader
from ginnel.dataplane.old_formats import OldKeys, OldSuite, PacketId
from ginnel.dataplane.reference_keys import Dropped, UsageLimits
from ginnel.dataplane.replay_window import TimedWindow

LAST_TIME = 0xFFFFFFFF


class OldKey:
    """Seals in the format of its key; opens V1 as well as V2, or packets without a header."""

    def __init__(
        self,
        key: DataKey,
        send_peer_id: PeerId,
        window: TimedWindow,
        limits: UsageLimits,
    ) -> None:
        is_static = key.format is DataFormat.STATIC
        self._suite = OldSuite(cipher=key.cipher, digest=key.digest, long_ids=is_static)
        if key.format is DataFormat.EPOCH or (is_static and self._suite.id_is_iv):
            raise ValueError(f"{key.cipher.value} has no packets of format {key.format.value}")
        self.key_id: int = key.key_id
        self._is_static = is_static
        self._header = _header(key, send_peer_id)
        self._limits = limits
        self._window = window
        self._send, self._receive = (_keys(half) for half in (key.send, key.receive))
        for keys in (self._send, self._receive):
            old_formats.check_keys(self._suite, keys)
        self._time = key.packet_time if self._suite.id_length > old_formats.ID_LENGTH else 0
        self._sent_id = 0

    def seal(self, plaintext: bytes) -> bytes:
        """Builds the packet under the next packet-id."""
        self._next_id()
        packet_id = PacketId(self._time, self._sent_id)
        iv = secrets.token_bytes(self._suite.iv_length)
        return self._header + old_formats.seal(self._suite, self._send, packet_id, plaintext, iv)

    def open(self, header: DataHeader, packet: bytes, now: float) -> bytes:
        """Authenticates, opens, and only then looks at the packet-id."""
        try:
            packet_id, plaintext = old_formats.open_packet(
                self._suite, self._receive, packet[header.length :]
            )
        except formats.Unauthentic as bad:
            raise Dropped("auth") from bad
        if not self._window.check(packet_id.time, packet_id.number, now):
            raise Dropped("replay")
        self._window.mark(packet_id.time, packet_id.number, now)
        return plaintext

    def nears_its_end(self) -> bool:
        """Packet-ids run out; never without TLS, where the time makes them new."""
        return not self._is_static and self._sent_id >= self._limits.packet_id_warning

    def _next_id(self) -> None:
        if self._sent_id < self._limits.packet_id_last:
            self._sent_id += 1
            return
        if self._suite.id_length == old_formats.ID_LENGTH or self._time >= LAST_TIME:
            raise Dropped("key-exhausted")
        self._time += 1
        self._sent_id = 1


def _header(key: DataKey, send_peer_id: PeerId) -> bytes:
    match key.format:
        case DataFormat.V1:
            return formats.encode_header_v1(key.key_id)
        case DataFormat.STATIC:
            return b""
        case _:
            return formats.encode_header_v2(key.key_id, send_peer_id)


def _keys(half: DirectionKey) -> OldKeys:
    return OldKeys(half.cipher_key.reveal(), half.hmac_key.reveal())
