"""What the network under the tunnel looks like: gateways, the way to the server, local networks.

The snapshot is a value; ``take_snapshot`` fills it in the helper by netlink and from the resolver's
and DHCP client's files. Nothing here changes anything.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_network,
)

from ginnel.core.types import IPAddress, IPNetwork
from ginnel.dataclass import dataclass
from ginnel.hints import Protocol
from ginnel.host.rtnetlink import TYPE_UNICAST, AddressState, LinkState, RouteState

OwnRoute = tuple[IPNetwork, IPAddress | None, int | None]
"""Network, gateway and device index of a route that we added."""

_FILE_LIMIT = 1 << 16
_SERVER_LIMIT = 8


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """A way out of this host. ``address`` is None when the destination is on the link itself."""

    address: IPAddress | None
    device: str
    index: int
    metric: int = 0
    source: IPAddress | None = None


@dataclass(frozen=True, kw_only=True)
class LocalNetwork:
    """An address of this host with the network it is on."""

    device: str
    interface: IPv4Interface | IPv6Interface


@dataclass(frozen=True, kw_only=True)
class UnderlaySnapshot:
    """The underlay at one moment, without our own tunnel devices."""

    gateway_ipv4: Gateway | None = None
    gateway_ipv6: Gateway | None = None
    server: Gateway | None = None
    """How the server is reached now, or None when it is not (or was not asked for)."""
    networks: tuple[LocalNetwork, ...] = ()
    dns_servers: tuple[IPAddress, ...] = ()
    dhcp_servers: tuple[IPv4Address, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SystemFiles:
    """Where the system keeps what netlink does not know."""

    resolver: tuple[str, ...] = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
    """In order; a later file is read only when the earlier named nothing but this host itself."""
    leases: tuple[tuple[str, str, str], ...] = (
        ("/run/systemd/netif/leases", "", ""),
        ("/var/lib/NetworkManager", "internal-", ".lease"),
        ("/var/lib/dhcp", "dhclient", ".leases"),
    )
    """Directories, with how the names of the leases in them begin and end."""


class Tables(Protocol):
    """Where links, addresses and routes are read: ``Netlink``, or ``tables.KeptTables``."""

    def links(self) -> list[LinkState]: ...
    def addresses(self) -> list[AddressState]: ...
    def routes(self, version: int) -> list[RouteState]: ...
    def route_to(self, destination: IPAddress) -> RouteState | None: ...


@dataclass(frozen=True)
class _Ours:
    """What of the host's network is our own doing."""

    devices: Collection[int]
    routes: Collection[OwnRoute]


def take_snapshot(
    tables: Tables,
    server: IPAddress | None,
    *,
    own_devices: Collection[int] = (),
    removed_defaults: Sequence[RouteState] = (),
    own_routes: Collection[OwnRoute] = frozenset(),
    files: SystemFiles | None = None,
) -> UnderlaySnapshot:
    """Reads the present state.

    ``own_devices`` are indexes of our tunnels, whose routes do not count; ``removed_defaults`` are
    default routes that we took away and that count as if they were there; ``own_routes`` are those
    we added, which do not count either: the way to the server is found without our route to it.
    Raises ``HostError``.
    """
    files = files or SystemFiles()
    links = {link.index: link for link in tables.links()}
    defaults: dict[int, Gateway | None] = {}
    for version in (4, 6):
        present = tables.routes(version)
        routes = [*present, *still_meant(removed_defaults, present)]
        defaults[version] = default_gateway(routes, links, version, own_devices)
    return UnderlaySnapshot(
        gateway_ipv4=defaults[4],
        gateway_ipv6=defaults[6],
        server=_path_to(tables, server, links, _Ours(own_devices, own_routes), defaults),
        networks=tuple(_networks(tables, links, own_devices)),
        dns_servers=_dns_servers(files),
        dhcp_servers=_dhcp_servers(files),
    )


def default_gateway(
    routes: Sequence[RouteState],
    links: dict[int, LinkState],
    version: int,
    own_devices: Collection[int],
) -> Gateway | None:
    """The default route in force among ``routes``: the lowest metric that is not through us."""
    found = [
        route
        for route in routes
        if route.network.prefixlen == 0
        and route.network.version == version
        and route.kind == TYPE_UNICAST
        and route.index in links
        and route.index not in own_devices
    ]
    if not found:
        return None
    return _gateway(min(found, key=lambda route: route.metric), links)


