"""What every data plane must do for a server: many peers, many links, and who may send what."""

import errno
from ipaddress import IPv6Address, ip_address, ip_network

import pytest

from ginnel.core.data_key import DataFormat, KeySlot
from ginnel.core.errors import DataPlaneError, GinnelError
from ginnel.core.payload import PayloadTerms
from ginnel.core.types import Endpoint, Transmit, Transport
from ginnel.dataplane.api import (
    FIRST_LINK,
    PING,
    Keepalive,
    Link,
    LinkId,
    NotificationKind,
    PeerConfig,
    ServingRules,
)
from tests.unit.dataplane.inner_packets import udp_packet
from tests.unit.dataplane.rig import Bench, Hand, endpoint, make_key, receive, unseal, until
from tests.unit.dataplane.serving import HOST, Office, at

SOMEWHERE = "198.51.100.7"
HARD_RESET = b"\x38" + bytes(20)
CONTROL = b"\x20" + bytes(20)
BETWEEN = ServingRules(client_to_client=True)


def test_each_packet_of_the_host_goes_to_the_one_it_is_for(made: Bench, engine: str) -> None:
    office = Office(made, engine)
    first, second = office.client(), office.client()
    office.node.plane.add_iroute(second.peer_id, ip_network("192.168.7.0/24"))
    packets = [udp_packet(HOST, to, b"x") for to in (first.address, second.address, "192.168.7.9")]
    for packet in packets:
        office.node.inject(packet)
    six = udp_packet("fd00:8::1", first.address6, b"x")
    office.node.inject(six)
    first.gets(packets[0], six)
    second.gets(*packets[1:])
    office.node.inject(udp_packet(HOST, SOMEWHERE, b"x"))
    office.unassigned("no-route")
    office.node.plane.del_iroute(second.peer_id, ip_network("192.168.7.0/24"))
    office.node.plane.del_iroute(first.peer_id, ip_network("192.168.7.0/24"))
    office.node.inject(packets[2])
    office.unassigned("no-route", 2)


@pytest.mark.parametrize("layout", list(DataFormat)[:3], ids=lambda it: it.value)
def test_peers_are_told_apart_in_every_format(made: Bench, engine: str, layout: DataFormat) -> None:
    office = Office(made, engine)
    clients = [office.client(layout=layout) for _ in range(3)]
    sent = [client.sends_to(HOST, client.address.encode()) for client in clients]
    office.hands_out(*sent)
    counters = [office.node.plane.stats(client.peer_id) for client in clients]
    assert [stats.link_read_packets for stats in counters] == [1, 1, 1]
    assert [stats.tun_write_bytes for stats in counters] == [len(packet) for packet in sent]


def test_a_lone_peer_of_a_server_is_not_everybody(made: Bench, engine: str) -> None:
    office = Office(made, engine)
    office.client()
    other = Hand(made, office.node, make_key("stranger"))
    other.send(b"\x48\x00\x00\x09" + bytes(40))
    other.send(b"\x30" + bytes(40))
    office.unassigned("no-peer", 2)


def test_the_undefined_peer_id_leaves_the_address_to_tell(made: Bench, engine: str) -> None:
    office = Office(made, engine)
    first, _ = office.client(), office.client()
    packet = udp_packet(first.address, HOST, b"x")
    sealed = first.sealed(packet)
    first.hand.send(sealed[:1] + b"\xff\xff\xff" + sealed[4:])
    # The id is authenticated, so that such a packet fails as the one peer's, not as nobody's.
    first.dropped("auth")


def test_what_many_send_and_get_at_once_is_all_there_in_each_ones_order(
    made: Bench, engine: str
) -> None:
    office = Office(made, engine)
    clients = [office.client() for _ in range(3)]
    sent: dict[str, list[bytes]] = {client.address: [] for client in clients}
    for number in range(40):
        for client in clients:
            payload = bytes(number % 3 * 100) + number.to_bytes(2, "big")
            sent[client.address].append(client.sends_to(HOST, payload))
    office.settle(lambda: len(office.delivered) >= 120, "all at the device")
    for client in clients:
        own = ip_address(client.address).packed
        assert [it for it in office.delivered if it[12:16] == own] == sent[client.address]
    got: list[list[bytes]] = [[] for _ in clients]
    for number in range(40):
        for client, packets in zip(clients, got, strict=True):
            packets.append(udp_packet(HOST, client.address, number.to_bytes(2, "big")))
            office.node.inject(packets[-1])
        office.settle(lambda: True, "one turn")
    for client, packets in zip(clients, got, strict=True):
        client.gets(*packets)


