"""Tunnels and underlays that the host's unit tests share."""

from dataclasses import replace
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
)

from ginnel.core.actions import TunnelConfig
from ginnel.core.types import Endpoint, PeerId
from ginnel.host.plan import Device, HostPlan, Planned, plan_tunnel
from ginnel.host.steps import AddRoute, RemoveRoute, describe
from ginnel.host.underlay import Gateway, LocalNetwork, UnderlaySnapshot
from ginnel.options.model import (
    ClientOptions,
    Route4,
    Route6,
    RouteKeyword,
    RouteOptions,
    Topology,
    TunOptions,
)
from ginnel.options.values import Origin

DEVICE = Device("tun0", 7)
FILE = Origin("client.ovpn", 12)
HOME = Gateway(address=IPv4Address("192.0.2.1"), device="wlan0", index=3, metric=600)
HOME6 = Gateway(address=IPv6Address("fe80::1"), device="wlan0", index=3, metric=1024)
UNDERLAY = UnderlaySnapshot(
    gateway_ipv4=HOME,
    gateway_ipv6=HOME6,
    server=HOME,
    networks=(LocalNetwork(device="wlan0", interface=IPv4Interface("192.0.2.10/24")),),
    dns_servers=(IPv4Address("203.0.113.53"), IPv4Address("192.0.2.1")),
    dhcp_servers=(IPv4Address("192.0.2.1"),),
)
SUBNET = TunOptions(
    topology=Topology.SUBNET,
    ifconfig=(IPv4Address("10.8.0.4"), IPv4Address("255.255.255.0")),
)
DUAL = replace(
    SUBNET,
    ifconfig_ipv6=IPv6Interface("fd00:8::4/64"),
    ifconfig_ipv6_remote=IPv6Address("fd00:8::1"),
)
VPN_GATEWAY = IPv4Address("10.8.0.1")


def route(
    network: str | RouteKeyword,
    gateway: str | RouteKeyword | None = None,
    metric: int | None = None,
) -> Route4:
    """A ``route`` of the configuration file."""
    return Route4(
        network=IPv4Network(network) if isinstance(network, str) else network,
        gateway=IPv4Address(gateway) if isinstance(gateway, str) else gateway,
        metric=metric,
        origin=FILE,
    )


def route6(network: str, metric: int | None = None) -> Route6:
    """A ``route-ipv6`` likewise."""
    return Route6(network=IPv6Network(network), gateway=None, metric=metric, origin=FILE)


def config(
    routes: RouteOptions, tun: TunOptions = SUBNET, server: str = "198.51.100.7"
) -> TunnelConfig:
    """A tunnel to ``server``."""
    return TunnelConfig(
        options=ClientOptions(profiles=(), tun=tun, routes=routes),
        remote=Endpoint(ip_address(server), 1194),
        peer_id=PeerId(0),
        send_peer_id=PeerId(0),
        tun_mtu=1360,
        mss_ipv4=0,
        mss_ipv6=0,
        allow_float=False,
        device_items=(),
    )


def draw(
    routes: RouteOptions,
    tun: TunOptions = SUBNET,
    underlay: UnderlaySnapshot = UNDERLAY,
    server: str = "198.51.100.7",
) -> HostPlan:
    """Plans a tunnel."""
    return plan_tunnel(config(routes, tun, server), DEVICE, underlay)


def told(items: tuple[Planned, ...]) -> list[str]:
    """Steps in the words of ``ip``; a ``-`` marks a route that is taken away."""
    lines = []
    for item in items:
        sign = "-" if isinstance(item.step, RemoveRoute) else ""
        mark = " (bypass)" if item.bypass and isinstance(item.step, AddRoute) else ""
        lines.append(f"{sign}{describe(item.step)}{mark}")
    return lines
