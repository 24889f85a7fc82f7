"""Golden step lists: what a tunnel needs on the host, without root."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface

import pytest

from ginnel.host.plan import plan_bypass
from ginnel.host.steps import SetLink
from ginnel.host.underlay import Gateway, LocalNetwork, UnderlaySnapshot
from ginnel.options.model import (
    DeviceType,
    RedirectFlag,
    RouteKeyword,
    RouteOptions,
    Topology,
    TunOptions,
)
from ginnel.options.values import PUSH_OPTIONS, Origin
from tests.unit.host.plans import (
    DUAL,
    HOME,
    SUBNET,
    UNDERLAY,
    VPN_GATEWAY,
    draw,
    route,
    route6,
    told,
)

BYPASS = "route 198.51.100.7/32 via 192.0.2.1 dev wlan0 (bypass)"
VIA = "via 10.8.0.1 dev tun0"
HALVES = [f"route 0.0.0.0/1 {VIA}", f"route 128.0.0.0/1 {VIA}"]


def flags(*words: str) -> frozenset[RedirectFlag]:
    return frozenset(RedirectFlag(word) for word in words)


def options(*routes: str, **fields: object) -> RouteOptions:
    base = RouteOptions(
        route_gateway=VPN_GATEWAY, routes=tuple(route(network) for network in routes)
    )
    return replace(base, **fields)  # type: ignore[arg-type]  # each test names real fields


# --- interface ---------------------------------------------------------------------------------


def test_subnet_gives_address_with_its_mask() -> None:
    plan = draw(options(), DUAL)
    assert told(plan.interface) == [
        "link tun0 mtu 1360",
        "address 10.8.0.4/24 dev tun0",
        "address fd00:8::4/64 dev tun0",
    ]


@pytest.mark.parametrize("topology", [Topology.NET30, Topology.P2P])
def test_point_to_point_gives_peer_and_gateway(topology: Topology) -> None:
    tun = TunOptions(topology=topology, ifconfig=(IPv4Address("10.8.0.6"), IPv4Address("10.8.0.5")))
    plan = draw(RouteOptions(routes=(route("10.11.0.0/16"),)), tun)
    assert told(plan.interface)[1] == "address 10.8.0.6 peer 10.8.0.5/32 dev tun0"
    assert told(plan.routes) == ["route 10.11.0.0/16 via 10.8.0.5 dev tun0"]


def test_tap_has_a_netmask_whatever_the_topology_and_needs_a_gateway() -> None:
    tun = replace(SUBNET, topology=Topology.NET30, dev_type=DeviceType.TAP)
    plan = draw(options("10.11.0.0/16"), tun)
    assert told(plan.interface)[1] == "address 10.8.0.4/24 dev tun0"
    assert told(plan.routes) == [f"route 10.11.0.0/16 via {VPN_GATEWAY} dev tun0"]
    without = draw(options("10.11.0.0/16", route_gateway=None), tun)
    assert told(without.routes) == []
    assert any("needs a gateway parameter" in warning for warning in without.warnings)


def test_a_second_word_that_is_no_netmask_is_a_warning() -> None:
    tun = replace(SUBNET, ifconfig=(IPv4Address("10.8.0.6"), IPv4Address("10.8.0.5")))
    plan = draw(options(), tun)
    assert all("10.8.0.6" not in line for line in told(plan.interface))
    assert any("10.8.0.5 is not a netmask" in warning for warning in plan.warnings)


def test_queue_length_is_set_with_the_mtu() -> None:
    plan = draw(options(), replace(SUBNET, txqueuelen=250))
    step = plan.interface[0].step
    assert isinstance(step, SetLink)
    assert (step.mtu, step.txqueuelen, step.up) == (1360, 250, True)


def test_device_without_addresses_is_left_down() -> None:
    assert draw(options(), TunOptions()).interface == ()
    (item,) = draw(options(), TunOptions(txqueuelen=250)).interface
    assert isinstance(item.step, SetLink)
    assert not item.step.up


def test_ifconfig_noexec_leaves_the_interface_to_others() -> None:
    plan = draw(options("10.11.0.0/16"), replace(DUAL, ifconfig_noexec=True))
    assert plan.interface == ()
    assert told(plan.routes) == [f"route 10.11.0.0/16 {VIA}"]


# --- routes ------------------------------------------------------------------------------------


def test_pushed_routes_go_by_the_vpn_gateway() -> None:
    plan = draw(options("10.11.0.0/16", "10.12.0.0/16", route_metric=9), DUAL)
    assert told(plan.routes) == [
        f"route 10.11.0.0/16 {VIA} metric 9",
        f"route 10.12.0.0/16 {VIA} metric 9",
    ]
    assert plan.warnings == ()


def test_reason_says_where_a_route_comes_from() -> None:
    pushed = replace(route("10.12.0.0/16"), origin=Origin(PUSH_OPTIONS, 3))
    plan = draw(RouteOptions(route_gateway=VPN_GATEWAY, routes=(route("10.11.0.0/16"), pushed)))
    assert [item.reason for item in plan.routes] == [
        "a network behind the server (route, client.ovpn:12)",
        "a network behind the server (route, pushed by the server)",
    ]


def test_own_metric_wins_over_route_metric() -> None:
    routes = RouteOptions(
        route_gateway=VPN_GATEWAY, route_metric=9, routes=(route("10.11.0.0/16", metric=77),)
    )
    assert told(draw(routes).routes) == [f"route 10.11.0.0/16 {VIA} metric 77"]


def test_keywords_become_addresses() -> None:
    routes = RouteOptions(
        route_gateway=VPN_GATEWAY,
        routes=(
            route("10.13.1.1/32", RouteKeyword.NET_GATEWAY),
            route(RouteKeyword.REMOTE_HOST, RouteKeyword.NET_GATEWAY, 5),
            route(RouteKeyword.NET_GATEWAY, RouteKeyword.VPN_GATEWAY),
        ),
    )
    assert told(draw(routes).routes) == [
        "route 10.13.1.1/32 via 192.0.2.1 dev wlan0 (bypass)",
        "route 198.51.100.7/32 via 192.0.2.1 dev wlan0 metric 5 (bypass)",
        f"route 192.0.2.1/32 {VIA}",
    ]


def test_gateway_outside_the_tunnel_is_left_to_the_kernel() -> None:
    routes = RouteOptions(routes=(route("203.0.113.0/24", "192.0.2.5"),))
    plan = draw(routes)
    assert told(plan.routes) == ["route 203.0.113.0/24 via 192.0.2.5"]
    assert "outside the tunnel" in plan.routes[0].reason


def test_route_without_any_gateway_is_a_warning() -> None:
    plan = draw(RouteOptions(routes=(route("10.11.0.0/16"),)))
    assert plan.routes == ()
    (warning,) = plan.warnings
    assert "needs a gateway parameter for a --route option" in warning
    assert "client.ovpn:12" in warning


def test_keyword_without_answer_is_a_warning() -> None:
    routes = RouteOptions(
        route_gateway=VPN_GATEWAY,
        routes=(
            route("10.13.1.1/32", RouteKeyword.NET_GATEWAY),
            route(RouteKeyword.REMOTE_HOST, RouteKeyword.VPN_GATEWAY),
        ),
    )
    plan = draw(routes, underlay=UnderlaySnapshot(), server="2001:db8::7")
    assert plan.routes == ()
    assert len(plan.warnings) == 2
    assert "no IPv4 default gateway" in plan.warnings[0]
    assert "not reached over IPv4" in plan.warnings[1]


def test_the_same_route_twice_is_planned_once() -> None:
    assert len(draw(options("10.11.0.0/16", "10.11.0.0/16")).routes) == 1


def test_second_route_to_the_same_place_is_left_out_with_a_warning() -> None:
    routes = RouteOptions(
        route_gateway=VPN_GATEWAY,
        routes=(route("10.11.0.0/16"), route("10.11.0.0/16", RouteKeyword.NET_GATEWAY)),
    )
    plan = draw(routes)
    assert told(plan.routes) == [f"route 10.11.0.0/16 {VIA}"]
    (warning,) = plan.warnings
    assert "via 192.0.2.1 dev wlan0 was left out" in warning


def test_ipv6_routes_name_only_the_device() -> None:
    routes = RouteOptions(routes_ipv6=(route6("fd00:11::/64"), route6("fd00:12::/64", 33)))
    plan = draw(routes, DUAL)
    assert told(plan.routes) == [
        "route fd00:11::/64 dev tun0",
        "route fd00:12::/64 dev tun0 metric 33",
    ]
    assert str(plan.facts.routes_ipv6[0].gateway) == "fd00:8::1"


def test_ipv6_route_on_tap_names_the_gateway() -> None:
    routes = RouteOptions(routes_ipv6=(route6("fd00:11::/64"),))
    plan = draw(routes, replace(DUAL, dev_type=DeviceType.TAP))
    assert told(plan.routes) == ["route fd00:11::/64 via fd00:8::1 dev tun0"]


def test_ipv6_routes_without_an_address_are_warned_of() -> None:
    plan = draw(RouteOptions(routes_ipv6=(route6("fd00:11::/64"),)))
    assert any("no IPv6 address" in warning for warning in plan.warnings)


def test_route_noexec_plans_nothing_but_tells_scripts() -> None:
    plan = draw(options("10.11.0.0/16", redirect_gateway=flags("def1"), route_noexec=True))
    assert plan.routes == ()
    assert [str(each.network) for each in plan.facts.routes] == ["10.11.0.0/16"]
    assert plan.facts.vpn_gateway == VPN_GATEWAY
    assert str(plan.facts.net_gateway) == "192.0.2.1"


# --- redirection -------------------------------------------------------------------------------


def test_def1_covers_everything_by_two_halves() -> None:
    plan = draw(options("10.11.0.0/16", redirect_gateway=flags("def1")))
    assert told(plan.routes) == [BYPASS, *HALVES, f"route 10.11.0.0/16 {VIA}"]
    assert plan.facts.redirect_gateway


def test_without_def1_the_default_route_is_replaced() -> None:
    plan = draw(options(redirect_gateway=flags()))
    assert told(plan.routes) == [
        BYPASS,
        "-route 0.0.0.0/0 via 192.0.2.1 dev wlan0 metric 600",
        f"route 0.0.0.0/0 {VIA}",
    ]


def test_redirect_private_keeps_the_default_route() -> None:
    plan = draw(options("10.11.0.0/16", redirect_private=flags("def1")))
    assert told(plan.routes) == [BYPASS, f"route 10.11.0.0/16 {VIA}"]
    assert plan.facts.redirect_gateway


def test_local_needs_no_bypass() -> None:
    assert told(draw(options(redirect_gateway=flags("def1", "local"))).routes) == HALVES


def test_autolocal_sees_whether_the_server_is_local() -> None:
    wanted = options(redirect_gateway=flags("def1", "autolocal"))
    assert told(draw(wanted).routes) == [BYPASS, *HALVES]
    near = replace(UNDERLAY, server=Gateway(address=None, device="wlan0", index=3))
    assert told(draw(wanted, underlay=near, server="192.0.2.77").routes) == HALVES


def test_bypass_dns_and_dhcp_keep_their_servers() -> None:
    plan = draw(options(redirect_gateway=flags("def1", "bypass-dns", "bypass-dhcp")))
    assert told(plan.routes) == [
        BYPASS,
        "route 192.0.2.1/32 dev wlan0 (bypass)",
        "route 203.0.113.53/32 via 192.0.2.1 dev wlan0 (bypass)",
        *HALVES,
    ]


def test_block_local_sends_the_local_network_into_the_tunnel() -> None:
    plan = draw(options(redirect_gateway=flags("def1", "block-local")))
    assert told(plan.routes) == [
        BYPASS,
        "route 192.0.2.1/32 dev wlan0 (bypass)",
        f"route 192.0.2.0/25 {VIA}",
        f"route 192.0.2.128/25 {VIA}",
        *HALVES,
    ]


def test_block_local_spares_the_network_of_a_local_server() -> None:
    near = replace(UNDERLAY, server=Gateway(address=None, device="wlan0", index=3))
    wanted = options(redirect_gateway=flags("def1", "block-local"))
    assert told(draw(wanted, underlay=near, server="192.0.2.77").routes) == [
        "route 192.0.2.77/32 dev wlan0 (bypass)",
        *HALVES,
    ]


@pytest.mark.parametrize("option", ["redirect_gateway", "redirect_private"])
def test_ipv6_flag_redirects_ipv6_in_four_parts(option: str) -> None:
    plan = draw(options(**{option: flags("ipv6", "!ipv4")}), DUAL)
    assert told(plan.routes) == [
        "route ::/3 dev tun0",
        "route 2000::/4 dev tun0",
        "route 3000::/4 dev tun0",
        "route fc00::/7 dev tun0",
    ]
    assert not plan.facts.redirect_gateway


def test_ipv6_server_keeps_its_way_when_ipv6_is_redirected() -> None:
    far = Gateway(address=None, device="wlan0", index=3)
    underlay = replace(UNDERLAY, server=replace(far, address=UNDERLAY.gateway_ipv6.address))  # type: ignore[union-attr]  # it has one
    plan = draw(
        options(redirect_gateway=flags("ipv6", "!ipv4")), DUAL, underlay, server="2001:db8::7"
    )
    assert told(plan.routes)[0] == "route 2001:db8::7/128 via fe80::1 dev wlan0 (bypass)"


def test_redirect_without_vpn_gateway_is_a_warning() -> None:
    plan = draw(RouteOptions(redirect_gateway=flags("def1")))
    assert HALVES[0] not in told(plan.routes)
    assert any("VPN gateway parameter" in warning for warning in plan.warnings)
    assert not plan.facts.redirect_gateway


def test_redirect_without_default_gateway_is_a_warning() -> None:
    plan = draw(options(redirect_gateway=flags("def1")), underlay=UnderlaySnapshot())
    assert HALVES[0] not in told(plan.routes)
    assert any("Cannot read current default gateway" in warning for warning in plan.warnings)


# --- the server stays outside ------------------------------------------------------------------


@pytest.mark.parametrize("network", ["0.0.0.0/0", "198.51.100.0/24"])
def test_pushed_route_over_the_server_gets_a_bypass(network: str) -> None:
    plan = draw(options(network))
    assert told(plan.routes) == [BYPASS, f"route {network} {VIA}"]
    assert (
        plan.routes[0].reason == f"the route {network} into the tunnel covers the server's address"
    )


def test_pushed_route_to_the_server_itself_gives_way_to_its_bypass() -> None:
    plan = draw(options("198.51.100.7/32"))
    assert told(plan.routes) == [BYPASS]
    assert "198.51.100.7/32 via 10.8.0.1 dev tun0 was left out" in plan.warnings[0]


def test_pushed_ipv6_route_over_the_server_gets_a_bypass() -> None:
    routes = RouteOptions(routes_ipv6=(route6("2001:db8::/32"),))
    plan = draw(routes, DUAL, replace(UNDERLAY, server=UNDERLAY.gateway_ipv6), "2001:db8::7")
    assert told(plan.routes)[0] == "route 2001:db8::7/128 via fe80::1 dev wlan0 (bypass)"


def test_tunnel_subnet_over_the_server_gets_a_bypass() -> None:
    tun = replace(SUBNET, ifconfig=(IPv4Address("198.51.100.99"), IPv4Address("255.255.255.0")))
    plan = draw(RouteOptions(), tun)
    assert told(plan.routes) == [BYPASS]
    assert "own subnet 198.51.100.0/24" in plan.routes[0].reason


def test_unrelated_routes_need_no_bypass() -> None:
    assert told(draw(options("10.11.0.0/16")).routes) == [f"route 10.11.0.0/16 {VIA}"]


def test_covered_server_without_known_way_is_a_warning() -> None:
    plan = draw(options("0.0.0.0/0"), underlay=UnderlaySnapshot())
    assert any("expect the tunnel to stop working" in warning for warning in plan.warnings)


def test_server_on_the_link_is_kept_on_the_link() -> None:
    near = replace(UNDERLAY, server=Gateway(address=None, device="wlan0", index=3))
    plan = draw(options(redirect_gateway=flags("def1")), underlay=near, server="192.0.2.77")
    assert told(plan.routes)[0] == "route 192.0.2.77/32 dev wlan0 (bypass)"


def test_bypass_alone_for_another_server() -> None:
    item = plan_bypass(IPv4Address("198.51.100.8"), UNDERLAY, "the next remote")
    assert item is not None
    assert told((item,)) == ["route 198.51.100.8/32 via 192.0.2.1 dev wlan0 (bypass)"]
    assert plan_bypass(IPv4Address("198.51.100.8"), UnderlaySnapshot(), "none") is None


def test_every_step_has_a_reason_in_words() -> None:
    routes = options(
        "10.11.0.0/16",
        redirect_gateway=flags("def1", "ipv6", "bypass-dns", "bypass-dhcp", "block-local"),
    )
    plan = draw(routes, DUAL)
    for item in (*plan.interface, *plan.routes):
        assert len(item.reason.split()) > 3


def test_other_networks_of_the_host_stay() -> None:
    other = LocalNetwork(device="eth1", interface=IPv6Interface("2001:db8:1::1/64"))
    third = LocalNetwork(device="eth1", interface=IPv4Interface("203.0.113.1/24"))
    underlay = replace(UNDERLAY, networks=(*UNDERLAY.networks, other, third))
    plan = draw(options(redirect_gateway=flags("def1", "block-local")), underlay=underlay)
    assert not [line for line in told(plan.routes) if "203.0.113.0" in line]
    assert HOME.device == "wlan0"
