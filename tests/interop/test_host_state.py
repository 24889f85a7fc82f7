"""What the client does to the host and takes back: routes, redirects, signals, crashes."""

import signal
from dataclasses import dataclass

import pytest

from tests.deadlines import wait_until
from tests.interop.checks import assert_carries
from tests.interop.lab import OFFICE_HOST, WEB_HOST, WEB_HOST_V6, Lab, ServerSetup, Wrapping
from tests.interop.lab.capture import ICMP, start_capture
from tests.interop.lab.openvpn import (
    OPENVPN,
    TUNNEL_SERVER,
    client_is_ginnel,
    client_program,
)

RECONNECTED = 40.0


def routes(lab: Lab, family: str = "-4") -> set[tuple[str, str, str]]:
    """Main-table routes as (destination, gateway, device)."""
    return {
        (str(entry["dst"]), str(entry.get("gateway", "")), str(entry.get("dev", "")))
        for entry in lab.laptop.ip_json(family, "route", "show")
    }


def test_pushed_and_configured_routes(lab: Lab) -> None:
    pushed = [
        'push "route 10.20.0.0 255.255.0.0"',
        'push "route 10.21.0.0 255.255.255.0 vpn_gateway 77"',
        'push "route-ipv6 fd00:20::/32"',
    ]
    lab.start_server(ServerSetup(lines=pushed))
    lines = [
        "route 10.30.5.5",
        "route 198.51.100.128 255.255.255.128 net_gateway",
        "route-ipv6 fd00:30::/48",
        "route-metric 55",
    ]
    lab.start_client(lab.client_setup(lines=lines))
    found = routes(lab)
    assert ("10.20.0.0/16", TUNNEL_SERVER, "tun0") in found
    assert ("10.21.0.0/24", TUNNEL_SERVER, "tun0") in found
    assert ("10.30.5.5", TUNNEL_SERVER, "tun0") in found
    assert ("198.51.100.128/25", lab.plan.gateway, "wlan0") in found
    metrics = {
        str(entry["dst"]): entry.get("metric") for entry in lab.laptop.ip_json("-4", "route")
    }
    assert metrics["10.21.0.0/24"] == 77
    assert metrics["10.30.5.5"] == 55
    found_v6 = {(dst, device) for dst, _, device in routes(lab, "-6")}
    assert {("fd00:20::/32", "tun0"), ("fd00:30::/48", "tun0")} <= found_v6


def test_route_nopull_leaves_the_table_alone(lab: Lab) -> None:
    lab.start_server()
    lab.start_client(lab.client_setup(lines=["route-nopull"]))
    assert {device for dst, _, device in routes(lab) if dst.startswith("10.11")} == set()
    assert lab.laptop.ping(TUNNEL_SERVER) == 3


def test_route_noexec_and_ifconfig_noexec(lab: Lab) -> None:
    """The device is opened, but others configure it."""
    lab.start_server()
    before = lab.snapshot().routes
    client = lab.start_client(lab.client_setup(lines=["route-noexec", "ifconfig-noexec"]))
    shown = lab.laptop.ip_json("address", "show", "dev", "tun0")[0]
    infos = shown["addr_info"]
    assert isinstance(infos, list)
    assert [info for info in infos if info["scope"] == "global"] == []
    assert [line for line in lab.snapshot().routes if "10.11" in line] == []
    client.stop(expect=0)
    assert lab.snapshot().routes == before


def test_pull_filter(lab: Lab) -> None:
    lab.start_server(ServerSetup(lines=['push "route 10.20.0.0 255.255.0.0"']))
    client = lab.start_client(lab.client_setup(lines=['pull-filter ignore "route 10.20"']))
    assert not [dst for dst, _, _ in routes(lab) if dst.startswith("10.20")]
    client.wait_for(r"Pushed option removed by filter: 'route 10\.20\.0\.0 255\.255\.0\.0'")
    assert_carries(lab)


@dataclass(frozen=True, slots=True)
class Redirect:
    flags: str
    ipv4: bool
    ipv6: bool
    host_route: bool
    halves: bool


