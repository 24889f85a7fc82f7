"""Words of route options become addresses, or a warning that names the line."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest

from ginnel.host.route_words import (
    net_gateway,
    redirect_flags,
    resolve_routes,
    vpn_gateway,
)
from ginnel.host.underlay import Gateway, UnderlaySnapshot
from ginnel.options.model import RedirectFlag, RouteKeyword, RouteOptions, Topology
from tests.unit.host.plans import DUAL, SUBNET, UNDERLAY, VPN_GATEWAY, config, route, route6


def test_gateway_of_the_vpn_is_named_or_the_peer() -> None:
    named = config(RouteOptions(route_gateway=VPN_GATEWAY)).options
    assert vpn_gateway(named) == VPN_GATEWAY
    peer = replace(SUBNET, topology=Topology.NET30)
    assert vpn_gateway(config(RouteOptions(), peer).options) == IPv4Address("255.255.255.0")
    assert vpn_gateway(config(RouteOptions()).options) is None


def test_gateway_of_the_net_is_an_ipv4_address() -> None:
    assert net_gateway(UNDERLAY) == IPv4Address("192.0.2.1")
    assert net_gateway(UnderlaySnapshot()) is None
    odd = Gateway(address=IPv6Address("fe80::1"), device="wlan0", index=3)
    assert net_gateway(UnderlaySnapshot(gateway_ipv4=odd)) is None


def test_flags_of_both_options_count() -> None:
    both = RouteOptions(
        redirect_gateway=frozenset({RedirectFlag.DEF1}),
        redirect_private=frozenset({RedirectFlag.LOCAL}),
    )
    assert redirect_flags(both) == {RedirectFlag.DEF1, RedirectFlag.LOCAL}
    assert redirect_flags(RouteOptions()) == frozenset()


def test_metric_zero_is_no_metric() -> None:
    routes = RouteOptions(
        route_gateway=VPN_GATEWAY,
        route_metric=0,
        routes=(route("10.0.0.0/8"), route("10.1.0.0/16", metric=0)),
        routes_ipv6=(route6("fd00::/8"),),
    )
    resolved = resolve_routes(config(routes, DUAL), UNDERLAY)
    assert [each.metric for each in resolved.ipv4] == [None, None]
    assert [each.metric for each in resolved.ipv6] == [None]


def test_redirected_ipv6_carries_gateway_and_metric() -> None:
    routes = RouteOptions(redirect_private=frozenset({RedirectFlag.IPV6}), route_metric=9)
    resolved = resolve_routes(config(routes, DUAL), UNDERLAY)
    assert [str(each.network) for each in resolved.ipv6] == [
        "::/3",
        "2000::/4",
        "3000::/4",
        "fc00::/7",
    ]
    assert {(str(each.gateway), each.metric) for each in resolved.ipv6} == {("fd00:8::1", 9)}


@pytest.mark.parametrize(
    ("keyword", "cause"),
    [
        (RouteKeyword.VPN_GATEWAY, "neither"),
        (RouteKeyword.VPN_GATEWAY, "needs a gateway parameter"),
        (RouteKeyword.NET_GATEWAY, "no IPv4 default gateway"),
        (RouteKeyword.REMOTE_HOST, "not reached over IPv4"),
    ],
)
def test_word_without_answer_is_a_warning(keyword: RouteKeyword, cause: str) -> None:
    routes = RouteOptions(routes=(route(keyword, "192.0.2.5"),))
    resolved = resolve_routes(config(routes, server="2001:db8::7"), UnderlaySnapshot())
    assert resolved.ipv4 == ()
    (warning,) = resolved.warnings
    assert warning.startswith(f"ROUTE: route {keyword.value} (client.ovpn:12) was left out: ")
    assert (cause in warning) == (cause != "neither")
