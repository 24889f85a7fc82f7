"""Whom a packet is for: learnt addresses, VLAN tags, packets for all."""

from ipaddress import ip_network

import pytest

from ginnel.core.types import PeerId
from ginnel.dataplane.api import NotificationKind, PeerConfig, ServingRules
from ginnel.dataplane.reference_inner import RouteTable
from ginnel.dataplane.reference_keys import Dropped
from ginnel.dataplane.reference_peer import ReferencePeer
from ginnel.dataplane.reference_switch import AddressTable, Switch, tag, tag_of, untag
from ginnel.options.server_model import VlanAccept, VlanOptions
from tests.unit.dataplane.inner_packets import udp_packet

MAC = bytes((2, 0, 0, 0, 0, 1))
OTHER_MAC = bytes((2, 0, 0, 0, 0, 2))
BROADCAST = b"\xff" * 6
BODY = b"\x08\x00" + bytes(46)
UNTAGGED = MAC + OTHER_MAC + BODY


def tagged(number: int) -> bytes:
    return UNTAGGED[:12] + b"\x81\x00" + number.to_bytes(2, "big") + BODY


def peer(number: int, max_learned: int = 2, vlan: int = 1) -> ReferencePeer:
    config = PeerConfig(
        peer_id=PeerId(number),
        send_peer_id=PeerId(number),
        remote=None,
        max_learned=max_learned,
        vlan=vlan,
    )
    return ReferencePeer(config, None, 0.0)


def test_addresses_are_learnt_move_and_age() -> None:
    table = AddressTable()
    first, second = peer(1), peer(2)
    assert table.learn(first, MAC, 0, 0.0, may_learn=True) is NotificationKind.LEARNED
    assert table.learn(first, MAC, 0, 5.0, may_learn=False) is None
    assert table.find(MAC, 0) == 1
    assert table.find(MAC, 7) is None
    assert table.learn(second, MAC, 0, 6.0, may_learn=True) is NotificationKind.RELEARNED
    with pytest.raises(Dropped):
        table.learn(first, MAC, 0, 6.5, may_learn=True)
    assert [(entry.peer_id, entry.age) for entry in table.all(9.0)] == [(2, 3)]
    assert table.forget_stale(10.0, 15.9, 9) == []
    assert table.forget_stale(10.0, 16.0, 0) == []
    (report,) = table.forget_stale(10.0, 16.0, 9)
    assert (report.kind, report.peer_id, report.payload) == (NotificationKind.FORGOTTEN, 2, MAC)
    assert table.find(MAC, 0) is None


def test_a_peer_fills_no_more_than_its_share() -> None:
    table = AddressTable()
    one = peer(1, max_learned=2)
    for number in (1, 2):
        table.learn(one, bytes((2, 0, 0, 0, 9, number)), 0, 0.0, may_learn=True)
    for address in (MAC, BROADCAST, bytes(6)):
        with pytest.raises(Dropped):
            table.learn(one, address, 0, 0.0, may_learn=True)
    with pytest.raises(Dropped):
        table.learn(peer(2), MAC, 0, 0.0, may_learn=False)
    table.remove_peer(PeerId(1))
    assert table.all(0.0) == []
    assert table.learn(one, MAC, 0, 0.0, may_learn=True) is NotificationKind.LEARNED


def test_tags_are_read_only_where_they_are_whole() -> None:
    assert tag_of(UNTAGGED) is None
    assert tag_of(tagged(0xE005)) == 5
    assert tag_of(tagged(0xE000)) == 0
    assert tag_of(tagged(5)[:15]) is None