@pytest.mark.parametrize(
    "redirect",
    [
        Redirect("def1", ipv4=True, ipv6=False, host_route=True, halves=True),
        Redirect("", ipv4=True, ipv6=False, host_route=True, halves=False),
        Redirect("def1 ipv6", ipv4=True, ipv6=True, host_route=True, halves=True),
        Redirect("ipv6 !ipv4", ipv4=False, ipv6=True, host_route=False, halves=False),
    ],
    ids=["def1", "replace", "def1-ipv6", "ipv6-only"],
)
def test_redirect_gateway(wide_lab: Lab, redirect: Redirect) -> None:
    """Everything goes through the tunnel, but not the tunnel's own packets."""
    lab = wide_lab
    before = lab.snapshot()
    lab.start_server(ServerSetup(lines=[f'push "redirect-gateway {redirect.flags}"']))
    client = lab.start_client()
    lab.laptop.wait_ping(OFFICE_HOST)
    assert (lab.laptop.route_to(WEB_HOST)["dev"] == "tun0") is redirect.ipv4
    assert (lab.laptop.route_to(WEB_HOST_V6)["dev"] == "tun0") is redirect.ipv6
    # The path to the server stays outside, also when its own network is redirected.
    assert lab.laptop.route_to(lab.server)["dev"] == "wlan0"
    table = routes(lab)
    assert ((lab.server, lab.plan.gateway, "wlan0") in table) is redirect.host_route
    assert (("0.0.0.0/1", TUNNEL_SERVER, "tun0") in table) is redirect.halves
    if redirect.ipv4:
        seen = start_capture(lab.office, "tun0", "icmp", "redirected")
        assert lab.laptop.ping(WEB_HOST) == 3
        packets = seen.stop()
        assert len([packet for packet in packets if packet.protocol == ICMP]) == 6
    if redirect.ipv6:
        assert lab.laptop.ping(WEB_HOST_V6) == 3
    client.stop(expect=0)
    assert before.difference(lab.snapshot()) == []


def test_redirect_gateway_with_an_ipv6_server(wide_lab: Lab) -> None:
    """The host route is needed in the family of the link."""
    lab = wide_lab
    before = lab.snapshot()
    lab.start_server(ServerSetup(protocol="udp6", lines=['push "redirect-gateway def1 ipv6"']))
    client = lab.start_client(lab.client_setup(remotes=[f"{lab.server_v6} 1194"], protocol="udp6"))
    lab.laptop.wait_ping(OFFICE_HOST)
    assert lab.laptop.route_to(lab.server_v6)["dev"] == "wlan0"
    assert lab.laptop.ping(WEB_HOST) == 3
    assert lab.laptop.ping(WEB_HOST_V6) == 3
    client.stop(expect=0)
    assert before.difference(lab.snapshot()) == []


def test_restart_keeps_the_redirect_honest(wide_lab: Lab) -> None:
    """SIGUSR1 under redirect-gateway: the client finds the server again, all routes come back."""
    lab = wide_lab
    before = lab.snapshot()
    lab.start_server(ServerSetup(lines=['push "redirect-gateway def1"']))
    client = lab.start_client()
    connected = lab.snapshot()
    mark = client.mark()
    client.send(signal.SIGUSR1)
    client.wait_connected(since=mark, timeout=RECONNECTED)
    assert_carries(lab)
    assert _routes_without_addresses(connected.routes) == _routes_without_addresses(
        lab.snapshot().routes
    )
    client.stop(expect=0)
    assert before.difference(lab.snapshot()) == []


def _routes_without_addresses(lines: tuple[str, ...]) -> set[str]:
    """Leaves out the link-local address, which the kernel makes anew with each device."""
    return {line for line in lines if "fe80" not in line}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_ending_signal_restores_everything(lab: Lab, number: signal.Signals) -> None:
    before = lab.snapshot()
    lab.start_server()
    client = lab.start_client()
    assert before.difference(lab.snapshot()) != []
    client.send(number)
    assert client.process.wait_exit() == 0
    assert f"{number.name}[hard,] received, process exiting" in client.log()
    assert before.difference(lab.snapshot()) == []
    lab.laptop.wait_empty()


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGHUP], ids=["USR1", "HUP"])
def test_restarting_signal(lab: Lab, number: signal.Signals) -> None:
    lab.start_server()
    client = lab.start_client()
    mark = client.mark()
    client.send(number)
    client.wait_for(rf"{number.name}\[hard,\] received, process restarting", since=mark)
    client.wait_connected(since=mark, timeout=RECONNECTED)
    assert_carries(lab)


def test_hup_reads_the_configuration_again(lab: Lab) -> None:
    lab.start_server()
    client = lab.start_client()
    mark = client.mark()
    with client.config.open("a") as config:
        config.write("route 10.44.0.0 255.255.0.0\n")
    client.send(signal.SIGHUP)
    client.wait_connected(since=mark, timeout=RECONNECTED)
    assert ("10.44.0.0/16", TUNNEL_SERVER, "tun0") in routes(lab)


def test_usr2_prints_statistics(lab: Lab) -> None:
    lab.start_server()
    client = lab.start_client()
    assert_carries(lab)
    client.send(signal.SIGUSR2)
    client.wait_for(r"OpenVPN STATISTICS")
    found = client.wait_for(r"TUN/TAP read bytes,(\d+)")
    client.wait_for(r"END$")
    assert int(found.rpartition(",")[2]) > 0
    assert_carries(lab)


def test_usr1_before_the_connection_is_no_end(lab: Lab) -> None:
    client = lab.client_process(lab.client_setup(lines=["connect-timeout 30"]))
    client.wait_for(r"link remote: ")
    client.send(signal.SIGUSR1)
    client.wait_for(r"SIGUSR1\[hard,\] received, process restarting")
    lab.start_server()
    client.wait_connected(timeout=RECONNECTED)
    assert_carries(lab)


