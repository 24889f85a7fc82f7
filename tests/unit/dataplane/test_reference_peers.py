"""The table of peers: places and deadlines."""

import pytest

from ginnel.core.errors import DataPlaneError
from ginnel.core.types import PeerId
from ginnel.dataplane.api import FIRST_LINK, Keepalive, LinkId, PeerConfig
from ginnel.dataplane.reference_link import SocketAddress
from ginnel.dataplane.reference_peer import ReferencePeer
from ginnel.dataplane.reference_peers import Peers

HERE: SocketAddress = ("192.0.2.1", 1194)
THERE: SocketAddress = ("192.0.2.2", 1194)


def peer(number: int, address: SocketAddress | None = None) -> ReferencePeer:
    config = PeerConfig(peer_id=PeerId(number), send_peer_id=PeerId(number), remote=None)
    made = ReferencePeer(config, None, 0.0)
    made.address = address
    return made


def test_peers_are_found_by_where_they_are_on_which_link() -> None:
    peers = Peers()
    first, second = peer(1, HERE), peer(2, THERE)
    peers.add(first)
    assert peers.lone() is first
    peers.add(second)
    assert peers.lone() is None
    assert peers.at(FIRST_LINK, HERE) is first
    assert peers.at(LinkId(1), HERE) is None
    peers.move(first, LinkId(1), HERE)
    assert peers.at(FIRST_LINK, HERE) is None
    assert peers.at(LinkId(1), HERE) is first
    peers.remove(PeerId(1))
    assert peers.at(LinkId(1), HERE) is None
    assert peers.get(PeerId(1)) is None
    with pytest.raises(DataPlaneError):
        peers.add(peer(2))


def test_an_address_is_the_last_ones_and_outlives_the_other() -> None:
    peers = Peers()
    old, new = peer(1, HERE), peer(2, HERE)
    peers.add(old)
    peers.add(new)
    assert peers.at(FIRST_LINK, HERE) is new
    peers.remove(PeerId(1))
    assert peers.at(FIRST_LINK, HERE) is new


def test_a_peer_of_a_stream_is_found_by_the_stream() -> None:
    peers = Peers()
    one = peer(1)
    peers.add(one)
    assert peers.at(LinkId(7), None) is None
    one.on_stream = True
    peers.move(one, LinkId(7), None)
    assert peers.at(LinkId(7), None) is one


def test_deadlines_come_in_order_and_each_peer_is_looked_at_once() -> None:
    peers = Peers()
    made = [peer(number) for number in (1, 2, 3)]
    for one, seconds in zip(made, (30, 10, 20), strict=True):
        peers.add(one)
        one.restart_clock(Keepalive(ping_timeout=seconds), 0.0)
        peers.schedule(one)
        peers.schedule(one)
    assert peers.next_deadline() == 10.0
    assert peers.take_due(9.9) == []
    assert peers.take_due(20.0) == [made[1], made[2]]
    assert peers.take_due(20.0) == []
    made[1].restart_clock(Keepalive(ping_timeout=5), 20.0)
    peers.schedule(made[1])
    assert peers.next_deadline() == 25.0
    peers.remove(PeerId(2))
    assert peers.take_due(26.0) == []
    assert peers.take_due(30.0) == [made[0]]