@pytest.mark.parametrize(
    ("accept", "frame", "vlan"),
    [
        (VlanAccept.ALL, UNTAGGED, 9),
        (VlanAccept.ALL, tagged(5), 5),
        (VlanAccept.ALL, tagged(0xE000), 9),
        (VlanAccept.TAGGED, tagged(5), 5),
        (VlanAccept.TAGGED, UNTAGGED, None),
        (VlanAccept.TAGGED, tagged(0), None),
        (VlanAccept.UNTAGGED, UNTAGGED, 9),
        (VlanAccept.UNTAGGED, tagged(0), 9),
        (VlanAccept.UNTAGGED, tagged(5), None),
    ],
)
def test_what_the_device_may_send(accept: VlanAccept, frame: bytes, vlan: int | None) -> None:
    rules = VlanOptions(accept=accept, pvid=9)
    if vlan is None:
        with pytest.raises(Dropped):
            untag(frame, rules)
        return
    expected = UNTAGGED if tag_of(frame) else frame
    assert untag(frame, rules) == (expected, vlan)


def test_what_the_device_gets() -> None:
    everything = VlanOptions(accept=VlanAccept.ALL, pvid=9)
    assert tag(UNTAGGED, everything, 9) == UNTAGGED
    assert tag(UNTAGGED, everything, 5) == tagged(5)
    assert tag(tagged(0xE000), everything, 5) == tagged(0xE005)
    tagged_only = VlanOptions(accept=VlanAccept.TAGGED, pvid=9)
    assert tag(UNTAGGED, tagged_only, 9) == tagged(9)
    untagged_only = VlanOptions(accept=VlanAccept.UNTAGGED, pvid=9)
    assert tag(UNTAGGED, untagged_only, 9) == UNTAGGED
    assert tag(UNTAGGED, untagged_only, 5) is None


def test_a_route_decides_and_a_source_is_checked() -> None:
    routes = RouteTable()
    routes.add(ip_network("10.8.0.6/32"), PeerId(1))
    routes.add(ip_network("10.8.0.7/32"), PeerId(2))
    switch = Switch(ServingRules(), routes, is_ethernet=False)
    packet = udp_packet("10.8.0.6", "10.8.0.7", b"x")
    assert switch.from_device(packet).peer == 2
    assert switch.check_source(peer(1), packet, 0.0, may_learn=True) == []
    with pytest.raises(Dropped):
        switch.check_source(peer(2), packet, 0.0, may_learn=True)
    verdict = switch.from_peer(peer(1), packet)
    assert (verdict.peer, verdict.to_device) == (None, packet)
    between = Switch(ServingRules(client_to_client=True), routes, is_ethernet=False)
    verdict = between.from_peer(peer(1), packet)
    assert (verdict.peer, verdict.to_device) == (2, None)
    for target in ("224.0.0.251", "239.1.2.3"):
        group = udp_packet("10.8.0.6", target, b"x")
        assert switch.from_device(group).to_all
        assert not switch.from_peer(peer(1), group).to_all
        assert between.from_peer(peer(1), group).to_all
        assert between.from_peer(peer(1), group).to_device == group
    with pytest.raises(Dropped):
        switch.from_device(udp_packet("10.8.0.6", "10.9.0.1", b"x"))


def test_a_frame_goes_to_who_was_heard_in_its_vlan() -> None:
    rules = ServingRules(vlan=VlanOptions(accept=VlanAccept.ALL, pvid=1), client_to_client=True)
    switch = Switch(rules, RouteTable(), is_ethernet=True)
    first, second = peer(1, vlan=5), peer(2, vlan=6)
    (report,) = switch.check_source(first, OTHER_MAC + MAC + BODY, 0.0, may_learn=True)
    assert (report.payload, report.vlan) == (MAC, 5)
    with pytest.raises(Dropped):
        switch.check_source(second, tagged(3), 0.0, may_learn=True)
    assert switch.from_device(tagged(5)).peer == 1
    with pytest.raises(Dropped):
        switch.from_device(tagged(6))
    flood = switch.from_device(BROADCAST + tagged(6)[6:])
    assert switch.members(flood, [first, second], None) == [second]
    assert switch.from_peer(second, UNTAGGED).to_device == tagged(6)
