"""Resolves names that stand in place of addresses in the options of a tunnel.

``route`` takes them from a file, and with ``allow-pull-fqdn`` also from the server, together with
``ifconfig`` and ``route-gateway``. They are looked up each time a tunnel opens, as OpenVPN does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from ipaddress import IPv4Address, IPv4Network

from ginnel.core.actions import TunnelConfig
from ginnel.core.errors import HostError
from ginnel.dataclass import replace
from ginnel.options.model import ClientOptions, HostName, Route4

MAX_NAMES = 1024
"""Further names are not looked up: each costs a question to a resolver."""

AT_ONCE = 16

Lookup = Callable[[str], Awaitable[tuple[IPv4Address, ...]]]
"""Gives a name's IPv4 addresses. Raises OSError when there are none."""


async def resolve_names(
    config: TunnelConfig, lookup: Lookup, on_failure: Callable[[str, str], None]
) -> TunnelConfig:
    """Puts addresses in place of names. A route whose name does not resolve keeps it.

    ``on_failure`` is told name and cause. Raises HostError when an address of the tunnel itself
    does not resolve.
    """
    options = config.options
    names = list(dict.fromkeys(_names(options)))[:MAX_NAMES]
    if not names:
        return config
    limit = asyncio.Semaphore(AT_ONCE)
    known: dict[str, tuple[IPv4Address, ...]] = {}

    async def ask(name: str) -> None:
        async with limit:
            try:
                known[name] = await lookup(name)
            except OSError as error:
                on_failure(name, error.strerror or "unknown resolver error")

    async with asyncio.TaskGroup() as tasks:
        for name in names:
            tasks.create_task(ask(name), name=f"resolve {name}")
    return replace(config, options=_resolved(options, known))


def _names(options: ClientOptions) -> Iterator[str]:
    for pair in (options.tun.ifconfig_names or (), (options.routes.route_gateway_name,)):
        yield from (word.name for word in pair if word is not None)
    for route in options.routes.routes:
        yield from (w.name for w in (route.network, route.gateway) if isinstance(w, HostName))


def _resolved(options: ClientOptions, known: dict[str, tuple[IPv4Address, ...]]) -> ClientOptions:
    tun, routes = options.tun, options.routes
    if tun.ifconfig_names is not None:
        local, second = (_first(word, known) for word in tun.ifconfig_names)
        if local is None or second is None:
            raise HostError("ifconfig", 0, "a pushed name does not resolve")
        tun = replace(tun, ifconfig=(local, second), ifconfig_names=None)
    gateway = routes.route_gateway
    if routes.route_gateway_name is not None:
        gateway = _first(routes.route_gateway_name, known)
    routes = replace(
        routes,
        routes=tuple(found for route in routes.routes for found in _route(route, known)),
        route_gateway=gateway,
        route_gateway_name=None,
    )
    return replace(options, tun=tun, routes=routes)


def _first(word: HostName, known: dict[str, tuple[IPv4Address, ...]]) -> IPv4Address | None:
    found = known.get(word.name)
    return found[0] if found else None


def _route(route: Route4, known: dict[str, tuple[IPv4Address, ...]]) -> Iterator[Route4]:
    """One route for each address of a name."""
    if isinstance(route.gateway, HostName):
        route = replace(route, gateway=_first(route.gateway, known) or route.gateway)
    if not isinstance(route.network, HostName) or not known.get(route.network.name):
        yield route
        return
    for address in known[route.network.name]:
        network = IPv4Network((address, route.network.bits), strict=False)
        yield replace(route, network=network)
