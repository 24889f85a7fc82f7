"""Plans and snapshots that the host tests share."""

import json
import subprocess
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from ginnel.core.actions import TunnelConfig
from ginnel.core.types import Endpoint, PeerId
from ginnel.options.model import (
    ClientOptions,
    RedirectFlag,
    Route4,
    Route6,
    RouteKeyword,
    RouteOptions,
    Topology,
    TunOptions,
)
from ginnel.options.values import Origin

SERVER = Endpoint(IPv4Address("198.51.100.7"), 1194)
_PUSH = Origin("[PUSH-OPTIONS]", 0)


def ip(*words: str) -> str:
    """Runs ``ip`` in the current namespace and returns what it prints."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=True)
    return done.stdout


def host_state() -> list[str]:
    """Everything that must be as before: links, addresses, routes of all tables, rules."""
    commands = (
        ("-d", "link"),
        ("-d", "addr"),
        ("-d", "route", "show", "table", "all"),
        ("-d", "-6", "route", "show", "table", "all"),
        ("rule",),
        ("-6", "rule"),
    )
    return [line for command in commands for line in _items(ip("-j", *command))]


def differences(before: list[str], after: list[str]) -> list[str]:
    """What is only in one of two states; the same things in another order count as different."""
    gone = [f"missing: {line}" for line in before if line not in after]
    new = [f"new: {line}" for line in after if line not in before]
    if before != after and not gone and not new:
        return ["another order"]
    return gone + new


def _items(text: str) -> list[str]:
    return [json.dumps(item, sort_keys=True) for item in json.loads(text)]


def route(network: str, gateway: RouteKeyword | None = None, metric: int | None = None) -> Route4:
    """A pushed ``route``."""
    return Route4(network=IPv4Network(network), gateway=gateway, metric=metric, origin=_PUSH)


def route6(network: str) -> Route6:
    """A pushed ``route-ipv6``."""
    return Route6(network=IPv6Network(network), gateway=None, metric=None, origin=_PUSH)


def tunnel_config(flags: frozenset[RedirectFlag] | None, *routes: Route4) -> TunnelConfig:
    """A tunnel in topology subnet with IPv4 and IPv6 inside."""
    options = ClientOptions(
        profiles=(),
        tun=TunOptions(
            topology=Topology.SUBNET,
            ifconfig=(IPv4Address("10.8.0.4"), IPv4Address("255.255.255.0")),
            ifconfig_ipv6=IPv6Interface("fd00:8::4/64"),
            ifconfig_ipv6_remote=IPv6Address("fd00:8::1"),
            txqueuelen=321,
        ),
        routes=RouteOptions(
            route_gateway=IPv4Address("10.8.0.1"),
            redirect_gateway=flags,
            routes=routes or (route("10.11.0.0/16"), route("203.0.113.9/32", NET_GATEWAY)),
            routes_ipv6=(route6("fd00:11::/64"),),
        ),
    )
    return TunnelConfig(
        options=options,
        remote=SERVER,
        peer_id=PeerId(0),
        send_peer_id=PeerId(0),
        tun_mtu=1360,
        mss_ipv4=0,
        mss_ipv6=0,
        device_items=(),
        allow_float=False,
    )


NET_GATEWAY = RouteKeyword.NET_GATEWAY


def with_tun(config: TunnelConfig, tun: TunOptions) -> TunnelConfig:
    """The same tunnel with other device options."""
    return replace(config, options=replace(config.options, tun=tun))


if __name__ == "__main__":
    for item in host_state():
        print(item)
