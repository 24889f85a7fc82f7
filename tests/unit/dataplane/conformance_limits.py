"""What every data plane must count, time, route and refuse over UDP: one engine, a hand-made peer.

The other half of ``conformance``, which has packets, keys and addresses.
"""

import select
import time
from ipaddress import ip_network

import pytest

from ginnel.core.data_key import DataCipher, DataFormat, DataKey, KeySlot
from ginnel.core.errors import DataPlaneError
from ginnel.core.types import PeerId, Transmit, Transport
from ginnel.dataplane import formats
from ginnel.dataplane.api import PING, Keepalive, Link, NotificationKind, PeerConfig, TunDevice
from tests.unit.dataplane.conformance import (
    INNER,
    INWARD,
    INWARD6,
    OCC_EXIT,
    OTHER,
    facing,
)
from tests.unit.dataplane.inner_packets import (
    ACK,
    SYN,
    mss_option,
    tcp_packet,
    transport_checksum_is_right,
    udp_packet,
)
from tests.unit.dataplane.rig import (
    PEER,
    Bench,
    Hand,
    add_peer,
    control,
    descriptors,
    endpoint,
    make_key,
    new_plane,
    reversed_key,
    seal,
    set_keepalive,
    settle,
    unseal,
)

# --- timers ------------------------------------------------------------------------------------


