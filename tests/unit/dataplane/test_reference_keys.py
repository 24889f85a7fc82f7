"""Limits of use of a key: it asks for its successor, and stops before it would repeat itself."""

import pytest

from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.errors import Malformed
from ginnel.dataplane import formats
from ginnel.dataplane.open_key import open_key
from ginnel.dataplane.reference_keys import Dropped, PacketKey, UsageLimits, started_blocks
from tests.unit.dataplane.rig import PEER, make_key, reversed_key, seal, unseal

GCM, CHACHA = DataCipher.AES_256_GCM, DataCipher.CHACHA20_POLY1305
EPOCH, V1, V2 = DataFormat.EPOCH, DataFormat.V1, DataFormat.V2


def opened(
    limits: UsageLimits, cipher: DataCipher = GCM, layout: DataFormat = V2
) -> tuple[PacketKey, PacketKey]:
    """Both ends of one key."""
    key = make_key("limits", cipher=cipher, layout=layout)
    left, right = (
        open_key(half, send_peer_id=PEER, replay_window=64, replay_time=15, limits=limits)
        for half in (key, reversed_key(key))
    )
    return left, right


def carry(sender: PacketKey, receiver: PacketKey, payload: bytes = b"x" * 16) -> bytes:
    packet = sender.seal(payload)
    return receiver.open(formats.decode_header(packet), packet, 0.0)


def spoil(sender: PacketKey, receiver: PacketKey) -> None:
    packet = bytearray(sender.seal(b"payload"))
    packet[-1] ^= 1
    with pytest.raises(Dropped) as dropped:
        receiver.open(formats.decode_header(bytes(packet)), bytes(packet), 0.0)
    assert dropped.value.reason == "auth"


@pytest.mark.parametrize(("length", "blocks"), [(0, 0), (1, 1), (16, 1), (17, 2), (1400, 88)])
def test_started_blocks_count(length: int, blocks: int) -> None:
    assert started_blocks(bytes(length)) == blocks


@pytest.mark.parametrize("layout", [V1, V2])
def test_packet_ids_warn_and_then_end(layout: DataFormat) -> None:
    sender, receiver = opened(UsageLimits(packet_id_warning=3, packet_id_last=5), layout=layout)
    for number in range(1, 6):
        assert sender.nears_its_end() == (number > 3)
        carry(sender, receiver)
    for _ in range(3):
        with pytest.raises(Dropped, match="key-exhausted"):
            sender.seal(b"once more")


def test_the_default_limits_are_the_protocols() -> None:
    limits = UsageLimits()
    assert limits.packet_id_warning == 0xFF000000
    assert limits.packet_id_last == 0xFFFFFFFF
    assert limits.counter_last == 2**48 - 1
    assert limits.aead == 2**36 - 1
    assert limits.aead_warning == (2**36 - 1) // 8 * 7
    assert (limits.failed_warning, limits.failed_last) == (2**35, 2**36)
    assert (limits.epoch_warning, limits.epoch_last) == (0xF000, 0xFFFF)


def test_use_of_gcm_warns_at_seven_eighths_at_both_ends_and_ends() -> None:
    sender, receiver = opened(UsageLimits(aead=16))
    for _ in range(7):
        carry(sender, receiver)
    assert not sender.nears_its_end()
    assert not receiver.nears_its_end()
    carry(sender, receiver)
    assert sender.nears_its_end()
    assert receiver.nears_its_end()
    with pytest.raises(Dropped, match="key-exhausted"):
        sender.seal(b"x")


def test_chacha_has_no_limit_of_use() -> None:
    sender, receiver = opened(UsageLimits(aead=16), cipher=CHACHA)
    for _ in range(50):
        carry(sender, receiver)
    assert not sender.nears_its_end()
    assert not receiver.nears_its_end()


def test_failed_tags_warn_and_then_close_the_key() -> None:
    sender, receiver = opened(UsageLimits(failed_warning=2, failed_last=3))
    spoil(sender, receiver)
    assert not receiver.nears_its_end()
    spoil(sender, receiver)
    assert receiver.nears_its_end()
    spoil(sender, receiver)
    with pytest.raises(Dropped, match="key-exhausted"):
        carry(sender, receiver)