def still_meant(removed: Sequence[RouteState], present: Sequence[RouteState]) -> list[RouteState]:
    """Removed default routes that the system has not replaced by one on the same device.

    When the network changes, a new default route appears beside ours; what we took away is history.
    """
    replaced = {(r.network, r.index) for r in present if r.network.prefixlen == 0}
    return [route for route in removed if (route.network, route.index) not in replaced]


def narrowest(
    routes: Sequence[RouteState], server: IPAddress, links: dict[int, LinkState]
) -> RouteState | None:
    """The route for ``server`` among routes of the main table, as the kernel would choose."""
    found = [
        route
        for route in routes
        if route.kind == TYPE_UNICAST and route.index in links and server in route.network
    ]
    best = max(found, key=lambda route: (route.network.prefixlen, -route.metric), default=None)
    return None if best is None or best.network.prefixlen == 0 else best


def parse_resolver(text: str) -> tuple[IPAddress, ...]:
    """The ``nameserver`` addresses of a resolv.conf, without those on this host itself."""
    found: list[IPAddress] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            address = _address(words[1].partition("%")[0])
            if address is not None and not address.is_loopback and address not in found:
                found.append(address)
    return tuple(found[:_SERVER_LIMIT])


def parse_lease(text: str) -> tuple[IPv4Address, ...]:
    """The DHCP server of a lease: networkd and NetworkManager (key=value) or dhclient's form."""
    found: list[IPv4Address] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("SERVER_ADDRESS="):
            value = stripped.partition("=")[2]
        elif stripped.startswith("option dhcp-server-identifier "):
            value = stripped.removesuffix(";").rpartition(" ")[2]
        else:
            continue
        address = _address(value)
        if isinstance(address, IPv4Address) and address not in found:
            found.append(address)
    return tuple(found[-_SERVER_LIMIT:])


def _gateway(route: RouteState, links: dict[int, LinkState]) -> Gateway:
    assert route.index is not None
    return Gateway(
        address=route.gateway,
        device=links[route.index].name,
        index=route.index,
        metric=route.metric,
        source=route.source,
    )


def _path_to(
    tables: Tables,
    server: IPAddress | None,
    links: dict[int, LinkState],
    ours: _Ours,
    defaults: dict[int, Gateway | None],
) -> Gateway | None:
    """The present way to the server; through the default gateway while our own routes hide it."""
    if server is None:
        return None
    if any(network == ip_network(server) for network, _gateway, _index in ours.routes):
        found = [
            route
            for route in tables.routes(server.version)
            if route.index not in ours.devices
            and (route.network, route.gateway, route.index) not in ours.routes
        ]
        narrow = narrowest(found, server, links)
        return defaults[server.version] if narrow is None else _gateway(narrow, links)
    route = tables.route_to(server)
    if route is not None and route.kind == TYPE_UNICAST and route.index in links:
        if route.index not in ours.devices:
            return _gateway(route, links)
        return defaults[server.version]
    return None


def _networks(
    tables: Tables, links: dict[int, LinkState], own_devices: Collection[int]
) -> Iterator[LocalNetwork]:
    for state in tables.addresses():
        if state.index not in links or state.index in own_devices or state.local.is_loopback:
            continue
        interface = (
            IPv4Interface((state.local, state.prefix))
            if isinstance(state.local, IPv4Address)
            else IPv6Interface((state.local, state.prefix))
        )
        yield LocalNetwork(device=links[state.index].name, interface=interface)


def _dns_servers(files: SystemFiles) -> tuple[IPAddress, ...]:
    for path in files.resolver:
        servers = parse_resolver(_read(path))
        if servers:
            return servers
    return ()


def _dhcp_servers(files: SystemFiles) -> tuple[IPv4Address, ...]:
    found: dict[IPv4Address, None] = {}
    for folder, beginning, ending in files.leases:
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        leases = [name for name in names if name.startswith(beginning) and name.endswith(ending)]
        for name in leases[:32]:
            found.update(dict.fromkeys(parse_lease(_read(f"{folder}/{name}"))))
    return tuple(found)[:_SERVER_LIMIT]


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(_FILE_LIMIT).decode("utf-8", "replace")
    except OSError:
        return ""


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
