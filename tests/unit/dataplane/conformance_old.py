"""Conformance: ciphers with an HMAC, or without either, and tunnels of a static key.

Every test runs with every engine.
"""

import json
from pathlib import Path

import pytest

from ginnel.core.data_key import OLD_CIPHERS, DataCipher, DataFormat, DataKey, DirectionKey, KeySlot
from ginnel.core.digests import digest_named
from ginnel.core.errors import DataPlaneError
from ginnel.core.types import KeyId, Transport
from ginnel.dataclass import replace
from ginnel.dataplane.api import NotificationKind
from ginnel.options.ciphers import DATA_DIGESTS, CipherMode
from ginnel.options.values import Secret
from tests.unit.dataplane.conformance import INNER, INWARD, INWARD6, OTHER, facing
from tests.unit.dataplane.rig import (
    PACKET_TIME,
    PEER,
    Bench,
    Hand,
    add_peer,
    control,
    make_key,
    seal,
    seal_old,
    unseal,
)

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "data"
CBC = DataCipher.AES_256_CBC
STATIC = DataFormat.STATIC
STATIC_CIPHERS = [
    cipher for cipher in OLD_CIPHERS if cipher.mode not in (CipherMode.CFB, CipherMode.OFB)
]
Case = dict[str, str | int]


def exchange(hand: Hand) -> None:
    """Two packets each way; what the engine sent has ids that count from 1."""
    hand.node.inject(INNER)
    hand.node.inject(OTHER)
    packets = [unseal(hand.key, packet) for packet in hand.expect(2)]
    assert [packet.payload for packet in packets] == [INNER, OTHER]
    assert [packet.packet_id for packet in packets] == [1, 2]
    assert {packet.packet_time for packet in packets} == {hand.key.packet_time}
    hand.send_data(1, INWARD)
    hand.send_data(2, INWARD6)
    assert hand.delivered(2) == [INWARD, INWARD6]
    assert hand.node.drops() == {}


@pytest.mark.parametrize("cipher", OLD_CIPHERS, ids=lambda cipher: cipher.value)
def test_every_old_cipher_goes_both_ways(made: Bench, engine: str, cipher: DataCipher) -> None:
    exchange(facing(made, engine, key=make_key("old", cipher=cipher, key_id=3)))


@pytest.mark.parametrize("auth", [*DATA_DIGESTS, "none"])
def test_every_digest_goes_both_ways(made: Bench, engine: str, auth: str) -> None:
    key = make_key("old", cipher=CBC, layout=DataFormat.V1, auth=auth)
    exchange(facing(made, engine, key=key))


@pytest.mark.parametrize("cipher", STATIC_CIPHERS, ids=lambda cipher: cipher.value)
def test_a_static_key_goes_both_ways(made: Bench, engine: str, cipher: DataCipher) -> None:
    exchange(facing(made, engine, key=make_key("static", cipher=cipher, layout=STATIC)))


def test_neither_cipher_nor_digest_leaves_the_packet_readable(made: Bench, engine: str) -> None:
    key = make_key("bare", cipher=DataCipher.NONE, auth="none")
    hand = facing(made, engine, key=key)
    hand.node.inject(INNER)
    assert hand.expect(1)[0] == bytes((9 << 3, 0, 0, PEER)) + bytes((0, 0, 0, 1)) + INNER


def test_random_ivs_do_not_repeat(made: Bench, engine: str) -> None:
    hand = facing(made, engine, key=make_key("iv", cipher=CBC))
    for _ in range(100):  # more than a compiled engine draws at a time
        hand.node.inject(INNER)
    start = 4 + 32
    assert len({packet[start : start + 16] for packet in hand.expect(100)}) == 100


def test_keys_of_a_chosen_length_are_taken(made: Bench, engine: str) -> None:
    key = make_key("keysize", cipher=DataCipher.BF_CBC)
    send, receive = (
        replace(half, cipher_key=Secret(half.cipher_key.reveal() * 2))
        for half in (key.send, key.receive)
    )
    exchange(facing(made, engine, key=replace(key, send=send, receive=receive)))


def test_a_packet_passes_once_and_a_forged_one_uses_nothing_up(made: Bench, engine: str) -> None:
    hand = facing(made, engine, key=make_key("once", cipher=CBC))
    genuine = seal(hand.key, 4000, INWARD)
    hand.send(genuine[:-1] + bytes((genuine[-1] ^ 1,)))
    hand.dropped("auth")
    for _ in range(2):
        for packet_id in (1, 3, 2):
            hand.send_data(packet_id, INWARD)
    hand.dropped("replay", 3)
    hand.send(genuine)
    assert hand.delivered(4) == [INWARD] * 4


def test_a_static_key_starts_anew_with_a_later_time(made: Bench, engine: str) -> None:
    hand = facing(made, engine, key=make_key("restart", cipher=CBC, layout=STATIC))
    for time, packet_id in ((0, 5), (0, 5), (9, 1), (8, 2), (9, 1), (9, 2)):
        hand.send(seal_old(hand.key, packet_id, INWARD, packet_time=PACKET_TIME + time))
    hand.dropped("replay", 3)
    assert hand.delivered(3) == [INWARD] * 3