# --- sources -----------------------------------------------------------------------------------


def test_a_source_that_is_not_the_peers_is_dropped_and_reported(made: Bench, engine: str) -> None:
    office = Office(made, engine)
    first, second = office.client(), office.client()
    for source in (second.address, SOMEWHERE, HOST):
        first.send(udp_packet(source, HOST, b"spoofed"))
    first.send(udp_packet(second.address6, "fd00:8::1", b"spoofed"))
    first.dropped("source-address", 4)
    report = office.reported(NotificationKind.BAD_SOURCE)
    assert (report.peer_id, report.payload) == (
        first.peer_id,
        ip_address(second.address).packed,
    )
    assert office.node.kinds() == [NotificationKind.BAD_SOURCE], "once a second is enough"
    genuine = first.sends_to(HOST)
    office.hands_out(genuine)
    assert office.node.plane.stats(first.peer_id).tun_write_packets == 1


def test_a_link_local_source_is_dropped_quietly(made: Bench, engine: str) -> None:
    office = Office(made, engine)
    first = office.client()
    first.send(udp_packet("fe80::1", "ff02::2", b"router solicitation"))
    first.dropped("source-address")
    assert office.node.kinds() == []


def test_what_is_behind_an_iroute_may_send(made: Bench, engine: str) -> None:
    office = Office(made, engine)
    first, second = office.client(), office.client()
    office.node.plane.add_iroute(first.peer_id, ip_network("192.168.0.0/16"))
    office.node.plane.add_iroute(second.peer_id, ip_network("192.168.7.0/24"))
    allowed = udp_packet("192.168.8.1", HOST, b"x")
    first.send(udp_packet("192.168.7.1", HOST, b"x"))
    first.send(allowed)
    office.hands_out(allowed)
    first.dropped("source-address")


# --- from client to client ---------------------------------------------------------------------


def test_without_client_to_client_the_kernel_decides(made: Bench, engine: str) -> None:
    office = Office(made, engine)
    first, second = office.client(), office.client()
    packet = first.sends_to(second.address)
    office.hands_out(packet)
    assert second.opened() == []


@pytest.mark.parametrize("family", [4, 6])
def test_with_it_packets_do_not_pass_the_device(made: Bench, engine: str, family: int) -> None:
    office = Office(made, engine, BETWEEN)
    first, second = office.client(), office.client()
    ends = (first.address, second.address) if family == 4 else (first.address6, second.address6)
    packet = udp_packet(*ends, b"across")
    first.send(packet)
    second.gets(packet)
    outside = first.sends_to(SOMEWHERE)
    office.hands_out(outside)
    assert first.opened() == []


def test_multicast_goes_to_all_others_and_to_the_host(made: Bench, engine: str) -> None:
    office = Office(made, engine, BETWEEN)
    clients = [office.client() for _ in range(3)]
    groups = [
        udp_packet(clients[0].address, "224.0.0.251", b"x"),
        udp_packet(clients[0].address6, "ff02::fb", b"x"),
    ]
    for group in groups:
        clients[0].send(group)
    for other in clients[1:]:
        other.gets(*groups)
    office.hands_out(*groups)
    assert clients[0].opened() == []


def test_a_flood_of_multicast_is_copied_no_more(made: Bench, engine: str) -> None:
    office = Office(made, engine, ServingRules(client_to_client=True, broadcast_limit=2))
    clients = [office.client() for _ in range(4)]
    groups = [udp_packet(clients[0].address, "224.0.0.251", bytes((n,))) for n in range(3)]
    for group in groups[:2]:
        clients[0].send(group)
    office.hands_out(*groups[:2])
    clients[0].dropped("broadcast-flood", 2)
    across = udp_packet(clients[0].address, clients[1].address, b"unicast goes on")
    clients[0].send(across)
    clients[1].gets(across)
    office.node.plane.del_peer(clients[3].peer_id)
    clients[0].send(groups[2])
    clients[1].gets(across, groups[2])
    clients[2].gets(groups[2])


