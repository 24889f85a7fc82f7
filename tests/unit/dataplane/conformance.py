"""What every data plane must do with packets over UDP: one engine against a hand-made peer.

``test_conformance`` runs it with each engine. Timers, counters, routes and misuse are in
``conformance_limits``, TCP is in ``conformance_stream``, two engines with each other in
``test_pairs``.
"""

import json
import select
import time
from pathlib import Path
from typing import Unpack

import pytest

from ginnel.core.data_key import (
    AEAD_CIPHERS,
    AEAD_FORMATS,
    DataCipher,
    DataFormat,
    DataKey,
    DirectionKey,
    KeySlot,
)
from ginnel.core.types import UNDEFINED_PEER_ID, KeyId
from ginnel.dataplane import formats
from ginnel.dataplane.api import PING, NotificationKind
from ginnel.options.values import Secret
from tests.unit.dataplane.inner_packets import (
    udp_packet,
)
from tests.unit.dataplane.rig import (
    PEER,
    Bench,
    Hand,
    Settings,
    add_peer,
    control,
    make_key,
    seal,
    set_keepalive,
    unseal,
)

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "data"
INNER = udp_packet("10.8.0.6", "10.8.0.1", b"to the office")
OTHER = udp_packet("10.8.0.6", "10.8.0.1", b"another")
INWARD = udp_packet("10.8.0.1", "10.8.0.6", b"from the office")
INWARD6 = udp_packet("fd00:8::1", "fd00:8::6", b"from the office")
OCC_EXIT = formats.OCC_MAGIC + b"\x06"
LAYOUTS = list(AEAD_FORMATS)
CIPHERS = list(AEAD_CIPHERS)
FUTURE_EPOCHS = 17


def facing(
    made: Bench,
    engine: str,
    *,
    key: DataKey | None = None,
    family: int = 4,
    vnet_header: bool = False,
    ethernet: bool = False,
    **settings: Unpack[Settings],
) -> Hand:
    """An engine with one peer that this test plays."""
    key = key or make_key("conformance")
    node = made.node(engine, made.udp(family), vnet_header=vnet_header, ethernet=ethernet)
    hand = Hand(made, node, key, family)
    add_peer(node, hand.endpoint, key, **settings)
    return hand


# --- data, both ways ---------------------------------------------------------------------------


@pytest.mark.parametrize("cipher", CIPHERS, ids=lambda cipher: cipher.value)
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.value)
def test_seals_what_tun_gives_and_opens_what_the_link_gives(
    made: Bench, engine: str, cipher: DataCipher, layout: DataFormat
) -> None:
    hand = facing(made, engine, key=make_key("both ways", cipher=cipher, layout=layout, key_id=3))
    hand.node.inject(INNER)
    hand.node.inject(OTHER)
    packets = [unseal(hand.key, packet) for packet in hand.expect(2)]
    assert [packet.payload for packet in packets] == [INNER, OTHER]
    assert [packet.packet_id for packet in packets] == [1, 2]
    expected_peer = None if layout is DataFormat.V1 else PEER
    assert {packet.header.peer_id for packet in packets} == {expected_peer}
    assert {packet.header.key_id for packet in packets} == {3}
    assert packets[0].epoch == (1 if layout is DataFormat.EPOCH else 0)
    hand.send_data(1, INWARD)
    hand.send_data(2, INWARD6)
    assert hand.delivered(2) == [INWARD, INWARD6]


@pytest.mark.parametrize("family", [4, 6])
def test_carries_data_over_either_family(made: Bench, engine: str, family: int) -> None:
    hand = facing(made, engine, family=family)
    hand.node.inject(INNER)
    assert unseal(hand.key, hand.expect(1)[0]).payload == INNER
    hand.send_data(1, INWARD)
    assert hand.delivered(1) == [INWARD]


def test_a_dual_stack_socket_serves_an_ipv4_peer(made: Bench, engine: str) -> None:
    dual = made.dual_stack()
    node = made.node(engine, dual)
    hand = Hand(made, node, make_key("dual"))
    add_peer(node, hand.endpoint, hand.key)
    node.inject(INNER)
    assert unseal(hand.key, hand.expect(1)[0]).payload == INNER
    hand.socket.sendto(seal(hand.key, 1, INWARD), ("127.0.0.1", dual.getsockname()[1]))
    assert hand.delivered(1) == [INWARD]
    hand.socket.sendto(b"\x20control", ("127.0.0.1", dual.getsockname()[1]))
    hand.settle(lambda: node.control, "a control packet")
    assert node.control[0].source == hand.endpoint


