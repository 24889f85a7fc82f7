"""Two plans become changes in an order that never cuts the tunnel off."""

from dataclasses import replace
from ipaddress import IPv4Address

from ginnel.host.diff import Change, Do, changes, diff
from ginnel.host.plan import HostPlan
from ginnel.host.steps import SetLink, describe
from ginnel.host.underlay import Gateway
from ginnel.options.model import RedirectFlag, RouteOptions
from tests.unit.host.plans import DUAL, SUBNET, UNDERLAY, VPN_GATEWAY, draw, route

DEF1 = frozenset({RedirectFlag.DEF1})


def told(changed: tuple[Change, ...]) -> list[str]:
    return [f"{'+' if isinstance(c, Do) else '-'} {describe(c.step)}" for c in changed]


def options(*networks: str, redirect: bool = False) -> RouteOptions:
    return RouteOptions(
        route_gateway=VPN_GATEWAY,
        routes=tuple(route(network) for network in networks),
        redirect_gateway=DEF1 if redirect else None,
    )


def test_equal_plans_need_nothing() -> None:
    plan = draw(options("10.11.0.0/16", redirect=True), DUAL)
    assert diff(plan, plan) == ()


def test_first_plan_is_carried_out_in_order() -> None:
    plan = draw(options("10.11.0.0/16"))
    everything = (*plan.interface, *plan.routes)
    assert diff(HostPlan(), plan) == changes(everything)


def test_new_routes_are_added_and_old_ones_go() -> None:
    old, new = draw(options("10.11.0.0/16")), draw(options("10.12.0.0/16"))
    assert told(diff(old, new)) == [
        "- route 10.11.0.0/16 via 10.8.0.1 dev tun0",
        "+ route 10.12.0.0/16 via 10.8.0.1 dev tun0",
    ]


def test_bypass_to_a_new_server_comes_before_the_old_one_goes() -> None:
    old = draw(options(redirect=True))
    new = draw(options(redirect=True), server="198.51.100.8")
    assert told(diff(old, new)) == [
        "+ route 198.51.100.8/32 via 192.0.2.1 dev wlan0",
        "- route 198.51.100.7/32 via 192.0.2.1 dev wlan0",
    ]


def test_bypass_by_a_new_gateway_waits_for_the_old_one() -> None:
    moved = Gateway(address=IPv4Address("203.0.113.1"), device="wwan0", index=4)
    old = draw(options(redirect=True))
    new = draw(options(redirect=True), underlay=replace(UNDERLAY, gateway_ipv4=moved, server=moved))
    assert told(diff(old, new)) == [
        "- route 198.51.100.7/32 via 192.0.2.1 dev wlan0",
        "+ route 198.51.100.7/32 via 203.0.113.1 dev wwan0",
    ]


def test_other_mtu_is_set_without_taking_the_link_down() -> None:
    old = draw(options("10.11.0.0/16"), SUBNET)
    first = old.interface[0]
    assert isinstance(first.step, SetLink)
    smaller = replace(first, step=replace(first.step, mtu=1280))
    new = replace(old, interface=(smaller, *old.interface[1:]))
    assert told(diff(old, new)) == ["+ link tun0 mtu 1280"]


def test_other_address_renews_the_routes_that_hang_on_it() -> None:
    other = replace(SUBNET, ifconfig=(IPv4Address("10.8.0.9"), IPv4Address("255.255.255.0")))
    old, new = (
        draw(options("10.11.0.0/16", redirect=True)),
        draw(options("10.11.0.0/16", redirect=True), other),
    )
    changed = told(diff(old, new))
    assert changed.index("- route 10.11.0.0/16 via 10.8.0.1 dev tun0") < changed.index(
        "- address 10.8.0.4/24 dev tun0"
    )
    assert changed.index("+ address 10.8.0.9/24 dev tun0") < changed.index(
        "+ route 10.11.0.0/16 via 10.8.0.1 dev tun0"
    )
    assert not [line for line in changed if "198.51.100.7" in line]
