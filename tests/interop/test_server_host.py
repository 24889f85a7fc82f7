"""What a server sets up on its own host: the same as the real one, for each way to configure it."""

from dataclasses import replace

import pytest

from tests.interop.lab import Lab, ServerSetup
from tests.interop.lab.namespaces import Namespace

BY_HAND = [
    "mode server",
    "tls-server",
    "ifconfig 10.8.0.1 10.8.0.2",
    "ifconfig-pool 10.8.0.4 10.8.0.100",
    "route 10.8.0.0 255.255.255.0",
    "ifconfig-ipv6 fd00:8::1/64 fd00:8::2",
    "ifconfig-ipv6-pool fd00:8::1000/64",
    "tun-mtu 1400",
]
ROUTES = ["route 10.9.0.0 255.255.255.0", "route-ipv6 fd00:9::/64", "route-metric 7"]
CASES = {
    "net30": ServerSetup(topology="net30", lines=["route 10.9.0.0 255.255.255.0"]),
    "p2p": ServerSetup(topology="p2p"),
    "subnet": ServerSetup(lines=ROUTES),
    "ethernet": ServerSetup(device="tap", lines=["route 10.9.0.0 255.255.255.0 10.10.112.9"]),
    "by hand": ServerSetup(topology="net30", network=None, network_v6=None, lines=BY_HAND),
}


def tunnel_of(host: Namespace, device: str) -> list[str]:
    """Addresses, routes and MTU of the server's device; link-local addresses are drawn."""
    found = []
    for words in (
        ("-o", "address", "show"),
        ("route", "show"),
        ("-6", "route", "show"),
        ("-o", "link", "show"),
    ):
        lines = host.ip(*words, "dev", device).splitlines()
        found += [line for line in lines if "fe80::" not in line and "link/ether" not in line]
    return [line.partition(": ")[2] or line for line in found]


@pytest.mark.parametrize("name", list(CASES))
def test_the_servers_own_tunnel(lab: Lab, name: str) -> None:
    setup = CASES[name]
    seen = {}
    for program in ("openvpn", "ginnel"):
        before = lab.office.ip("route", "show", "table", "all")
        server = lab.run_server(lab.office, replace(setup, program=program), program)
        server.wait_connected()
        seen[program] = tunnel_of(lab.office, f"{setup.device}0")
        server.stop()
        assert lab.office.ip("route", "show", "table", "all") == before
    assert seen["ginnel"] == seen["openvpn"]
    assert len(seen["openvpn"]) > 2