def test_an_epoch_ends_with_its_use_and_the_receiver_follows() -> None:
    sender, receiver = opened(UsageLimits(aead=8), layout=EPOCH)
    key = make_key("limits", cipher=GCM, layout=EPOCH)
    epochs = []
    for _ in range(15):
        packet = sender.seal(b"x" * 16)
        assert receiver.open(formats.decode_header(packet), packet, 0.0) == b"x" * 16
        epochs.append(unseal(key, packet).epoch)
    assert epochs == [1] * 5 + [2] * 5 + [3] * 5
    assert unseal(reversed_key(key), receiver.seal(b"answer")).epoch == 4, (
        "worn on receipt, so it moves on"
    )


def test_a_worn_receiving_epoch_makes_the_sender_move() -> None:
    sender, receiver = opened(UsageLimits(aead=8), layout=EPOCH)
    key = reversed_key(make_key("limits", cipher=GCM, layout=EPOCH))
    for _ in range(4):
        carry(sender, receiver)
    assert unseal(key, receiver.seal(b"x")).epoch == 1
    carry(sender, receiver)
    assert unseal(key, receiver.seal(b"x")).epoch == 2
    assert unseal(key, receiver.seal(b"x")).epoch == 2


def test_failed_tags_of_an_epoch_make_the_sender_move() -> None:
    sender, receiver = opened(UsageLimits(failed_warning=2, failed_last=3), layout=EPOCH)
    key = reversed_key(make_key("limits", cipher=GCM, layout=EPOCH))
    spoil(sender, receiver)
    assert unseal(key, receiver.seal(b"x")).epoch == 1
    spoil(sender, receiver)
    assert unseal(key, receiver.seal(b"x")).epoch == 2
    spoil(sender, receiver)
    with pytest.raises(Dropped, match="key-exhausted"):
        carry(sender, receiver)


def test_a_full_counter_moves_to_the_next_epoch() -> None:
    sender, _ = opened(UsageLimits(counter_last=2), cipher=CHACHA, layout=EPOCH)
    key = make_key("limits", cipher=CHACHA, layout=EPOCH)
    sent = [unseal(key, sender.seal(b"x")) for _ in range(5)]
    assert [(it.epoch, it.packet_id) for it in sent] == [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)]


def test_the_last_epoch_is_never_left() -> None:
    limits = UsageLimits(counter_last=2, epoch_last=3, epoch_warning=2)
    sender, _ = opened(limits, layout=EPOCH)
    assert not sender.nears_its_end()
    for _ in range(6):
        sender.seal(b"x")
    assert sender.nears_its_end()
    with pytest.raises(Dropped, match="key-exhausted"):
        sender.seal(b"x")


def test_epochs_at_the_very_end_are_not_taken() -> None:
    _, receiver = opened(UsageLimits(epoch_last=24), layout=EPOCH)
    key = reversed_key(make_key("limits", cipher=GCM, layout=EPOCH))
    last = seal(key, 1, b"x", epoch=7)
    assert receiver.open(formats.decode_header(last), last, 0.0) == b"x"
    beyond = seal(key, 1, b"x", epoch=8)
    with pytest.raises(Dropped, match="no-key"):
        receiver.open(formats.decode_header(beyond), beyond, 0.0)


def test_an_epoch_key_takes_no_data_v1() -> None:
    _, receiver = opened(UsageLimits(), layout=EPOCH)
    packet = b"\x30" + bytes(60)
    with pytest.raises(Malformed):
        receiver.open(formats.decode_header(packet), packet, 0.0)


@pytest.mark.parametrize("layout", [V1, V2, EPOCH])
def test_material_of_the_wrong_length_is_refused(layout: DataFormat) -> None:
    other = EPOCH if layout is not EPOCH else V2
    wrong = make_key("wrong", layout=other, cipher=DataCipher.AES_128_GCM)
    key = type(wrong)(
        key_id=wrong.key_id, cipher=GCM, format=layout, send=wrong.send, receive=wrong.receive
    )
    with pytest.raises(ValueError, match="bytes"):
        open_key(key, send_peer_id=PEER, replay_window=64, replay_time=15, limits=UsageLimits())
