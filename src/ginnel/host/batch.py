"""Remembers addresses and routing tables for the length of one request.

Every step looks whether its route is there. Asking the kernel for the whole table each time would
make a thousand pushed routes cost a million decoded messages; within one request a table is read
once, is searched by destination, and is then kept up to date with our own changes.
"""

from ginnel.core.types import IPAddress, IPNetwork
from ginnel.host.rtnetlink import (
    TABLE_MAIN,
    AddressState,
    LinkState,
    RouteState,
    decode_route,
    encode_route,
)
from ginnel.host.steps import Kernel, kernel_metric

_Table = dict[IPNetwork, list[RouteState]]


class Batch:
    """A ``Kernel`` that reads each table once. Make a new one for each request."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._tables: dict[tuple[int, int], _Table] = {}
        """By IP version and number of the table."""
        self._addresses: list[AddressState] | None = None

    def link(self, index: int) -> LinkState | None:
        return self._kernel.link(index)

    def addresses(self) -> list[AddressState]:
        if self._addresses is None:
            self._addresses = self._kernel.addresses()
        return self._addresses

    def routes(self, version: int, table: int = TABLE_MAIN) -> list[RouteState]:
        return [route for found in self._table(version, table).values() for route in found]

    def routes_to(self, network: IPNetwork, table: int) -> list[RouteState]:
        return self._table(network.version, table).get(network, [])

    def _table(self, version: int, number: int) -> _Table:
        known = self._tables.get((version, number))
        if known is None:
            known = self._tables[version, number] = {}
            for route in self._kernel.routes(version, number):
                known.setdefault(route.network, []).append(route)
        return known

    def set_link(
        self,
        index: int,
        *,
        up: bool | None = None,
        mtu: int | None = None,
        txqueuelen: int | None = None,
    ) -> None:
        self._forget()  # the kernel adds and drops addresses and routes with a link's state
        self._kernel.set_link(index, up=up, mtu=mtu, txqueuelen=txqueuelen)

    def delete_link(self, index: int) -> None:
        self._forget()
        self._kernel.delete_link(index)

    def add_address(
        self, index: int, local: IPAddress, prefix: int, peer: IPAddress | None
    ) -> None:
        self._tables.clear()
        self._kernel.add_address(index, local, prefix, peer)
        if self._addresses is not None:
            added = AddressState(index=index, local=local, prefix=prefix, peer=peer)
            self._addresses.append(added)

    def delete_address(
        self, index: int, local: IPAddress, prefix: int, peer: IPAddress | None
    ) -> None:
        self._forget()  # with an address the kernel may drop those that depend on it
        self._kernel.delete_address(index, local, prefix, peer)

    def add_route(
        self,
        network: IPNetwork,
        *,
        gateway: IPAddress | None,
        index: int | None,
        metric: int | None,
        table: int = TABLE_MAIN,
    ) -> None:
        self._kernel.add_route(network, gateway=gateway, index=index, metric=metric, table=table)
        shown = kernel_metric(network, metric)
        route = decode_route(
            encode_route(network, gateway=gateway, index=index, metric=shown, table=table)
        )
        known = self._tables.get((network.version, table))
        if known is not None and route is not None:
            # Without an index it lacks the device that the kernel chose, which undo does not ask.
            known.setdefault(network, []).append(route)

    def delete_route(self, route: RouteState) -> None:
        self._kernel.delete_route(route)
        known = self._table(route.network.version, route.table).get(route.network, [])
        if route in known:
            known.remove(route)

    def _forget(self) -> None:
        self._tables.clear()
        self._addresses = None

    def put_back_route(self, message: bytes) -> None:
        self._tables.clear()
        self._kernel.put_back_route(message)