def test_pings_when_nothing_was_sent_and_consumes_pings(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    started = time.monotonic()
    set_keepalive(hand.node, ping_interval=1)
    first, second = (unseal(hand.key, packet) for packet in hand.expect(2)[:2])
    assert (first.payload, second.payload) == (PING, PING)
    assert (first.packet_id, second.packet_id) == (1, 2)
    assert time.monotonic() - started >= 1.5
    hand.send_data(1, PING)
    hand.send_data(2, INWARD)
    assert hand.delivered(1) == [INWARD]
    stats = hand.node.plane.stats(PEER)
    assert (stats.link_read_packets, stats.tun_write_packets) == (2, 1)


def test_traffic_puts_off_the_ping(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    set_keepalive(hand.node, ping_interval=1)
    end = time.monotonic() + 2.2

    def talk() -> bool:
        sent = len(hand.collect())
        hand.node.inject(INNER)
        hand.settle(lambda: len(hand.collect()) > sent, "the packet just injected")
        return time.monotonic() >= end

    hand.settle(talk, "two seconds of traffic")
    assert {unseal(hand.key, packet).payload for packet in hand.collect()} == {INNER}


def test_reports_silence_once_and_only_when_it_is_silent(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    set_keepalive(hand.node, ping_timeout=1)
    started = time.monotonic()
    hand.settle(lambda: time.monotonic() > started + 0.3, "a third of the time")
    sent = time.monotonic()
    hand.send_data(1, PING)
    hand.settle(lambda: hand.node.plane.stats(PEER).link_read_packets, "the ping")
    heard = time.monotonic()
    report = hand.reported(NotificationKind.SILENT)
    assert report.peer_id == PEER
    assert time.monotonic() - sent >= 0.9
    hand.settle(lambda: time.monotonic() > heard + 3.2, "two more time-outs")
    assert hand.node.kinds() == [NotificationKind.SILENT]


def test_packets_that_do_not_authenticate_do_not_break_the_silence(
    made: Bench, engine: str
) -> None:
    hand = facing(made, engine)
    set_keepalive(hand.node, ping_timeout=1)
    forged = bytearray(seal(hand.key, 1, INWARD))
    forged[-1] ^= 1
    started = time.monotonic()

    def forge() -> bool:
        hand.send(bytes(forged))
        return NotificationKind.SILENT in hand.node.kinds()

    hand.settle(forge, "silence in spite of forged packets")
    assert time.monotonic() - started >= 0.9


def test_setting_the_limits_restarts_their_timers(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    started = time.monotonic()
    while time.monotonic() < started + 1.5:
        set_keepalive(hand.node, ping_timeout=1)
        hand.node.turn()
    assert hand.node.kinds() == []
    set_keepalive(hand.node)
    hand.settle(lambda: time.monotonic() > started + 3.0, "a second and a half without limits")
    assert hand.node.kinds() == []


def test_reports_inactivity_by_bytes_across_tun(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    set_keepalive(hand.node, inactive_seconds=1, inactive_bytes=10 * len(INWARD), ping_interval=1)
    started = time.monotonic()
    sent = 0

    def busy() -> bool:
        nonlocal sent
        for _ in range(10):
            sent += 1
            hand.send_data(sent, INWARD)
        hand.delivered(sent)
        return time.monotonic() > started + 2.2

    hand.settle(busy, "two seconds of traffic")
    assert hand.node.kinds() == []
    quiet = time.monotonic()

    def nearly_idle() -> bool:
        hand.send(seal(hand.key, 100000 + int((time.monotonic() - started) * 2), PING))
        return NotificationKind.INACTIVE in hand.node.kinds()

    hand.settle(nearly_idle, "inactivity in spite of pings")
    assert time.monotonic() - quiet >= 0.8
    assert hand.node.kinds() == [NotificationKind.INACTIVE]


# --- OCC, statistics, routes -------------------------------------------------------------------


def test_occ_messages_go_up_and_down(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    hand.send_data(1, OCC_EXIT)
    report = hand.reported(NotificationKind.OCC)
    assert (report.peer_id, report.payload) == (PEER, OCC_EXIT)
    hand.node.plane.send_inner(PEER, OCC_EXIT)
    assert unseal(hand.key, hand.expect(1)[0]).payload == OCC_EXIT
    assert hand.node.delivered == []


def test_a_flood_of_occ_messages_is_bounded(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    total = 3000
    for packet_id in range(1, total + 1):
        hand.send_data(packet_id, OCC_EXIT)
        if packet_id % 50 == 0:
            read = packet_id - 10
            wait_for_reads(hand, read)
    reports = hand.node.plane.notifications()
    assert 1 <= len(reports) < 1000
    hand.send_data(total + 1, INWARD)
    assert hand.delivered(1) == [INWARD]


def wait_for_reads(hand: Hand, count: int) -> None:
    """Waits until the engine read that many packets, without taking its reports."""
    deadline = time.monotonic() + 40
    while hand.node.plane.stats(PEER).link_read_packets < count:
        assert time.monotonic() < deadline, "the engine does not read"
        hand.node.plane.recv_control(1)


def test_send_inner_without_a_key_does_nothing(made: Bench, engine: str) -> None:
    node = made.node(engine, made.udp())
    hand = Hand(made, node, make_key("absent"))
    add_peer(node, hand.endpoint)
    node.plane.send_inner(PEER, OCC_EXIT)
    node.plane.send_control(control(b"\x20marker", hand))
    assert hand.expect(1) == [b"\x20marker"]


def test_counts_bytes_and_packets_of_both_sides(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    for inner in (INNER, OTHER):
        hand.node.inject(inner)
    outer = sum(map(len, hand.expect(2)))
    for packet_id in (1, 2, 3):
        hand.send_data(packet_id, INWARD)
    hand.delivered(3)
    stats = hand.node.plane.stats(PEER)
    assert (stats.tun_read_packets, stats.tun_read_bytes) == (2, len(INNER) + len(OTHER))
    assert (stats.link_write_packets, stats.link_write_bytes) == (2, outer)
    assert (stats.tun_write_packets, stats.tun_write_bytes) == (3, 3 * len(INWARD))
    assert stats.link_read_packets == 3
    assert stats.link_read_bytes == 3 * len(seal(hand.key, 1, INWARD))
    hand.node.plane.new_key(PEER, KeySlot.PRIMARY, make_key("later"))
    assert hand.node.plane.stats(PEER).tun_read_packets == 2


def test_the_longest_prefix_finds_the_peer(made: Bench, engine: str) -> None:
    node = made.node(engine, made.udp())
    hands = {}
    prefixes = {
        1: ("10.0.0.0/8", "fd00::/16"),
        2: ("10.8.0.0/16", "fd00:8::/32"),
        3: ("10.8.0.7/32", "fd00:8::7/128"),
    }
    for number, routes in prefixes.items():
        key = make_key(f"peer {number}")
        hands[number] = Hand(made, node, key)
        add_peer(node, hands[number].endpoint, key, peer_id=PeerId(number), routes=routes)
    targets = {
        1: ("10.9.0.1", "fd00:9::1"),
        2: ("10.8.0.1", "fd00:8::1"),
        3: ("10.8.0.7", "fd00:8::7"),
    }
    for number, (target, target6) in targets.items():
        inner = [
            udp_packet("10.8.0.99", target, b"four"),
            udp_packet("fd00:8::99", target6, b"six"),
        ]
        for packet in inner:
            node.inject(packet)
        settle([node], lambda it=number: len(hands[it].collect()) >= 2, f"peer {number}")  # type: ignore[misc] # mypy sees no type for a defaulted lambda
        opened = [unseal(hands[number].key, packet) for packet in hands[number].received]
        assert [packet.payload for packet in opened] == inner
        assert {packet.header.peer_id for packet in opened} == {number}
    node.inject(udp_packet("10.8.0.99", "192.0.2.1", b"nobody"))
    node.plane.del_peer(PeerId(3))
    node.inject(udp_packet("10.8.0.99", "10.8.0.7", b"left"))
    settle([node], lambda: len(hands[2].collect()) >= 3, "the next best peer")
    assert [len(hand.collect()) for hand in hands.values()] == [2, 3, 2]


def test_the_peer_id_finds_the_sender(made: Bench, engine: str) -> None:
    node = made.node(engine, made.udp())
    keys = {number: make_key(f"peer {number}") for number in (1, 2)}
    hands = {number: Hand(made, node, key) for number, key in keys.items()}
    for number, hand in hands.items():
        add_peer(node, hand.endpoint, hand.key, peer_id=PeerId(number), routes=())
    hands[2].send(seal(keys[2], 1, INWARD, peer_id=2))
    hands[1].send(seal(keys[1], 1, INWARD6, peer_id=1))
    settle([node], lambda: len(node.delivered) >= 2, "both packets")
    assert sorted(node.delivered) == sorted([INWARD, INWARD6])
    hands[2].send(seal(keys[2], 2, INWARD, peer_id=1))
    settle([node], lambda: node.drops(PeerId(1)).get("source"), "a drop at the wrong peer")
    hands[1].send(seal(keys[1], 2, INWARD, peer_id=77))
    hands[1].send(seal(keys[1], 3, INWARD6, peer_id=1))
    settle([node], lambda: len(node.delivered) >= 3, "the packet after the unknown peer-id")
    assert node.delivered[2] == INWARD6


# --- MSS, recursion ----------------------------------------------------------------------------

NOP = b"\x01"


@pytest.mark.parametrize(
    "way",
    [("10.8.0.6", "10.8.0.1", 1300), ("fd00:8::6", "fd00:8::1", 1280)],
    ids=["ipv4", "ipv6"],
)
@pytest.mark.parametrize("flags", [SYN, SYN | ACK], ids=["syn", "syn-ack"])
def test_clamps_the_mss_of_syns_both_ways(
    made: Bench, engine: str, way: tuple[str, str, int], flags: int
) -> None:
    source, target, limit = way
    hand = facing(made, engine, mss_ipv4=1300, mss_ipv6=1280)
    for number, options in enumerate(
        [
            mss_option(1460),
            NOP + mss_option(1460) + NOP * 3 + b"\x03\x03\x07",
            NOP * 3 + mss_option(9000),
        ],
        start=1,
    ):
        before = tcp_packet(source, target, flags=flags, options=options)
        clamped = options.replace(mss_option(1460), mss_option(limit)).replace(
            mss_option(9000), mss_option(limit)
        )
        expected = tcp_packet(source, target, flags=flags, options=clamped)
        hand.node.inject(before)
        sent = unseal(hand.key, hand.expect(number)[-1]).payload
        assert sent == expected
        assert transport_checksum_is_right(sent)
        hand.send_data(number, before)
        assert hand.delivered(number)[-1] == expected


def test_the_mss_limits_change_while_packets_go_on(made: Bench, engine: str) -> None:
    hand = facing(made, engine, mss_ipv4=1300, mss_ipv6=1280)
    hand.node.plane.set_path(PEER, (1200, 1180), None)
    for number, (source, target, limit) in enumerate(
        [("10.8.0.6", "10.8.0.1", 1200), ("fd00:8::6", "fd00:8::1", 1180)], start=1
    ):
        hand.node.inject(tcp_packet(source, target, flags=SYN, options=mss_option(1460)))
        sent = unseal(hand.key, hand.expect(number)[-1]).payload
        assert sent == tcp_packet(source, target, flags=SYN, options=mss_option(limit))
    with pytest.raises(DataPlaneError):
        hand.node.plane.set_path(PeerId(77), (1200, 1180), None)


def test_a_packet_too_long_for_the_path_is_reported_once_a_second(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    for _ in range(3):  # with what sealing adds, longer than any datagram
        hand.node.inject(udp_packet("10.8.0.6", "10.8.0.1", bytes(65_500)))
        hand.node.turn()
    hand.dropped("link-emsgsize", 3)
    (report,) = hand.node.reports
    assert (report.kind, report.peer_id, report.remote) == (
        NotificationKind.TOO_LONG,
        PEER,
        hand.endpoint,
    )


def test_leaves_alone_what_needs_no_clamping(made: Bench, engine: str) -> None:
    hand = facing(made, engine, mss_ipv4=1300)
    source, target = "10.8.0.6", "10.8.0.1"
    untouched = [
        tcp_packet(source, target, options=mss_option(1300)),
        tcp_packet(source, target, options=mss_option(536)),
        tcp_packet(source, target, options=b"\x08\x0a" + bytes(8)),
        tcp_packet(source, target, flags=ACK, options=mss_option(1460)),
        tcp_packet(source, target, options=b"\x02\x00\x05\xb4"),
        tcp_packet(source, target, options=b"\x02\x03\x05\xb4"),
        tcp_packet(source, target, options=NOP * 3 + b"\x02"),
        tcp_packet(source, target, options=mss_option(1460))[:-2],
        tcp_packet("fd00:8::6", "fd00:8::1", options=mss_option(1460)),
        udp_packet(source, target, mss_option(1460) * 6),
    ]
    for number, inner in enumerate(untouched, start=1):
        hand.node.inject(inner)
        assert unseal(hand.key, hand.expect(number)[-1]).payload == inner
        hand.send_data(number, inner)
        assert hand.delivered(number)[-1] == inner


@pytest.mark.parametrize("family", [4, 6])
def test_drops_packets_that_would_carry_the_link_itself(
    made: Bench, engine: str, family: int
) -> None:
    hand = facing(made, engine, family=family)
    near, far = ("10.8.0.6", "127.0.0.1") if family == 4 else ("fd00:8::6", "::1")
    looping = udp_packet(near, far, b"loop", port=hand.endpoint.port)
    hand.node.inject(looping)
    hand.dropped("recursive")
    hand.node.inject(INNER)
    assert unseal(hand.key, hand.expect(1)[0]).payload == INNER


def test_recursion_can_be_allowed(made: Bench, engine: str) -> None:
    hand = facing(made, engine, drop_recursive=False)
    looping = udp_packet("10.8.0.6", "127.0.0.1", b"loop", port=hand.endpoint.port)
    hand.node.inject(looping)
    assert unseal(hand.key, hand.expect(1)[0]).payload == looping


# --- epochs ------------------------------------------------------------------------------------


def test_follows_the_peer_to_a_later_epoch(made: Bench, engine: str) -> None:
    hand = facing(made, engine, key=make_key("epochs", layout=DataFormat.EPOCH))
    hand.send_data(1, INWARD, epoch=1)
    hand.delivered(1)
    hand.send_data(1, INWARD, epoch=3)
    hand.delivered(2)
    hand.node.inject(INNER)
    sent = unseal(hand.key, hand.expect(1)[0])
    assert (sent.epoch, sent.packet_id) == (3, 1)
    hand.send_data(2, INWARD, epoch=1)
    hand.delivered(3)
    hand.send_data(1, INWARD, epoch=1)
    hand.send_data(1, INWARD, epoch=3)
    hand.dropped("replay", 2)
    hand.send_data(1, INWARD, epoch=2)
    hand.dropped("no-key")
    hand.send_data(1, INWARD, epoch=19)
    hand.delivered(4)
    hand.send_data(1, INWARD, epoch=36)
    hand.dropped("no-key", 2)
    hand.send_data(9, INWARD, epoch=1)
    hand.dropped("no-key", 3)


def test_a_forged_later_epoch_changes_nothing(made: Bench, engine: str) -> None:
    hand = facing(made, engine, key=make_key("epochs", layout=DataFormat.EPOCH))
    forged = bytearray(seal(hand.key, 1, INWARD, epoch=5))
    forged[-1] ^= 1
    hand.send(bytes(forged))
    hand.dropped("auth")
    hand.node.inject(INNER)
    assert unseal(hand.key, hand.expect(1)[0]).epoch == 1
    hand.send_data(1, INWARD, epoch=5)
    assert hand.delivered(1) == [INWARD]


def test_epochs_near_their_end_ask_for_a_new_key_once(made: Bench, engine: str) -> None:
    key = make_key("epochs", layout=DataFormat.EPOCH, key_id=2)
    hand = facing(made, engine, key=key)
    chain, passed = key.receive.cipher_key, 0
    header = formats.encode_header_v2(key.key_id, PEER)
    for epoch in range(1, 0xF000 + 1):
        if epoch in (0xF000, 1) or epoch % 16 == 0:
            aead, iv = formats.epoch_key(chain, key.cipher)
            number = formats.EpochId(epoch, 1)
            hand.send(formats.seal_epoch(aead, iv, header, number, INWARD))
            passed += 1
            if epoch == 0xEFF0:
                hand.delivered(passed)
                assert hand.node.kinds() == []
            elif passed % 4 == 0:
                hand.delivered(passed)
        chain = formats.next_chain_secret(chain)
    hand.delivered(passed)
    report = hand.reported(NotificationKind.KEY_EXHAUSTED)
    assert (report.peer_id, report.key_id) == (PEER, 2)
    hand.node.inject(INNER)
    hand.expect(1)
    hand.send(b"\x20marker")
    hand.settle(lambda: hand.node.control, "the marker")
    assert hand.node.kinds() == [NotificationKind.KEY_EXHAUSTED]


# --- misuse and the end ------------------------------------------------------------------------


def test_unknown_peers_and_wrong_keys_are_refused(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    plane, nobody = hand.node.plane, PeerId(99)
    key = make_key("refused")
    with pytest.raises(DataPlaneError):
        plane.set_peer(nobody, Keepalive())
    with pytest.raises(DataPlaneError):
        plane.del_peer(nobody)
    with pytest.raises(DataPlaneError):
        plane.new_key(nobody, KeySlot.PRIMARY, key)
    with pytest.raises(DataPlaneError):
        plane.swap_keys(nobody)
    with pytest.raises(DataPlaneError):
        plane.del_key(nobody, KeySlot.PRIMARY)
    with pytest.raises(DataPlaneError):
        plane.add_iroute(nobody, ip_network("10.0.0.0/8"))
    with pytest.raises(DataPlaneError):
        plane.stats(nobody)
    with pytest.raises(DataPlaneError):
        plane.new_peer(PeerConfig(peer_id=PEER, send_peer_id=PEER, remote=hand.endpoint))
    short = make_key("short", cipher=DataCipher.AES_128_GCM)
    mismatched = DataKey(
        key_id=key.key_id,
        cipher=key.cipher,
        format=key.format,
        send=short.send,
        receive=short.receive,
    )
    with pytest.raises(DataPlaneError):
        plane.new_key(PEER, KeySlot.SECONDARY, mismatched)
    hand.send_data(1, INWARD)
    assert hand.delivered(1) == [INWARD]


def test_says_what_it_can(made: Bench, engine: str) -> None:
    capabilities = made.node(engine, made.udp()).plane.capabilities
    assert capabilities.name == engine
    assert capabilities.ciphers == frozenset(DataCipher)
    assert capabilities.formats == frozenset(DataFormat)
    assert capabilities.transports == frozenset(Transport)


def test_a_second_attach_replaces_the_link(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    fresh = made.udp()
    hand.node.plane.attach(Link(fd=fresh.fileno(), transport=Transport.UDP))
    hand.node.inject(INNER)
    hand.settle(hand.collect, "a packet from the new socket")
    hand.socket.sendto(seal(hand.key, 1, INWARD), fresh.getsockname())
    assert hand.delivered(1) == [INWARD]
    assert hand.node.reports == []


def test_a_deleted_peer_is_gone_and_may_come_back(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    hand.node.plane.del_peer(PEER)
    with pytest.raises(DataPlaneError):
        hand.node.plane.stats(PEER)
    add_peer(hand.node, hand.endpoint, make_key("again"))
    hand.send(seal(make_key("again"), 1, INWARD))
    assert hand.delivered(1) == [INWARD]
    assert hand.node.plane.stats(PEER).link_read_packets == 1


def test_close_is_final_and_idempotent(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    hand.node.plane.close()
    hand.node.plane.close()
    with pytest.raises(DataPlaneError):
        hand.node.plane.new_peer(PeerConfig(peer_id=PEER, send_peer_id=PEER, remote=None))
    hand.node.link.setblocking(False)
    hand.send(b"\x20still ours")
    poll_until_readable(hand)
    assert hand.node.link.recv(100) == b"\x20still ours"


def poll_until_readable(hand: Hand) -> None:
    poller = select.poll()
    poller.register(hand.node.link.fileno(), select.POLLIN)
    assert poller.poll(5000)


def test_sending_before_a_link_is_there_counts(made: Bench, engine: str) -> None:
    near, _ = made.tun_pair()
    device = TunDevice(fd=near.fileno(), name="tunX", mtu=1500, vnet_header=False)
    plane = new_plane(engine, device)
    made.on_close(plane.close)
    plane.new_peer(PeerConfig(peer_id=PEER, send_peer_id=PEER, remote=None))
    plane.send_control(Transmit(b"\x20control", None))
    plane.send_inner(PEER, formats.OCC_MAGIC)
    assert plane.unassigned_drops() == {"no-link": 1}


def test_leaves_no_descriptor_behind(made: Bench, engine: str) -> None:
    link = made.udp()
    near, _ = made.tun_pair()
    new_plane(engine, None).close()
    before = descriptors()
    for _ in range(5):
        plane = new_plane(
            engine, TunDevice(fd=near.fileno(), name="tunX", mtu=1500, vnet_header=False)
        )
        plane.attach(Link(fd=link.fileno(), transport=Transport.UDP))
        plane.attach(Link(fd=link.fileno(), transport=Transport.UDP))
        plane.new_peer(PeerConfig(peer_id=PEER, send_peer_id=PEER, remote=endpoint(link)))
        plane.new_key(PEER, KeySlot.PRIMARY, reversed_key(make_key("leak")))
        plane.close()
    assert descriptors() == before