def test_multicast_of_the_host_goes_to_all(made: Bench, engine: str) -> None:
    office = Office(made, engine)
    clients = [office.client() for _ in range(3)]
    group = udp_packet(HOST, "239.1.2.3", b"x")
    office.node.inject(group)
    for client in clients:
        client.gets(group)
    clients[0].sends_to("239.1.2.3")
    office.settle(lambda: office.delivered, "the packet at the host")
    assert [len(client.opened()) for client in clients] == [1, 1, 1]


def test_blocked_ipv6_is_answered_to_the_client(made: Bench, engine: str) -> None:
    office = Office(made, engine)
    first = office.client()
    terms = PayloadTerms(block_ipv6=IPv6Address("fe80::7"))
    office.node.plane.set_payload(first.peer_id, terms)
    first.send(udp_packet(first.address6, "2001:db8::1", b"x"))
    office.settle(first.opened, "the ICMPv6 error")
    (answer,) = first.opened()
    assert (answer[6], answer[40]) == (58, 1)
    first.dropped("blocked-ipv6")
    assert office.delivered == []


# --- links -------------------------------------------------------------------------------------


def test_several_datagram_links_answer_where_they_were_asked(made: Bench, engine: str) -> None:
    office = Office(made, engine)
    extra = made.udp(6)
    link = office.node.plane.add_link(Link(fd=extra.fileno(), transport=Transport.UDP))
    assert link != FIRST_LINK
    near, far = office.client(), Hand(made, office.node, make_key("six"), 6)
    far.socket.sendto(CONTROL + b"six", extra.getsockname())
    near.hand.send(CONTROL + b"four")
    office.settle(lambda: len(office.node.control) == 2, "both control packets")
    found = {packet.link: (packet.payload, packet.source) for packet in office.node.control}
    assert found == {
        FIRST_LINK: (CONTROL + b"four", near.hand.endpoint),
        link: (CONTROL + b"six", far.endpoint),
    }
    office.node.plane.send_control(Transmit(b"\x20answer", far.endpoint), link)
    office.settle(far.collect, "the answer")
    assert far.received == [b"\x20answer"]
    office.node.plane.remove_link(link)
    far.socket.sendto(CONTROL, extra.getsockname())
    with pytest.raises(DataPlaneError) as gone:
        office.node.plane.remove_link(link)
    assert gone.value.errno == errno.ENOENT
    office.node.plane.send_control(Transmit(b"\x20answer", far.endpoint), link)
    assert office.node.plane.add_link(Link(fd=extra.fileno(), transport=Transport.UDP)) > link


def test_only_a_server_has_several_links(made: Bench, engine: str) -> None:
    node = made.node(engine, made.udp())
    with pytest.raises(GinnelError):
        node.plane.add_link(Link(fd=made.udp().fileno(), transport=Transport.UDP))
    office = Office(made, engine)
    office.client()
    with pytest.raises(GinnelError):
        office.node.plane.serve(ServingRules())
    with pytest.raises(DataPlaneError) as nowhere:
        office.client(link=LinkId(77))
    assert nowhere.value.errno == errno.ENOTCONN


def test_a_client_floats_to_another_address_and_link(made: Bench, engine: str) -> None:
    office = Office(made, engine)
    extra = made.udp()
    link = office.node.plane.add_link(Link(fd=extra.fileno(), transport=Transport.UDP))
    client = office.client(allow_float=True)
    client.sends_to(HOST)
    office.settle(lambda: office.delivered, "a packet from the first address")
    moved = Hand(made, office.node, client.key)
    moved.socket.sendto(client.sealed(udp_packet(client.address, HOST, b"x")), at(extra))
    report = office.reported(NotificationKind.FLOATED)
    assert (report.peer_id, report.remote, report.link) == (client.peer_id, moved.endpoint, link)
    answer = udp_packet(HOST, client.address, b"x")
    office.node.inject(answer)
    office.settle(moved.collect, "the answer at the new address")
    assert unseal(client.key, moved.received[0]).payload == answer
    client.sends_to(HOST)
    office.settle(lambda: office.node.kinds().count(NotificationKind.FLOATED) == 2, "the return")
    assert office.node.reports[-1].link == FIRST_LINK


