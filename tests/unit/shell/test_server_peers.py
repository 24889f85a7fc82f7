"""What the data plane is told about a client."""

from dataclasses import replace
from ipaddress import IPv4Network, ip_network

from ginnel.core.types import IPNetwork, PeerId, Transport
from ginnel.dataplane.api import Keepalive, LinkId, PeerConfig
from ginnel.options.model import DeviceType, TunOptions
from ginnel.options.server_model import ClientConfig, ServerOptions, VlanOptions
from ginnel.shell.clients import Client
from ginnel.shell.peer_log import PeerLog
from ginnel.shell.server_peers import add_peer
from tests.unit.shell.loops import Lines
from tests.unit.shell.server_stand_ins import (
    HOME,
    Clock,
    FakeMachine,
    agreed,
    facts,
    server_options,
)
from tests.unit.shell.stand_ins import FakePlane, Story


class Plane(FakePlane):
    def __init__(self) -> None:
        super().__init__(Story())
        self.peers: list[PeerConfig] = []
        self.routes: list[IPNetwork] = []

    def new_peer(self, peer: PeerConfig) -> None:
        self.peers.append(peer)

    def add_iroute(self, peer_id: PeerId, prefix: IPNetwork) -> None:
        assert peer_id == 5
        self.routes.append(prefix)


def client(transport: Transport = Transport.UDP) -> Client:
    return Client(
        client_id=facts(5).client_id,
        peer_id=PeerId(5),
        link=LinkId(3),
        remote=HOME,
        local=None,
        transport=transport,
        machine=FakeMachine(),
        log=PeerLog(Lines(), Clock()),
        began=0.0,
    )


def added(
    config: ClientConfig, options: ServerOptions, transport: Transport = Transport.UDP
) -> tuple[Plane, list[str]]:
    plane = Plane()
    try:
        lines = add_peer(plane, client(transport), agreed(facts(5), config), options)
    finally:
        plane.close()
    return plane, [line.text for line in lines]


ROUTES = tuple(IPv4Network((f"192.168.{number}.0", 24)) for number in range(4))


def test_address_networks_and_limits() -> None:
    plane, lines = added(ClientConfig(iroutes=ROUTES, max_routes_per_client=2), server_options())
    (peer,) = plane.peers
    assert (peer.peer_id, peer.send_peer_id, peer.link, peer.remote) == (5, 5, 3, HOME)
    assert peer.allow_float
    assert plane.routes == [ip_network("10.8.0.2"), *ROUTES[:2]]
    assert plane.keepalive == Keepalive(ping_interval=10, ping_timeout=120)
    assert lines[:4] == [
        "MULTI: Learn: 10.8.0.2 -> 192.0.2.7:40000",
        "MULTI: primary virtual IP for 192.0.2.7:40000: 10.8.0.2",
        "MULTI: internal route 192.168.0.0/24 -> 192.0.2.7:40000",
        "MULTI: Learn: 192.168.0.0/24 -> 192.0.2.7:40000",
    ]
    assert lines[-1].startswith("MULTI ROUTE: route quota (2) exceeded")


def test_a_stream_has_no_address_to_check() -> None:
    plane, _ = added(ClientConfig(), server_options(), Transport.TCP)
    assert plane.peers[0].remote is None


def test_on_tap_addresses_are_learnt_and_not_given() -> None:
    options = replace(
        server_options(), tun=TunOptions(dev_type=DeviceType.TAP), vlan=VlanOptions(pvid=9)
    )
    plane, lines = added(ClientConfig(iroutes=ROUTES), options)
    assert plane.routes == []
    assert plane.peers[0].vlan == 9
    assert "iroute only works with tun-style" in lines[0]
    plane, lines = added(ClientConfig(vlan_pvid=4), options)
    assert plane.peers[0].vlan == 4
    assert lines == []
