"""Pushes that nobody should send: a clear line each, and never a half-configured host."""

import re

from tests.interop.checks import addresses, assert_carries, link
from tests.interop.lab import OFFICE_HOST, Lab, ServerSetup
from tests.interop.lab.openvpn import TUNNEL_SERVER, client_is_ginnel

NONSENSE = {
    "no-such-option 1 2 3": "no-such-option",
    "script-security 3": "script-security",
    "up /bin/false": "up",
    "route 10.20.0.0 255.0.255.0": "netmask",
    "route nonsense.example 255.255.255.255": "IPv4 address",
    "route 300.1.1.1": "IPv4 address",
    "route-ipv6 fe80::1%eth0/64": "IPv6",
    "route-ipv6 2001:db8::/129": "route-ipv6",
    "ifconfig-ipv6 fd00::2 fd00::1": "ifconfig-ipv6",
    "tun-mtu 1": "from 100",
    "tun-mtu 70000": "from 100",
    "dhcp-option DNS not-an-address": "dhcp-option",
    "ping -5": "ping",
    "ping 99999999999": "ping",
    "topology star": "topology",
    "redirect-gateway def7": "redirect-gateway",
    "sndbuf lots": "sndbuf",
    "protocol-flags cc-exit fly": "fly",
    "W" * 180: "W" * 20,
}


def test_nonsense_is_refused_one_by_one_and_the_rest_works(lab: Lab) -> None:
    before = lab.snapshot()
    lines = [f'push "{text}"' for text in NONSENSE]
    lines += ['push "route 10.20.0.0 255.255.0.0"', 'push "verb 3"']
    lab.start_server(ServerSetup(lines=lines))
    client = lab.start_client()
    assert lab.laptop.route_to("10.20.0.1")["dev"] == "tun0"
    assert link(lab)["mtu"] == 1500
    assert_carries(lab)
    if client_is_ginnel():
        refusals = [line for line in client.log().splitlines() if "Options error: " in line]
        assert len(refusals) <= len(NONSENSE) + 2
        for text, reason in NONSENSE.items():
            named = text.split()[0][:40]
            assert any(reason in line and named in line for line in refusals), (text, refusals)
    client.stop(expect=0)
    assert before.difference(lab.snapshot()) == []


def test_routes_over_the_way_to_the_server(wide_lab: Lab) -> None:
    """Everything, the server's own address and the local gateway: packets still find the server."""
    lab = wide_lab
    before = lab.snapshot()
    lines = [
        'push "route 0.0.0.0 0.0.0.0"',
        f'push "route {lab.server}"',
        f'push "route {lab.plan.gateway}"',
        'push "route 192.0.2.0 255.255.255.0"',
        'push "route 127.0.0.0 255.0.0.0"',
        'push "route 224.0.0.0 240.0.0.0"',
        'push "route 10.11.0.0 255.255.0.0 203.0.113.99"',
    ]
    lab.start_server(ServerSetup(lines=lines))
    client = lab.start_client()
    lab.laptop.wait_ping(OFFICE_HOST)
    assert lab.laptop.ping(OFFICE_HOST, count=5, interval=0.1) == 5
    client.stop(expect=0)
    assert before.difference(lab.snapshot()) == []


def test_the_server_on_the_network_that_is_pushed_away(lab: Lab) -> None:
    before = lab.snapshot()
    lines = ['push "route 192.0.2.0 255.255.255.0"', 'push "redirect-gateway def1 block-local"']
    lab.start_server(ServerSetup(lines=lines))
    client = lab.start_client()
    lab.laptop.wait_ping(OFFICE_HOST)
    assert lab.laptop.ping(OFFICE_HOST, count=5, interval=0.1) == 5
    client.stop(expect=0)
    assert before.difference(lab.snapshot()) == []


def test_addresses_that_contradict_the_topology(lab: Lab) -> None:
    """A wrong file for this client: the attempt ends before the host is touched."""
    directory = lab.directory / "ccd"
    directory.mkdir()
    (directory / "laptop").write_text(
        f"ifconfig-push 10.10.112.200 {TUNNEL_SERVER}\npush-remove topology\n"
        'push "topology subnet"\n'
    )
    before = lab.snapshot()
    lab.start_server(ServerSetup(topology="p2p", lines=[f"client-config-dir {directory}"]))
    client = lab.client_process(lab.client_setup())
    if client_is_ginnel():
        client.wait_for(r"ifconfig 10\.10\.112\.200 .*must be a netmask")
        client.wait_for(r"SIGUSR1\[soft,process-push-msg-failed\] received")
        assert "TUN/TAP device" not in client.log()
    client.stop(expect=0)
    assert before.difference(lab.snapshot()) == []


def test_two_thousand_routes(lab: Lab) -> None:
    """More than anybody has; ten thousand were tried by hand (docs/guide)."""
    before = lab.snapshot()
    count = 2000
    lines = [f'push "route 11.{n // 256}.{n % 256}.0 255.255.255.0"' for n in range(count)]
    lab.start_server(ServerSetup(lines=lines))
    client = lab.start_client(timeout=60)
    shown = lab.laptop.ip_json("-4", "route", "show", "dev", "tun0")
    assert len([entry for entry in shown if str(entry["dst"]).startswith("11.")]) == count
    assert_carries(lab)
    client.stop(expect=0)
    assert before.difference(lab.snapshot()) == []


def test_unwanted_lines_are_bounded(lab: Lab) -> None:
    lab.start_server(ServerSetup(lines=[f'push "nonsense-{number} x"' for number in range(300)]))
    client = lab.start_client()
    if client_is_ginnel():
        lines = re.findall(r"nonsense-\d+ x'?:? .*|more.*refused likewise.*", client.log())
        assert len([line for line in lines if "PUSH_REPLY" not in line]) < 100
        assert "refused likewise" in client.log()
    assert addresses(lab)["inet"]
    client.stop(expect=0)