def test_nobody_floats_onto_another_clients_address(made: Bench, engine: str) -> None:
    office = Office(made, engine)
    first, second = office.client(allow_float=True), office.client(allow_float=True)
    packet = udp_packet(first.address, HOST, b"x")
    second.hand.send(first.sealed(packet))
    first.dropped("source")
    assert office.node.kinds() == []
    office.node.inject(udp_packet(HOST, second.address, b"x"))
    second.gets(udp_packet(HOST, second.address, b"x"))
    office.node.plane.del_peer(second.peer_id)
    second.hand.send(first.sealed(packet))
    office.hands_out(packet)
    assert office.reported(NotificationKind.FLOATED).remote == second.hand.endpoint


def test_an_address_may_be_taken_over_by_a_new_peer(made: Bench, engine: str) -> None:
    """A client that started anew: its new session exists before the old one is gone."""
    office = Office(made, engine)
    old = office.client(layout=DataFormat.V1)
    new = office.client(layout=DataFormat.V1)
    office.node.plane.del_peer(new.peer_id)
    office.node.plane.new_peer(
        PeerConfig(
            peer_id=new.peer_id, send_peer_id=new.peer_id, remote=old.hand.endpoint, mss_ipv4=0
        )
    )
    office.node.plane.del_peer(old.peer_id)
    old.hand.send(old.sealed(udp_packet(old.address, HOST, b"x")))
    new.dropped("no-key")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1"])
def test_a_multihomed_server_answers_from_where_it_was_asked(
    made: Bench, engine: str, address: str
) -> None:
    office = Office(made, engine, multihome=True)
    port = office.node.link.getsockname()[1]
    family = ip_address(address).version
    client = office.client()
    hand = Hand(made, office.node, client.key, family)
    office.node.plane.del_peer(client.peer_id)
    hand.socket.sendto(CONTROL, (address, port))
    office.settle(lambda: office.node.control, "the control packet")
    (packet,) = office.node.control
    assert (packet.local, packet.source) == (ip_address(address), hand.endpoint)
    office.node.plane.send_control(Transmit(b"\x20answer", hand.endpoint), FIRST_LINK, packet.local)
    office.node.plane.new_peer(
        PeerConfig(
            peer_id=client.peer_id,
            send_peer_id=client.peer_id,
            remote=hand.endpoint,
            local=packet.local,
        )
    )
    office.node.plane.add_iroute(client.peer_id, ip_network(client.address))
    office.node.plane.new_key(client.peer_id, KeySlot.PRIMARY, client.key)
    office.node.inject(udp_packet(HOST, client.address, b"x"))
    sources: list[object] = []

    def both() -> bool:
        try:
            sources.append(hand.socket.recvfrom(2048)[1][:2])
        except BlockingIOError:
            return False
        return len(sources) == 2

    office.settle(both, "control and data")
    assert sources == [(address, port)] * 2


# --- streams -----------------------------------------------------------------------------------


def test_streams_carry_control_and_data_each_of_its_own_peer(made: Bench, engine: str) -> None:
    office = Office(made, engine, BETWEEN)
    first, second = office.stream(), office.stream()
    datagrams = office.client()
    first.send_record(CONTROL + b"first")
    second.send_record(CONTROL + b"second")
    office.settle(lambda: len(office.node.control) == 2, "both control packets")
    found = {packet.link: packet.payload for packet in office.node.control}
    assert found == {first.link: CONTROL + b"first", second.link: CONTROL + b"second"}
    assert {packet.source for packet in office.node.control} == {None}
    office.node.plane.send_control(Transmit(b"\x20answer", None), second.link)
    office.settle(second.collect, "the answer")
    assert (second.records, first.collect()) == ([b"\x20answer"], [])
    across = udp_packet(first.client.address, second.client.address, b"x")
    mixed = udp_packet(second.client.address, datagrams.address, b"x")
    first.send(across)
    second.send(mixed)
    second.gets(across)
    datagrams.gets(mixed)


