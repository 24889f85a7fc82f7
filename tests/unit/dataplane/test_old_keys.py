"""Packet-ids of old keys: they warn, end, or start anew with a later time."""

import pytest

from ginnel.core.data_key import DataCipher, DataFormat, DataKey
from ginnel.dataclass import replace
from ginnel.dataplane import formats
from ginnel.dataplane.formats import NO_HEADER
from ginnel.dataplane.old_keys import LAST_TIME, OldKey
from ginnel.dataplane.reference_keys import Dropped, UsageLimits
from ginnel.dataplane.replay_window import TimedWindow
from tests.unit.dataplane.rig import PACKET_TIME, PEER, make_key, reversed_key, unseal

LIMITS = UsageLimits(packet_id_warning=2, packet_id_last=3)
STATIC = make_key("ids", cipher=DataCipher.AES_256_CBC, layout=DataFormat.STATIC)


def opened(key: DataKey) -> OldKey:
    return OldKey(key, PEER, TimedWindow(64, 15), LIMITS)


def test_short_ids_warn_and_then_end() -> None:
    key = opened(make_key("ids", cipher=DataCipher.AES_256_CBC))
    key.seal(b"one")
    assert not key.nears_its_end()
    key.seal(b"two")
    assert key.nears_its_end()
    key.seal(b"three")
    with pytest.raises(Dropped, match="key-exhausted"):
        key.seal(b"four")


def test_long_ids_go_on_with_a_later_time() -> None:
    sender, receiver = opened(STATIC), opened(reversed_key(STATIC))
    sealed = [sender.seal(b"payload") for _ in range(5)]
    ids = [
        (it.packet_time - PACKET_TIME, it.packet_id) for it in (unseal(STATIC, p) for p in sealed)
    ]
    assert ids == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2)]
    assert not sender.nears_its_end()
    for packet in sealed:
        assert receiver.open(NO_HEADER, packet, 0.0) == b"payload"
    with pytest.raises(Dropped, match="replay"):
        receiver.open(NO_HEADER, sealed[0], 0.0)


def test_time_does_not_wrap() -> None:
    key = opened(replace(STATIC, packet_time=LAST_TIME))
    for _ in range(3):
        key.seal(b"payload")
    with pytest.raises(Dropped, match="key-exhausted"):
        key.seal(b"payload")


def test_either_header_opens() -> None:
    v2 = make_key("header", cipher=DataCipher.AES_256_CBC)
    packet = opened(reversed_key(replace(v2, format=DataFormat.V1))).seal(b"payload")
    assert opened(v2).open(formats.decode_header(packet), packet, 0.0) == b"payload"
