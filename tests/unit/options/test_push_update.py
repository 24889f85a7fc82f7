"""What an update makes of what was pushed before: removal, replacement, options that may fail."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from ginnel.options.model import ClientOptions, PullFilter, PullVerdict, RedirectFlag, Topology
from ginnel.options.push_update import UpdateResult, apply_update
from tests.unit.options.memory_files import run

BASE = run("--route", "172.16.0.0", "255.240.0.0", "--dhcp-option", "DOMAIN", "own.example").options
REPLY = (
    "topology subnet",
    "route-gateway 10.8.0.1",
    "route 10.0.0.0 255.0.0.0",
    "route 192.168.7.0 255.255.255.0",
    "dhcp-option DNS 10.8.0.1",
    "redirect-gateway def1",
    "ifconfig 10.8.0.2 255.255.255.0",
    "tun-mtu 1400",
    "ping 10",
    "ping-restart 60",
    "peer-id 3",
    "auth-token secret",
)


def update(*items: str, base: ClientOptions = BASE) -> UpdateResult:
    return apply_update(base, REPLY, items)


def networks(result: UpdateResult) -> list[str]:
    return [str(route.network) for route in result.push.options.routes.routes]


def test_the_first_of_a_kind_takes_the_place_of_all_before() -> None:
    result = update("route 10.1.0.0 255.255.0.0", "route 10.2.0.0 255.255.0.0")
    assert result.failure is None
    assert networks(result) == ["172.16.0.0/12", "10.1.0.0/16", "10.2.0.0/16"]
    assert result.groups == ("route options",)
    assert result.push.options.tun.ifconfig == (
        IPv4Address("10.8.0.2"),
        IPv4Address("255.255.255.0"),
    )


@pytest.mark.parametrize("minus", ["-route", "-?route", "-route 10.0.0.0 255.0.0.0"])
def test_removal_takes_all_of_a_kind_that_the_server_pushed(minus: str) -> None:
    assert networks(update(minus)) == ["172.16.0.0/12"]


def test_removal_of_what_stands_alone() -> None:
    options = update("-redirect-gateway", "-dhcp-option", "-ifconfig", "-tun-mtu").push.options
    assert options.routes.redirect_gateway is None
    assert options.dns.dhcp_options == (("DOMAIN", "own.example"),)
    assert options.tun.ifconfig is None
    assert (options.tun.tun_mtu, options.tun.tun_mtu_pushed) == (1500, False)


def test_one_update_builds_on_the_last() -> None:
    first = update("route 10.1.0.0 255.255.0.0")
    second = apply_update(BASE, first.items, ("dhcp-option DNS 10.8.0.9", "topology p2p"))
    assert networks(second) == ["172.16.0.0/12", "10.1.0.0/16"]
    assert second.push.options.dns.dhcp_options == (("DOMAIN", "own.example"), ("DNS", "10.8.0.9"))
    assert second.push.options.tun.topology is Topology.P2P


def test_removed_and_given_anew_in_one_update() -> None:
    result = update("-route", "route 10.3.0.0 255.255.0.0", "route 10.4.0.0 255.255.0.0")
    assert networks(result) == ["172.16.0.0/12", "10.3.0.0/16", "10.4.0.0/16"]


def test_keepalive_is_both_halves() -> None:
    link = update("keepalive 5 30").push.options.link
    assert (link.ping, link.ping_restart) == (5, 30)
    assert update("-keepalive").push.options.link.ping == 0


def test_what_is_not_named_stays() -> None:
    result = update("redirect-gateway ipv6")
    assert result.push.options.routes.redirect_gateway == frozenset({RedirectFlag.IPV6})
    assert result.push.options.data.peer_id == 3
    assert update().items == REPLY


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ("cipher AES-128-GCM", "not an option that can be updated"),
        ("peer-id 4", "not an option that can be updated"),
        ("no-such-option 1", "not an option that can be updated"),
        ("?-route 10.0.0.0", "-route"),
        ("- route", "not an option"),
        ("-", "not an option"),
        ("route nonsense/x", "IPv4 address"),
        ("tun-mtu 70000", "tun-mtu"),
        ("keepalive x y", "ping"),
        ("keepalive", "expected: keepalive interval timeout"),
        ('route "10.0.0.0', "quot"),
    ],
)
def test_what_the_server_insists_on_must_be_taken(item: str, why: str) -> None:
    result = update("route 10.1.0.0 255.255.0.0", item)
    if item.startswith("?"):
        assert result.failure is None
        assert result.left_out
        return
    assert result.failure is not None
    assert result.failure.startswith(f"Offending option received from server: '{item}': ")
    assert why.lower() in result.failure.lower()


@pytest.mark.parametrize("item", ["?cipher AES-128-GCM", "?no-such 1", "-?whatever", "?route x/y"])
def test_optional_items_may_be_left_out(item: str) -> None:
    result = update(item, "dhcp-option DNS 10.8.0.7")
    assert result.failure is None
    assert [left for left, _ in result.left_out] == [item]
    assert networks(result) == ["172.16.0.0/12", "10.0.0.0/8", "192.168.7.0/24"]
    assert ("DNS", "10.8.0.7") in result.push.options.dns.dhcp_options


def test_pull_filters_hold() -> None:
    def filtered(verdict: PullVerdict) -> ClientOptions:
        return replace(BASE, pull_filters=(PullFilter(verdict=verdict, prefix="route 10.9"),))

    ignored = update("route 10.9.0.0 255.255.0.0", base=filtered(PullVerdict.IGNORE))
    assert networks(ignored) == ["172.16.0.0/12", "10.0.0.0/8", "192.168.7.0/24"]
    rejected = update("route 10.9.0.0 255.255.0.0", base=filtered(PullVerdict.REJECT))
    assert rejected.failure is not None
    assert "pull-filter" in rejected.failure
    optional = update("?route 10.9.0.0 255.255.0.0", base=filtered(PullVerdict.REJECT))
    assert optional.failure is None


def test_route_nopull_keeps_routes_out_and_is_no_failure() -> None:
    base = replace(BASE, routes=replace(BASE.routes, route_nopull=True))
    result = update("route 10.1.0.0 255.255.0.0", base=base)
    assert result.failure is None
    assert networks(result) == ["172.16.0.0/12"]


def test_updates_are_bounded() -> None:
    result = update(*(f"?x{number}" for number in range(30_000)))
    assert len(result.left_out) == 64
    many = update(*(f"route 10.{n // 256}.{n % 256}.0 255.255.255.0" for n in range(1000)))
    assert len(many.push.options.routes.routes) == 1001
    assert IPv4Network("10.3.231.0/24") in [r.network for r in many.push.options.routes.routes]
