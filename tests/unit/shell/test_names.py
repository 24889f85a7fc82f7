"""Names in routes and addresses become what a resolver says, or are left out with a line."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from ginnel.core.actions import TunnelConfig
from ginnel.core.errors import HostError
from ginnel.host.plan import Device, plan_tunnel
from ginnel.options.model import HostName, Route4, RouteOptions
from ginnel.shell.names import MAX_NAMES, resolve_names
from tests.unit.host.plans import DUAL, UNDERLAY, config, route
from tests.unit.shell.loops import run

KNOWN = {
    "one.example": (IPv4Address("10.1.0.1"),),
    "two.example": (IPv4Address("10.2.0.1"), IPv4Address("10.2.0.2")),
}


class Resolver:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failed: list[tuple[str, str]] = []

    async def lookup(self, name: str) -> tuple[IPv4Address, ...]:
        self.asked.append(name)
        if name not in KNOWN:
            raise OSError(1, "not known")
        return KNOWN[name]

    def resolve(self, wanted: TunnelConfig) -> TunnelConfig:
        return run(resolve_names(wanted, self.lookup, lambda n, c: self.failed.append((n, c))))


def named(network: HostName, gateway: HostName | None = None) -> Route4:
    return replace(route("10.0.0.0/8"), network=network, gateway=gateway)


def test_each_address_of_a_name_is_a_route() -> None:
    routes = RouteOptions(routes=(named(HostName("two.example")), route("10.9.0.0/16")))
    found = Resolver().resolve(config(routes, DUAL)).options.routes.routes
    assert [entry.network for entry in found] == [
        IPv4Network("10.2.0.1/32"),
        IPv4Network("10.2.0.2/32"),
        IPv4Network("10.9.0.0/16"),
    ]


def test_mask_gateway_and_route_gateway() -> None:
    routes = RouteOptions(
        routes=(named(HostName("one.example", 24), HostName("two.example")),),
        route_gateway_name=HostName("one.example"),
    )
    resolver = Resolver()
    options = resolver.resolve(config(routes, DUAL)).options
    assert options.routes.routes[0].network == IPv4Network("10.1.0.0/24")
    assert options.routes.routes[0].gateway == IPv4Address("10.2.0.1")
    assert options.routes.route_gateway == IPv4Address("10.1.0.1")
    assert sorted(resolver.asked) == ["one.example", "two.example"]


def test_a_name_that_does_not_resolve_leaves_its_route_out() -> None:
    resolver = Resolver()
    routes = RouteOptions(routes=(named(HostName("gone.example")), route("10.9.0.0/16")))
    resolved = resolver.resolve(config(routes, DUAL))
    assert resolver.failed == [("gone.example", "not known")]
    plan = plan_tunnel(resolved, Device("tun0", 7), UNDERLAY)
    assert any("gone.example does not resolve" in line for line in plan.warnings)


def test_addresses_of_the_tunnel() -> None:
    made = config(RouteOptions(), DUAL)
    pair = (HostName("one.example"), HostName("two.example"))
    tun = replace(made.options.tun, ifconfig=None, ifconfig_names=pair)
    made = replace(made, options=replace(made.options, tun=tun))
    found = Resolver().resolve(made).options.tun
    assert found.ifconfig == (IPv4Address("10.1.0.1"), IPv4Address("10.2.0.1"))
    bad = replace(tun, ifconfig_names=(HostName("gone.example"), HostName("one.example")))
    with pytest.raises(HostError, match="does not resolve"):
        Resolver().resolve(replace(made, options=replace(made.options, tun=bad)))


def test_nothing_to_resolve_changes_nothing_and_many_names_are_bounded() -> None:
    resolver = Resolver()
    plain = config(RouteOptions(), DUAL)
    assert resolver.resolve(plain) is plain
    many = tuple(named(HostName(f"n{number}.example")) for number in range(MAX_NAMES + 50))
    resolver.resolve(config(RouteOptions(routes=many), DUAL))
    assert len(resolver.asked) == MAX_NAMES