def test_strict_order_begins_again_at_a_later_time(made: Bench, engine: str) -> None:
    key = make_key("strict", cipher=CBC, layout=STATIC)
    hand = facing(made, engine, key=key, replay_window=0)
    for time, packet_id in ((0, 2), (0, 1), (0, 3), (0, 2), (1, 2), (1, 1)):
        hand.send(seal_old(hand.key, packet_id, INWARD, packet_time=PACKET_TIME + time))
    hand.dropped("replay", 3)
    assert hand.delivered(3) == [INWARD] * 3


def test_everything_on_a_static_link_is_data(made: Bench, engine: str) -> None:
    hand = facing(made, engine, key=make_key("all", cipher=CBC, layout=STATIC))
    for first in range(0, 256, 7):
        hand.send(bytes((first,)) * 60)
    hand.dropped("auth", 37)
    hand.send(b"\x38")
    hand.dropped("malformed")
    assert hand.node.control == []
    hand.send_data(1, INWARD)
    assert hand.delivered(1) == [INWARD]


def test_headers_are_back_when_the_static_peer_is_gone(made: Bench, engine: str) -> None:
    hand = facing(made, engine, key=make_key("gone", cipher=CBC, layout=STATIC))
    hand.node.plane.del_peer(PEER)
    key = make_key("tls")
    add_peer(hand.node, hand.endpoint, key)
    hand.send(b"\x20control")
    hand.settle(lambda: hand.node.control, "the control packet")
    hand.node.plane.send_control(control(b"\x20answer", hand))
    assert hand.expect(1) == [b"\x20answer"]


# --- what is refused ---------------------------------------------------------------------------


def cases(name: str) -> list[Case]:
    loaded: list[Case] = json.loads((VECTORS / name).read_text())["cases"]
    return loaded


def key_of(case: Case) -> DataKey:
    """The receiving key of a vector; the sending half is the same."""
    half = DirectionKey(
        cipher_key=Secret(bytes.fromhex(str(case["cipher_key"]))),
        implicit_iv=Secret(b""),
        hmac_key=Secret(bytes.fromhex(str(case["hmac_key"]))),
    )
    return DataKey(
        key_id=KeyId(int(case["key_id"])),
        cipher=DataCipher(case["cipher"]),
        format=DataFormat(case["format"]),
        send=half,
        receive=half,
        digest=None if case["digest"] == "none" else digest_named(str(case["digest"])),
        packet_time=int(case["packet_time"]),
    )


@pytest.mark.parametrize("layout", ["v1", "v2", "static"])
def test_opens_every_old_packet_of_the_vectors(made: Bench, engine: str, layout: str) -> None:
    hand = facing(made, engine)
    chosen = [case for case in cases("old.json") if case["format"] == layout]
    for count, case in enumerate(chosen, start=1):
        hand.node.plane.new_key(PEER, KeySlot.PRIMARY, key_of(case))
        hand.send(bytes.fromhex(str(case["packet"])))
        hand.settle(
            lambda count=count: hand.node.plane.stats(PEER).link_read_packets == count,  # type: ignore[misc] # mypy sees no type for a defaulted lambda
            str(case["name"]),
        )
    assert set(hand.node.drops()) <= {"not-ip"}


@pytest.mark.parametrize("layout", ["v1", "v2", "static"])
def test_spoiled_old_packets_are_dropped_and_counted(made: Bench, engine: str, layout: str) -> None:
    hand = facing(made, engine)
    chosen = [case for case in cases("negative/old.json") if case["format"] == layout]
    counts: dict[str, int] = {}
    for case in chosen:
        reason = str(case["reason"])
        counts[reason] = counts.get(reason, 0) + 1
        hand.node.plane.new_key(PEER, KeySlot.PRIMARY, key_of(case))
        hand.send(bytes.fromhex(str(case["packet"])))
        hand.dropped(reason, counts[reason])
        assert hand.node.drops() == counts, case["name"]


def test_a_stream_ends_with_a_packet_that_does_not_authenticate(made: Bench, engine: str) -> None:
    key = make_key("stream", cipher=CBC)
    ours, theirs = made.tcp_pair()
    node = made.node(engine, ours, transport=Transport.TCP)
    add_peer(node, None, key)
    packet = bytearray(seal(key, 1, INWARD))
    packet[-1] ^= 1
    theirs.sendall(len(packet).to_bytes(2, "big") + packet)
    hand = Hand(made, node, key)
    assert hand.reported(NotificationKind.DECRYPT_ERROR).key_id == key.key_id
    assert node.drops() == {"auth": 1}


@pytest.mark.parametrize(
    "key",
    [
        make_key("epoch", cipher=CBC, layout=DataFormat.EPOCH),
        make_key("aead", layout=STATIC),
        make_key("cfb", cipher=DataCipher.AES_128_CFB, layout=STATIC),
        replace(make_key("mac", cipher=CBC), digest=digest_named("SHA512")),
        replace(make_key("cipher", cipher=CBC), cipher=DataCipher.DES_EDE3_CBC),
    ],
    ids=["epoch", "static-aead", "static-cfb", "hmac-key", "cipher-key"],
)
def test_keys_that_do_not_fit_their_suite_are_refused(
    made: Bench, engine: str, key: DataKey
) -> None:
    hand = facing(made, engine)
    with pytest.raises(DataPlaneError):
        hand.node.plane.new_key(PEER, KeySlot.SECONDARY, key)
    hand.send_data(1, INWARD)
    assert hand.delivered(1) == [INWARD]
