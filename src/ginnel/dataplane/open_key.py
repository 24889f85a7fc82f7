"""Makes a working key of the Python engine from the material of a negotiation.

Not responsible for what a key does; that is in ``reference_keys`` and ``old_keys``.
"""

from ginnel.core.data_key import DataFormat, DataKey
from ginnel.core.types import PeerId
from ginnel.dataplane import formats
from ginnel.dataplane.old_keys import OldKey
from ginnel.dataplane.reference_keys import ClassicKey, EpochKeys, PacketKey, UsageLimits
from ginnel.dataplane.replay_window import TimedWindow


def open_key(
    key: DataKey,
    *,
    send_peer_id: PeerId,
    replay_window: int,
    replay_time: float,
    limits: UsageLimits,
) -> PacketKey:
    """Makes a working key; raises ValueError when its material fits neither cipher nor format."""
    if not key.cipher.is_aead:
        return OldKey(key, send_peer_id, TimedWindow(replay_window, replay_time), limits)
    match key.format:
        case DataFormat.EPOCH:
            header = formats.encode_header_v2(key.key_id, send_peer_id)
            return EpochKeys(key, header, replay_window, replay_time, limits)
        case DataFormat.V1:
            header = formats.encode_header_v1(key.key_id)
        case DataFormat.V2:
            header = formats.encode_header_v2(key.key_id, send_peer_id)
        case DataFormat.STATIC:
            raise ValueError(f"{key.cipher.value} cannot be used without TLS")
    return ClassicKey(key, header, replay_window, replay_time, limits)
