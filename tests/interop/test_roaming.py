"""A laptop that moves: another address, another gateway, a cable pulled, a NAT that forgets."""

from dataclasses import replace

from tests.interop.checks import assert_carries
from tests.interop.lab import LAPTOP, OFFICE_HOST, Faults, Lab, Running, ServerSetup
from tests.interop.lab.topology import LAPTOP_V6

SLOW = ServerSetup(keepalive="60 240", lines=['push "redirect-gateway def1"'])
"""Timers that help nobody within a test: what recovers does so by itself."""

ELSEWHERE = "192.0.2.77"
OTHER_GATEWAY = "192.0.2.253"


def move(lab: Lab, gateway: str) -> None:
    """Gives the laptop another address, and the default route that comes with it."""
    lab.laptop.ip("address", "del", f"{LAPTOP}/24", "dev", "wlan0")
    lab.laptop.ip("address", "add", f"{ELSEWHERE}/24", "dev", "wlan0")
    lab.laptop.ip("route", "add", "default", "via", gateway)


def bypass(lab: Lab) -> str:
    """The gateway of the host route that keeps the server outside the tunnel."""
    routes = lab.laptop.ip_json("route", "show", f"{lab.server}/32")
    return str(routes[0].get("gateway")) if routes else ""


def assert_same_session(client: Running, mark: int) -> None:
    assert "process restarting" not in client.log(mark)


def replug(lab: Lab) -> None:
    """Puts the laptop back where the lab had it."""
    lab.laptop.ip("link", "set", "wlan0", "up")
    lab.laptop.ip("address", "flush", "dev", "wlan0", "scope", "global")
    lab.laptop.ip("address", "add", f"{LAPTOP}/24", "dev", "wlan0")
    lab.laptop.ip("-6", "address", "add", f"{LAPTOP_V6}/64", "dev", "wlan0", "nodad")
    lab.laptop.ip("route", "replace", "default", "via", lab.plan.gateway)
    lab.laptop.ip("-6", "route", "replace", "default", "via", lab.plan.gateway_v6)


def test_another_address_and_gateway_under_a_udp_tunnel(wide_lab: Lab) -> None:
    """The session goes on: the server is told at once, and stays reachable outside the tunnel."""
    lab = wide_lab
    lab.internet.ip("address", "add", f"{OTHER_GATEWAY}/24", "dev", "to-laptop")
    server = lab.start_server(SLOW)
    client = lab.start_client()
    assert_carries(lab)
    assert bypass(lab) == lab.plan.gateway
    mark = client.mark()
    try:
        move(lab, OTHER_GATEWAY)
        client.wait_for(rf"the server is reached by {OTHER_GATEWAY} \(wlan0\) now", since=mark)
        server.wait_for(rf"floated from {LAPTOP}:\d+ to \[AF_INET\]{ELSEWHERE}")
        lab.laptop.wait_ping(OFFICE_HOST)
        assert_carries(lab)
        assert bypass(lab) == OTHER_GATEWAY
        assert_same_session(client, mark)
        client.stop(expect=0)
        assert not bypass(lab)
    finally:
        replug(lab)


def test_a_cable_pulled_and_plugged_in_again(wide_lab: Lab) -> None:
    """The kernel forgot the route around the tunnel with the device: it is made again."""
    lab = wide_lab
    lab.start_server(SLOW)
    client = lab.start_client()
    assert_carries(lab)
    mark = client.mark()
    try:
        lab.laptop.ip("link", "set", "wlan0", "down")
        client.wait_for("the network is gone: waiting for another", since=mark)
        assert not bypass(lab)
    finally:
        replug(lab)
    lab.laptop.wait_ping(OFFICE_HOST)
    assert bypass(lab) == lab.plan.gateway
    assert_carries(lab)
    assert_same_session(client, mark)


def test_tcp_restarts_at_once_from_another_address(wide_lab: Lab) -> None:
    lab = wide_lab
    lab.start_server(replace(SLOW, protocol="tcp-server"))
    client = lab.start_client(lab.client_setup(protocol="tcp", lines=["persist-tun"]))
    index = lab.laptop.ip_json("link", "show", "dev", "tun0")[0]["ifindex"]
    assert_carries(lab)
    mark = client.mark()
    try:
        lab.laptop.ip("link", "set", "wlan0", "down")
        client.wait_for("the network is gone: waiting for another", since=mark)
        lab.laptop.ip("link", "set", "wlan0", "up")
        move(lab, lab.plan.gateway)
        client.wait_for(r"SIGUSR1\[soft,network-changed\] received, process restarting", since=mark)
        client.wait_connected(since=mark)
        assert "Restart pause" not in client.log(mark)
        assert_carries(lab, ipv6=False)
        assert lab.laptop.ip_json("link", "show", "dev", "tun0")[0]["ifindex"] == index
        client.stop(expect=0)
    finally:
        replug(lab)


def test_a_pause_ends_when_the_network_comes_back(wide_lab: Lab) -> None:
    lab = wide_lab
    lab.start_server(replace(SLOW, protocol="tcp-server"))
    lab.laptop.ip("route", "del", "default")
    try:
        setup = lab.client_setup(protocol="tcp", retry="300 300")
        client = lab.client_process(setup)
        client.wait_for(r"Restart pause, 300 second\(s\)")
    finally:
        replug(lab)
    client.wait_for("the network changed: trying again at once")
    client.wait_connected()
    assert_carries(lab)


def test_a_nat_that_gives_another_port(lab: Lab) -> None:
    """The relay begins anew, so the server sees another port: pings move it there."""
    server = lab.start_server(replace(SLOW, keepalive="1 240"))
    path = lab.start_relay(Faults())
    client = lab.start_client(lab.client_setup(remotes=[f"{lab.server} 1195"]))
    assert_carries(lab)
    mark = client.mark()
    path.stop()
    lab.start_relay(Faults())
    server.wait_for("floated from ")
    lab.laptop.wait_ping(OFFICE_HOST)
    assert_carries(lab)
    assert_same_session(client, mark)