def test_works_on_a_tun_with_vnet_header(made: Bench, engine: str) -> None:
    hand = facing(made, engine, vnet_header=True)
    hand.node.inject(INNER)
    assert unseal(hand.key, hand.expect(1)[0]).payload == INNER
    hand.send_data(1, INWARD)
    assert hand.delivered(1) == [INWARD]


def test_accepts_data_v1_and_v2_whichever_it_sends(made: Bench, engine: str) -> None:
    hand = facing(made, engine, key=make_key("mixed", layout=DataFormat.V2))
    as_v1 = make_key("mixed", layout=DataFormat.V1)
    hand.send(seal(as_v1, 1, INWARD))
    hand.send(seal(hand.key, 2, INWARD6))
    assert hand.delivered(2) == [INWARD, INWARD6]


def test_writes_the_peer_id_it_was_told_to_send(made: Bench, engine: str) -> None:
    hand = facing(made, engine, send_peer_id=UNDEFINED_PEER_ID)
    hand.node.inject(INNER)
    assert unseal(hand.key, hand.expect(1)[0]).header.peer_id == UNDEFINED_PEER_ID


def test_largest_and_smallest_inner_packets_pass(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    small = udp_packet("10.8.0.6", "10.8.0.1", b"")
    large = udp_packet("10.8.0.6", "10.8.0.1", bytes(1500 - 28))
    hand.node.inject(small)
    hand.node.inject(large)
    assert [unseal(hand.key, packet).payload for packet in hand.expect(2)] == [small, large]
    hand.send_data(1, small)
    hand.send_data(2, large)
    assert hand.delivered(2) == [small, large]


def test_ignores_what_is_not_ip_on_either_side(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    for junk in (b"\x00" * 40, b"\x45" + bytes(8), b"\xff" * 3):
        hand.node.inject(junk)
    hand.node.inject(INNER)
    assert unseal(hand.key, hand.expect(1)[0]).payload == INNER
    for packet_id, junk in enumerate((b"\x00" * 40, b"\x45" + bytes(8), b"\xff" * 3), start=1):
        hand.send_data(packet_id, junk)
    hand.send_data(9, INWARD)
    assert hand.delivered(1) == [INWARD]


def test_without_a_tun_data_is_discarded_and_control_still_flows(made: Bench, engine: str) -> None:
    node = made.without_tun(engine, made.udp())
    hand = Hand(made, node, make_key("null"))
    add_peer(node, hand.endpoint, hand.key)
    set_keepalive(node, ping_interval=1)
    hand.send_data(1, INWARD)
    hand.send(b"\x20control")
    hand.settle(lambda: node.control, "a control packet")
    assert unseal(hand.key, hand.expect(1)[0]).payload == PING
    assert node.plane.stats(PEER).link_read_packets == 1


# --- keys and slots ----------------------------------------------------------------------------


def test_a_peer_without_keys_neither_sends_nor_receives(made: Bench, engine: str) -> None:
    node = made.node(engine, made.udp())
    hand = Hand(made, node, make_key("absent"))
    add_peer(node, hand.endpoint)
    hand.send_data(1, INWARD)
    hand.dropped("no-key")
    node.inject(INNER)
    hand.dropped("no-key", 2)
    node.plane.new_key(PEER, KeySlot.PRIMARY, hand.key)
    node.inject(OTHER)
    assert unseal(hand.key, hand.expect(1)[0]).payload == OTHER
    hand.send_data(1, INWARD)
    assert hand.delivered(1) == [INWARD]


def test_opens_with_the_key_of_the_packets_key_id(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    second = make_key("second", key_id=1)
    hand.node.plane.new_key(PEER, KeySlot.SECONDARY, second)
    hand.send(seal(second, 1, INWARD))
    hand.send_data(1, INWARD6)
    assert hand.delivered(2) == [INWARD, INWARD6]
    hand.send(seal(make_key("third", key_id=2), 1, INWARD))
    hand.dropped("no-key")
    hand.node.inject(INNER)
    assert unseal(hand.key, hand.expect(1)[0]).header.key_id == 0


def test_swapping_changes_the_sealing_key_at_once(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    second = make_key("second", key_id=1)
    hand.node.plane.new_key(PEER, KeySlot.SECONDARY, second)
    hand.node.plane.swap_keys(PEER)
    hand.node.inject(INNER)
    assert unseal(second, hand.expect(1)[0]).packet_id == 1
    hand.send_data(1, INWARD)
    assert hand.delivered(1) == [INWARD]
    hand.node.plane.swap_keys(PEER)
    hand.node.inject(OTHER)
    assert unseal(hand.key, hand.expect(2)[1]).packet_id == 1


def test_a_key_keeps_its_packet_ids_and_window_when_swapped(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    hand.node.inject(INNER)
    hand.expect(1)
    hand.send_data(1, INWARD)
    hand.delivered(1)
    hand.node.plane.new_key(PEER, KeySlot.SECONDARY, make_key("second", key_id=1))
    hand.node.plane.swap_keys(PEER)
    hand.node.plane.swap_keys(PEER)
    hand.send_data(1, INWARD)
    hand.dropped("replay")
    hand.node.inject(OTHER)
    assert unseal(hand.key, hand.expect(2)[1]).packet_id == 2


def test_a_deleted_key_opens_nothing(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    second = make_key("second", key_id=1)
    hand.node.plane.new_key(PEER, KeySlot.SECONDARY, second)
    hand.node.plane.del_key(PEER, KeySlot.SECONDARY)
    hand.node.plane.del_key(PEER, KeySlot.SECONDARY)
    hand.send(seal(second, 1, INWARD))
    hand.dropped("no-key")
    hand.send_data(1, INWARD)
    assert hand.delivered(1) == [INWARD]


def test_a_new_key_replaces_what_the_slot_held(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    hand.send_data(1, INWARD)
    hand.delivered(1)
    fresh = make_key("fresh", key_id=0, cipher=DataCipher.CHACHA20_POLY1305)
    hand.node.plane.new_key(PEER, KeySlot.PRIMARY, fresh)
    hand.send_data(2, INWARD)
    hand.dropped("auth")
    hand.send(seal(fresh, 1, INWARD6))
    assert hand.delivered(2) == [INWARD, INWARD6]
    hand.node.inject(INNER)
    assert unseal(fresh, hand.expect(1)[0]).packet_id == 1


# --- replay, order, tampering ------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.value)
def test_every_packet_passes_once(made: Bench, engine: str, layout: DataFormat) -> None:
    hand = facing(made, engine, key=make_key("once", layout=layout))
    for _ in range(2):
        for packet_id in (1, 3, 2):
            hand.send_data(packet_id, INWARD)
    hand.dropped("replay", 3)
    assert hand.delivered(3) == [INWARD] * 3


def replay_cases() -> list[dict[str, object]]:
    """Cases of the vectors that need no clock."""
    cases: list[dict[str, object]] = json.loads((VECTORS / "replay/window.json").read_text())[
        "cases"
    ]
    return [case for case in cases if all(not at for at, _, _ in steps_of(case))]


def steps_of(case: dict[str, object]) -> list[tuple[float, int, bool]]:
    steps = case["steps"]
    assert isinstance(steps, list)
    return [(step["at"], step["id"], step["accept"]) for step in steps]


@pytest.mark.parametrize("case", replay_cases(), ids=lambda case: str(case["name"]))
@pytest.mark.parametrize("layout", [DataFormat.V2, DataFormat.EPOCH], ids=lambda it: it.value)
def test_the_replay_window_follows_the_vectors(
    made: Bench, engine: str, layout: DataFormat, case: dict[str, object]
) -> None:
    window, seconds = case["window"], case["time"]
    assert isinstance(window, int)
    assert isinstance(seconds, int)
    key = make_key("vectors", layout=layout)
    hand = facing(made, engine, key=key, replay_window=window, replay_time=seconds)
    accepted = refused = 0
    for _, packet_id, accept in steps_of(case):
        hand.send_data(packet_id, INWARD)
        accepted, refused = accepted + accept, refused + (not accept)
        hand.delivered(accepted)
        hand.dropped("replay", refused) if refused else None
    assert len(hand.node.delivered) == accepted
    assert hand.node.drops().get("replay", 0) == refused


def negative_cases() -> list[dict[str, str | int]]:
    return [
        case
        for layout in AEAD_FORMATS
        for case in json.loads((VECTORS / f"negative/{layout.value}.json").read_text())["cases"]
    ]


@pytest.mark.parametrize("case", negative_cases(), ids=lambda it: f"{it['format']} {it['name']}")
def test_spoiled_packets_are_dropped_and_counted(
    made: Bench, engine: str, case: dict[str, str | int]
) -> None:
    hand = facing(made, engine, key=key_of(case))
    hand.send(bytes.fromhex(str(case["packet"])))
    reason = str(case["reason"])
    if len(str(case["packet"])) // 2 >= 4:
        hand.dropped(reason)
        assert hand.node.drops() == {reason: 1}
    hand.send_data(7, INWARD)
    assert hand.delivered(1) == [INWARD]


@pytest.mark.parametrize("name", ["v1", "v2", "epoch", "openvpn"])
def test_opens_every_packet_of_the_vectors(made: Bench, engine: str, name: str) -> None:
    hand = facing(made, engine)
    cases = json.loads((VECTORS / f"{name}.json").read_text())["cases"]
    for count, case in enumerate(
        (case for case in cases if case.get("epoch", 1) <= FUTURE_EPOCHS), start=1
    ):
        hand.node.plane.new_key(PEER, KeySlot.PRIMARY, key_of(case))
        hand.send(bytes.fromhex(case["packet"]))
        hand.settle(
            lambda count=count: hand.node.plane.stats(PEER).link_read_packets == count,  # type: ignore[misc] # mypy sees no type for a defaulted lambda
            f"{case['name']}, {case['format']}",
        )
    assert set(hand.node.drops()) <= {"not-ip"}


def key_of(case: dict[str, str | int]) -> DataKey:
    """The receiving key of a vector; the sending half does not matter."""
    key = make_key("vector", cipher=DataCipher(case["cipher"]), layout=DataFormat(case["format"]))
    half = DirectionKey(
        cipher_key=Secret(bytes.fromhex(str(case["cipher_key"]))),
        implicit_iv=Secret(bytes.fromhex(str(case["implicit_iv"]))),
    )
    return DataKey(
        key_id=KeyId(int(case["key_id"])),
        cipher=key.cipher,
        format=key.format,
        send=key.send,
        receive=half,
    )


def test_a_forged_packet_does_not_use_up_its_id(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    genuine = seal(hand.key, 4000, INWARD)
    hand.send(genuine[:-1] + bytes((genuine[-1] ^ 1,)))
    hand.dropped("auth")
    hand.send_data(1, INWARD6)
    hand.send(genuine)
    assert hand.delivered(2) == [INWARD6, INWARD]


def test_garbage_never_disturbs_the_tunnel(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    for opcode in (6, 9):
        for key_id in range(8):
            for length in (0, 1, 3, 4, 7, 20, 24, 25, 28, 1500):
                hand.send(bytes((opcode << 3 | key_id,)) + b"\xa5" * length)
        hand.node.turn()
    hand.send(b"")
    hand.send_data(1, INWARD)
    assert hand.delivered(1) == [INWARD]
    assert hand.node.control == []


# --- addresses ---------------------------------------------------------------------------------


def test_data_from_another_address_is_dropped(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    stranger = Hand(made, hand.node, hand.key)
    stranger.send_data(1, INWARD)
    stranger.dropped("source")
    hand.send_data(1, INWARD)
    assert hand.delivered(1) == [INWARD]
    assert hand.node.reports == []


def test_floats_only_after_a_packet_authenticated(made: Bench, engine: str) -> None:
    hand = facing(made, engine, allow_float=True)
    moved = Hand(made, hand.node, hand.key)
    spoiled = bytearray(seal(hand.key, 1, INWARD))
    spoiled[-1] ^= 1
    moved.send(bytes(spoiled))
    moved.dropped("auth")
    hand.node.inject(INNER)
    assert unseal(hand.key, hand.expect(1)[0]).payload == INNER
    moved.send_data(1, INWARD)
    report = moved.reported(NotificationKind.FLOATED)
    assert (report.peer_id, report.remote) == (PEER, moved.endpoint)
    assert hand.delivered(1) == [INWARD]
    hand.node.inject(OTHER)
    assert unseal(hand.key, moved.expect(1)[0]).payload == OTHER
    assert len(hand.collect()) == 1


def test_a_replayed_packet_does_not_move_the_peer(made: Bench, engine: str) -> None:
    hand = facing(made, engine, allow_float=True)
    hand.send_data(1, INWARD)
    hand.delivered(1)
    thief = Hand(made, hand.node, hand.key)
    thief.send_data(1, INWARD)
    thief.dropped("replay")
    hand.node.inject(INNER)
    hand.expect(1)
    assert hand.node.kinds() == []
    assert thief.collect() == []


# --- control packets ---------------------------------------------------------------------------


@pytest.mark.parametrize("family", [4, 6])
def test_control_packets_come_up_whole_with_their_source(
    made: Bench, engine: str, family: int
) -> None:
    hand = facing(made, engine, family=family)
    stranger = Hand(made, hand.node, hand.key, family)
    hand.send(b"\x20" + b"c" * 1200)
    hand.settle(lambda: len(hand.node.control) == 1, "the first control packet")
    stranger.send(b"\x38reset")
    hand.settle(lambda: len(hand.node.control) == 2, "the stranger's packet")
    first, second = hand.node.control
    assert (first.payload, first.source) == (b"\x20" + b"c" * 1200, hand.endpoint)
    assert (second.payload, second.source) == (b"\x38reset", stranger.endpoint)


def test_a_control_packet_that_no_peer_would_send_is_not_kept(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    longest = b"\x20".ljust(4096, b"x")
    hand.send(longest + b"x")
    hand.send(longest)
    hand.settle(lambda: hand.node.control, "the packet")
    assert [packet.payload for packet in hand.node.control] == [longest]


def test_control_packets_wait_for_their_reader_in_order(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    sent = [b"\x20" + bytes((number,)) for number in range(40)]
    for packet in sent:
        hand.send(packet)
    taken: list[bytes] = []

    def drained() -> bool:
        got = hand.node.plane.recv_control(3)
        assert len(got) <= 3
        taken.extend(packet.payload for packet in got)
        return len(taken) + len(hand.node.control) >= len(sent)

    hand.node.turn()
    hand.settle(drained, "all control packets")
    assert sorted(taken + [packet.payload for packet in hand.node.control]) == sent


def test_sends_control_packets_as_they_are(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    stranger = Hand(made, hand.node, hand.key)
    hand.node.plane.send_control(control(b"\x20to the peer", hand))
    hand.node.plane.send_control(control(b"\x40to a stranger", stranger))
    assert hand.expect(1) == [b"\x20to the peer"]
    assert stranger.expect(1) == [b"\x40to a stranger"]


def test_fileno_is_readable_exactly_while_something_waits(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    poller = select.poll()
    poller.register(hand.node.plane.fileno(), select.POLLIN)
    hand.node.turn()
    assert poller.poll(50) == []
    hand.send(b"\x20one")
    hand.send(b"\x20two")
    seen: list[bytes] = []
    deadline = time.monotonic() + 40
    while len(seen) < 2 and time.monotonic() < deadline:
        assert poller.poll(5000), "a control packet waits"
        seen += [packet.payload for packet in hand.node.plane.recv_control(1)]
    assert seen == [b"\x20one", b"\x20two"]
    hand.node.turn()
    assert poller.poll(50) == []


def test_unreachable_targets_are_not_fatal(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    gone = Hand(made, hand.node, hand.key)
    nowhere = control(b"\x20nobody", gone)
    gone.socket.close()
    for _ in range(3):
        hand.node.plane.send_control(nowhere)
    huge = control(b"\x20" + bytes(65535), hand)
    hand.node.plane.send_control(huge)
    hand.send_data(1, INWARD)
    assert hand.delivered(1) == [INWARD]
    assert hand.node.reports == []
