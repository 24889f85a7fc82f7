"""Servers of Ethernet: a tunnel of its own network, and one that is part of the office's.

With GINNEL_INTEROP_SERVER=openvpn the same scenarios hold for the real server.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.deadlines import wait_until
from tests.interop.checks import addresses
from tests.interop.lab import OFFICE_HOST, Fleet, ServerSetup
from tests.interop.lab.fleet import OFFICE_GATEWAY, OFFICE_GATEWAY_V6
from tests.interop.lab.openvpn import TUNNEL_SERVER

TAP = "tap0"
VLANS = {"client1": 10, "client2": 10, "client3": 20}


def test_ethernet_with_a_network_of_its_own(fleet: Fleet) -> None:
    """Clients see each other's frames through the server, and the office behind it."""
    lines = ["client-to-client"]
    fleet.start_server(ServerSetup(device=TAP, lines=lines))
    fleet.start_pair(device=TAP)
    hosts = [fleet.client(number) for number in (1, 2)]
    inside = [addresses(fleet, TAP, where=host)["inet"].local for host in hosts]
    for host, other in zip(hosts, reversed(inside), strict=True):
        host.wait_ping(other)
        assert host.ping(other, count=3, size=1472) == 3
        host.wait_ping(OFFICE_HOST)
    neighbours = hosts[0].ip("neigh", "show", "dev", TAP)
    assert inside[1] in neighbours


@contextmanager
def office_bridge(fleet: Fleet) -> Iterator[None]:
    """Makes the server's office interface a port of a bridge, with the addresses on the bridge."""
    server = fleet.server
    own, own_v6 = f"{OFFICE_GATEWAY}/24", f"{OFFICE_GATEWAY_V6}/64"
    server.ip("link", "add", "br0", "type", "bridge")
    try:
        server.ip("link", "set", "br0", "up")
        server.ip("address", "flush", "dev", "eth1", "scope", "global")
        server.ip("link", "set", "eth1", "master", "br0")
        server.ip("address", "add", own, "dev", "br0")
        server.ip("-6", "address", "add", own_v6, "dev", "br0", "nodad")
        yield
    finally:
        server.ip("link", "del", "br0")
        server.ip("address", "add", own, "dev", "eth1")
        server.ip("-6", "address", "add", own_v6, "dev", "eth1", "nodad")


def test_a_bridge_into_the_office(fleet: Fleet) -> None:
    """server-bridge: clients are hosts of the office's network, addresses and all."""
    pool = f"server-bridge {OFFICE_GATEWAY} 255.255.255.0 10.11.5.200 10.11.5.220"
    setup = ServerSetup(
        device=TAP,
        network=None,
        network_v6=None,
        push_office=False,
        lines=[pool, "topology subnet"],
    )
    with office_bridge(fleet):
        fleet.start_server(setup)
        fleet.server.ip("link", "set", TAP, "master", "br0", "up")
        fleet.start_pair(device=TAP)
        found = [
            addresses(fleet, TAP, where=fleet.client(number))["inet"].local for number in (1, 2)
        ]
        assert sorted(found) == ["10.11.5.200", "10.11.5.201"]
        for number in (1, 2):
            fleet.client(number).wait_ping(OFFICE_HOST)
        fleet.office.wait_ping(found[0])
        links = {
            number: fleet.client(number).ip_json("link", "show", "dev", TAP)[0]["address"]
            for number in (1, 2)
        }
        wait_until(
            lambda: str(links[1]) in fleet.office.ip("neigh", "show"),
            timeout=40,
            what="the client's own hardware address in the office",
        )
        fleet.end_programs()


def test_clients_of_different_vlans_do_not_meet(fleet: Fleet) -> None:
    """vlan-tagging: clients are ports of a switch; the server's own untagged port is VLAN 1."""
    files = {name: [f"vlan-pvid {vlan}"] for name, vlan in VLANS.items()}
    lines = [
        "vlan-tagging",
        "client-to-client",
        f"client-config-dir {fleet.spare_directory('vlans', files)}",
    ]
    fleet.start_server(ServerSetup(device=TAP, network_v6=None, push_office=False, lines=lines))
    fleet.start_clients([1, 2, 3], device=TAP)
    one, two, three = (fleet.client(number) for number in (1, 2, 3))
    inside = [addresses(fleet, TAP, where=host)["inet"].local for host in (one, two, three)]
    one.wait_ping(inside[1])
    assert two.ping(inside[0], count=1) == 1
    for host, other in ((one, inside[2]), (three, inside[0]), (one, TUNNEL_SERVER)):
        assert host.ping(other, count=1, wait=1) == 0