def test_a_stream_has_one_peer_whatever_its_packets_say(made: Bench, engine: str) -> None:
    office = Office(made, engine)
    first, second = office.stream(), office.client()
    first.send_record(second.sealed(udp_packet(second.address, HOST, b"x")))
    report = office.reported(NotificationKind.DECRYPT_ERROR)
    assert (report.peer_id, report.link) == (first.client.peer_id, first.link)
    assert office.delivered == []
    second.hand.send(first.client.sealed(udp_packet(first.client.address, HOST, b"x")))
    first.client.dropped("source")


def test_a_lost_stream_says_whose_it_was_and_leaves_the_others(made: Bench, engine: str) -> None:
    office = Office(made, engine)
    first, second = office.stream(), office.stream()
    first.socket.sendall(b"\x05\x00half a record")
    first.socket.close()
    report = office.reported(NotificationKind.LINK_LOST)
    assert (report.link, report.peer_id) == (first.link, first.client.peer_id)
    office.node.plane.del_peer(first.client.peer_id)
    packet = udp_packet(second.client.address, HOST, b"x")
    second.send(packet)
    office.hands_out(packet)
    assert office.node.kinds() == [NotificationKind.LINK_LOST]


def test_a_stream_with_a_bad_length_ends_alone(made: Bench, engine: str) -> None:
    office = Office(made, engine)
    first, second = office.stream(), office.stream()
    first.socket.sendall(b"\xff\xff garbage")
    assert office.reported(NotificationKind.LINK_LOST).link == first.link
    packet = udp_packet(second.client.address, HOST, b"x")
    second.send(packet)
    office.hands_out(packet)


def test_a_slow_stream_drops_and_stops_nobody(made: Bench, engine: str) -> None:
    office = Office(made, engine, ServingRules(tcp_queue_limit=8))
    slow, quick, datagrams = office.stream(sndbuf=4096), office.stream(), office.client()
    large = udp_packet(HOST, slow.client.address, bytes(1400))
    sent = 0
    while not slow.client.drops().get("link-full"):
        office.node.inject(large)
        sent += 1
        office.settle(lambda: True, "one turn")
        assert sent < 20_000, "a stream takes no more than its socket and its queue hold"
    packets = [udp_packet(HOST, one.client.address, b"x") for one in (quick,)]
    office.node.inject(packets[0])
    office.node.inject(udp_packet(HOST, datagrams.address, b"x"))
    quick.gets(packets[0])
    datagrams.gets(udp_packet(HOST, datagrams.address, b"x"))
    office.node.plane.send_control(Transmit(CONTROL, None), slow.link)
    office.settle(lambda: CONTROL in slow.collect(), "control, once the reader reads")
    dropped = slow.client.drops()["link-full"]
    office.settle(
        lambda: len(slow.opened()) >= sent - slow.client.drops()["link-full"], "what was kept"
    )
    opened = [unseal(slow.client.key, record) for record in slow.records if record != CONTROL]
    assert [packet.packet_id for packet in opened] == list(range(1, len(opened) + 1))
    assert dropped >= 1


def test_a_stream_that_was_read_before_goes_on(made: Bench, engine: str) -> None:
    office = Office(made, engine)
    near, far = made.tcp_pair()
    record = CONTROL + b"early"
    framed = len(record).to_bytes(2, "big") + record
    link = office.node.plane.add_link(
        Link(fd=near.fileno(), transport=Transport.TCP), unread=framed[:9], unsent=b"\x00\x02ab"
    )
    far.sendall(framed[9:])
    office.settle(lambda: office.node.control, "the packet")
    assert (office.node.control[0].payload, office.node.control[0].link) == (record, link)
    taken = bytearray()

    def arrived() -> bool:
        taken.extend(receive(far) or b"")
        return len(taken) >= 4

    office.settle(arrived, "what was begun")
    assert bytes(taken) == b"\x00\x02ab"


# --- timers and removal ------------------------------------------------------------------------


