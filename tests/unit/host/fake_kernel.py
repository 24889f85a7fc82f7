"""A kernel in memory: links, addresses and routes with the rules that steps rely on."""

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_network

from ginnel.core.errors import HostError
from ginnel.core.types import IPAddress, IPNetwork
from ginnel.host.rtnetlink import (
    PROTOCOL_BOOT,
    TABLE_MAIN,
    TYPE_UNICAST,
    AddressState,
    LinkState,
    NoSuchThing,
    RouteState,
    decode_route,
    encode_route,
)
from ginnel.host.steps import kernel_metric

EEXIST = 17


@dataclass(slots=True)
class FakeKernel:
    """Behaves as one namespace. ``refuse`` names calls that fail with EPERM."""

    links: dict[int, LinkState] = field(default_factory=dict)
    known_addresses: list[AddressState] = field(default_factory=list)
    known_routes: list[RouteState] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)

    def state(self) -> tuple[object, ...]:
        """Everything, in an order of its own, for comparison."""
        return (
            sorted(self.links.items()),
            sorted(map(repr, self.known_addresses)),
            sorted(map(repr, self.known_routes)),
        )

    def link(self, index: int) -> LinkState | None:
        return self.links.get(index)

    def addresses(self) -> list[AddressState]:
        return list(self.known_addresses)

    def routes(self, version: int, table: int = TABLE_MAIN) -> list[RouteState]:
        known = (route for route in self.known_routes if route.network.version == version)
        return [route for route in known if route.table == table]

    def routes_to(self, network: IPNetwork, table: int) -> list[RouteState]:
        return [r for r in self.routes(network.version, table) if r.network == network]

    def set_link(
        self,
        index: int,
        *,
        up: bool | None = None,
        mtu: int | None = None,
        txqueuelen: int | None = None,
    ) -> None:
        self._note("set_link")
        link = self._existing(index)
        self.links[index] = replace(
            link,
            up=link.up if up is None else up,
            mtu=link.mtu if mtu is None else mtu,
            txqueuelen=link.txqueuelen if txqueuelen is None else txqueuelen,
        )

    def delete_link(self, index: int) -> None:
        self._note("delete_link")
        self._existing(index)
        del self.links[index]
        self.known_addresses = [a for a in self.known_addresses if a.index != index]
        self.known_routes = [r for r in self.known_routes if r.index != index]

    def add_address(
        self, index: int, local: IPAddress, prefix: int, peer: IPAddress | None
    ) -> None:
        self._note("add_address")
        self._existing(index)
        new = AddressState(index=index, local=local, prefix=prefix, peer=peer)
        if new in self.known_addresses:
            raise HostError("add address", EEXIST, "File exists")
        self.known_addresses.append(new)

    def delete_address(
        self, index: int, local: IPAddress, prefix: int, peer: IPAddress | None
    ) -> None:
        """Also drops the routes of that family on the device, as the kernel does."""
        self._note("delete_address")
        old = AddressState(index=index, local=local, prefix=prefix, peer=peer)
        if old not in self.known_addresses:
            raise NoSuchThing("delete address", 99, "not there")
        self.known_addresses.remove(old)
        self.known_routes = [
            route
            for route in self.known_routes
            if route.index != index or route.network.version != local.version
        ]

    def add_route(
        self,
        network: IPNetwork,
        *,
        gateway: IPAddress | None,
        index: int | None,
        metric: int | None,
        table: int = TABLE_MAIN,
    ) -> None:
        self._note("add_route")
        number = kernel_metric(network, metric)
        message = encode_route(network, gateway=gateway, index=index, metric=number, table=table)
        self._insert(message, network)

    def delete_route(self, route: RouteState) -> None:
        self._note("delete_route")
        if route not in self.known_routes:
            raise NoSuchThing("delete route", 3, "not there")
        self.known_routes.remove(route)

    def put_back_route(self, message: bytes) -> None:
        self._note("put_back_route")
        self._insert(message, None)

    def _insert(self, message: bytes, network: IPNetwork | None) -> None:
        route = decode_route(message)
        assert route is not None
        if route.index is not None:
            self._existing(route.index)
        taken = {(known.network, known.metric, known.table) for known in self.known_routes}
        if (network or route.network, route.metric, route.table) in taken:
            raise HostError("add route", EEXIST, "File exists")
        self.known_routes.append(route)

    def _existing(self, index: int) -> LinkState:
        if index not in self.links:
            raise NoSuchThing("link", 19, "No such device")
        return self.links[index]

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if call in self.refuse:
            raise HostError(call, 1, "Operation not permitted")


def fake_link(index: int, name: str, kind: str = "", mtu: int = 1500) -> LinkState:
    """A device that is down."""
    return LinkState(index=index, name=name, mtu=mtu, txqueuelen=500, up=False, kind=kind)


def fake_route(
    network: str,
    gateway: IPAddress | None,
    index: int,
    metric: int = 0,
    protocol: int = PROTOCOL_BOOT,
) -> RouteState:
    """A unicast route of the main table, as the kernel would tell it."""
    parsed: IPv4Network | IPv6Network = ip_network(network)
    return RouteState(
        network=parsed,
        gateway=gateway,
        index=index,
        metric=kernel_metric(parsed, metric),
        table=TABLE_MAIN,
        protocol=protocol,
        kind=TYPE_UNICAST,
        source=None,
        message=encode_route(
            parsed,
            gateway=gateway,
            index=index,
            metric=kernel_metric(parsed, metric),
            protocol=protocol,
        ),
    )