def test_term_before_the_connection(lab: Lab) -> None:
    before = lab.snapshot()
    client = lab.client_process(lab.client_setup())
    client.wait_for(r"link remote: ")
    client.send(signal.SIGTERM)
    assert client.process.wait_exit() == 0
    assert before.difference(lab.snapshot()) == []


def test_term_during_the_restart_pause(lab: Lab) -> None:
    setup = lab.client_setup(retry="30 60", lines=["connect-timeout 30"])
    client = lab.client_process(setup)
    client.wait_for(r"link remote: ")
    client.send(signal.SIGUSR1)
    client.wait_for(r"Restart pause, 30 second\(s\)")
    client.send(signal.SIGTERM)
    assert client.process.wait_exit(5) == 0


def test_kill_9_then_everything_is_restored(wide_lab: Lab) -> None:
    """The privileged helper notices and rolls back; nothing is left, not even the host route.

    The real client cannot do this, so with it the scenario only shows what a crash leaves behind.
    """
    lab = wide_lab
    before = lab.snapshot()
    lab.start_server(ServerSetup(lines=['push "redirect-gateway def1"']))
    client = lab.start_client()
    assert before.difference(lab.snapshot()) != []
    client.process.kill()
    if client_is_ginnel():
        wait_until(
            lambda: before.difference(lab.snapshot()) == [],
            timeout=40,
            what="the roll-back after kill -9",
        )
    else:
        wait_until(
            lambda: len(before.difference(lab.snapshot())) == 1, timeout=40, what="only our relic"
        )
        assert (lab.server, lab.plan.gateway, "wlan0") in routes(lab)
        lab.laptop.ip("route", "del", lab.server)


def kill_all_at_once(lab: Lab) -> None:
    """By one command: a main process that outlives its helper for a moment cleans up after it."""
    pids = map(str, sorted(lab.laptop.pids(), reverse=True))
    lab.laptop.run(["kill", "-KILL", *pids], check=False)


def test_everything_killed_then_restore(wide_lab: Lab) -> None:
    """Main process and helper both die: the next ``restore`` undoes the journal."""
    lab = wide_lab
    before = lab.snapshot()
    lab.start_server(ServerSetup(lines=['push "redirect-gateway def1"']))
    lab.start_client()
    kill_all_at_once(lab)
    lab.laptop.wait_empty()
    assert before.difference(lab.snapshot()) != []
    if client_is_ginnel():
        restore = [*client_program()[:-1], "restore"]
        done = lab.laptop.run(restore)
        assert done.status == 0
        assert before.difference(lab.snapshot()) == []
        again = lab.laptop.run(restore)
        assert again.status == 0
    else:
        lab.laptop.ip("route", "del", lab.server)


def test_everything_killed_then_the_next_start_cleans_up(wide_lab: Lab) -> None:
    lab = wide_lab
    before = lab.snapshot()
    lab.start_server(ServerSetup(keepalive="1 4", lines=['push "redirect-gateway def1"']))
    lab.start_client()
    kill_all_at_once(lab)
    lab.laptop.wait_empty()
    client = lab.start_client(label="client-again", timeout=40)
    assert_carries(lab)
    client.stop(expect=0)
    if not client_is_ginnel():
        lab.laptop.run(["ip", "route", "del", lab.server], check=False)
    assert before.difference(lab.snapshot()) == []


def test_failed_script_leaves_nothing_behind(lab: Lab) -> None:
    """An error in the middle of set-up: the up script fails."""
    before = lab.snapshot()
    lab.start_server()
    lines = ["script-security 2", "up /bin/false"]
    client = lab.client_process(lab.client_setup(lines=lines))
    assert client.process.wait_exit(20) == 1
    client.wait_for(r"(?i)Exiting due to fatal error")
    assert before.difference(lab.snapshot()) == []
    lab.laptop.wait_empty()


def test_a_route_that_exists_already_is_not_ours_to_remove(lab: Lab) -> None:
    """The user's own route to the same network survives the session."""
    lab.laptop.ip("route", "add", "10.20.0.0/16", "via", lab.plan.gateway, "metric", "0")
    before = lab.snapshot()
    lab.start_server(ServerSetup(lines=['push "route 10.20.0.0 255.255.0.0"']))
    client = lab.client_process(lab.client_setup())
    client.wait_for(r"Initialization Sequence Completed")
    assert_carries(lab)
    client.stop(expect=0)
    if client_is_ginnel():
        assert before.difference(lab.snapshot()) == []
    lab.laptop.run(["ip", "route", "del", "10.20.0.0/16"], check=False)


def test_real_client_and_ours_side_by_side(lab: Lab) -> None:
    """Another VPN program on the same host is left alone."""
    lab.start_server(ServerSetup(wrapping=Wrapping.TLS_CRYPT, lines=["duplicate-cn"]))
    other_setup = lab.client_setup(device="tun9", lines=["route-nopull"])
    other = lab.start_client(other_setup, label="neighbour", program=[OPENVPN])
    before = lab.snapshot()
    client = lab.start_client()
    assert_carries(lab)
    client.stop(expect=0)
    assert before.difference(lab.snapshot()) == []
    other.stop(expect=0)