def test_each_peer_has_timers_of_its_own(made: Bench, engine: str) -> None:
    office = Office(made, engine)
    first, second, third = (office.client() for _ in range(3))
    office.node.plane.set_peer(first.peer_id, Keepalive(ping_interval=1))
    office.node.plane.set_peer(second.peer_id, Keepalive(ping_timeout=1))
    office.node.plane.set_peer(third.peer_id, Keepalive(ping_timeout=1))
    office.node.plane.del_peer(third.peer_id)
    first.gets(PING)
    assert office.reported(NotificationKind.SILENT).peer_id == second.peer_id
    assert office.node.kinds() == [NotificationKind.SILENT]


def test_a_peer_that_is_gone_is_forgotten_whole(made: Bench, engine: str) -> None:
    office = Office(made, engine)
    first, second = office.client(), office.client()
    office.node.plane.del_peer(first.peer_id)
    office.node.inject(udp_packet(HOST, first.address, b"x"))
    office.unassigned("no-route")
    first.sends_to(HOST)
    office.unassigned("no-peer")
    with pytest.raises(DataPlaneError) as unknown:
        office.node.plane.stats(first.peer_id)
    assert unknown.value.errno == errno.ENOENT
    packet = second.sends_to(HOST)
    office.hands_out(packet)


# --- floods ------------------------------------------------------------------------------------


def test_hard_resets_pass_as_often_as_they_may(made: Bench, engine: str) -> None:
    office = Office(made, engine)
    office.node.plane.limit_resets(3, 3600)
    stranger = Hand(made, office.node, make_key("stranger"))
    for _ in range(5):
        stranger.send(HARD_RESET)
    office.unassigned("hard-reset-flood", 2)
    office.node.plane.credit_resets(1)
    for _ in range(2):
        stranger.send(HARD_RESET)
    office.unassigned("hard-reset-flood", 3)
    office.settle(lambda: len(office.node.control) == 4, "those that passed")
    stream = office.stream()
    stream.send_record(HARD_RESET)
    office.settle(lambda: len(office.node.control) == 5, "that of a stream, which is no stranger")


def test_a_flood_of_strangers_shuts_no_peer_out(made: Bench, engine: str) -> None:
    office = Office(made, engine)
    client = office.client()
    plane = office.node.plane
    for number in range(1, 11):
        stranger = Hand(made, office.node, make_key("stranger"))
        for _ in range(40):
            stranger.send(CONTROL)
        stranger.send(b"\x48\x00\x0f\xff" + bytes(60))
        # Nobody takes control packets meanwhile, so that the strangers' share fills up.
        # One of them fills no more than its own share of that.
        kept = min(16 * number, 128)
        until(plane, lambda number=number: plane.unassigned_drops().get("no-peer") == number)  # type: ignore[misc] # mypy sees no type for a defaulted lambda
        assert plane.unassigned_drops()["control-full"] == 40 * number - kept
    client.hand.send(CONTROL + b"known")
    packet = client.sends_to(HOST)
    office.hands_out(packet)
    known = CONTROL + b"known"
    office.settle(
        lambda: known in [entry.payload for entry in office.node.control], "the peer's packet"
    )


def test_resets_that_find_no_room_do_not_count(made: Bench, engine: str) -> None:
    office = Office(made, engine)
    plane = office.node.plane
    plane.limit_resets(40, 3600)
    stranger = Hand(made, office.node, make_key("stranger"))
    for number in (1, 2):
        for _ in range(60):
            stranger.send(HARD_RESET)
        until(plane, lambda: plane.unassigned_drops().get("control-full") == number * 44)  # noqa: B023
        assert len(plane.recv_control(100)) == 16
    assert "hard-reset-flood" not in plane.unassigned_drops()


def test_addresses_of_either_kind_are_refused_as_remotes_of_nowhere(
    made: Bench, engine: str
) -> None:
    office = Office(made, engine)
    client = office.client()
    unreachable = Endpoint(ip_address("2001:db8::1"), 9)
    office.node.plane.send_control(Transmit(CONTROL, unreachable), FIRST_LINK)
    packet = client.sends_to(HOST)
    office.hands_out(packet)
    assert endpoint(office.node.link) == office.node.endpoint
