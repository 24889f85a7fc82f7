"""Remembers the routing table for the length of one request.

Every step looks whether its route is there. Asking the kernel for the whole table each time would
make a thousand pushed routes cost a million decoded messages; within one request the table is read
once and then kept up to date with our own changes.
"""

from ginnel.core.types import IPAddress, IPNetwork
from ginnel.host.rtnetlink import AddressState, LinkState, RouteState, decode_route, encode_route
from ginnel.host.steps import Kernel, kernel_metric


class Batch:
    """A ``Kernel`` that reads each family's routes once. Make a new one for each request."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._routes: dict[int, list[RouteState]] = {}

    def link(self, index: int) -> LinkState | None:
        return self._kernel.link(index)

    def addresses(self) -> list[AddressState]:
        return self._kernel.addresses()

    def routes(self, version: int) -> list[RouteState]:
        if version not in self._routes:
            self._routes[version] = self._kernel.routes(version)
        return self._routes[version]

    def set_link(
        self,
        index: int,
        *,
        up: bool | None = None,
        mtu: int | None = None,
        txqueuelen: int | None = None,
    ) -> None:
        self._routes.clear()  # the kernel adds and drops routes with a link's state
        self._kernel.set_link(index, up=up, mtu=mtu, txqueuelen=txqueuelen)

    def delete_link(self, index: int) -> None:
        self._routes.clear()
        self._kernel.delete_link(index)

    def add_address(
        self, index: int, local: IPAddress, prefix: int, peer: IPAddress | None
    ) -> None:
        self._routes.clear()
        self._kernel.add_address(index, local, prefix, peer)

    def delete_address(
        self, index: int, local: IPAddress, prefix: int, peer: IPAddress | None
    ) -> None:
        self._routes.clear()
        self._kernel.delete_address(index, local, prefix, peer)

    def add_route(
        self,
        network: IPNetwork,
        *,
        gateway: IPAddress | None,
        index: int | None,
        metric: int | None,
    ) -> None:
        self._kernel.add_route(network, gateway=gateway, index=index, metric=metric)
        shown = kernel_metric(network, metric)
        route = decode_route(encode_route(network, gateway=gateway, index=index, metric=shown))
        known = self._routes.get(network.version)
        if known is not None and route is not None and index is not None:
            known.append(route)
        else:
            self._routes.pop(network.version, None)  # only the kernel knows the device it chose

    def delete_route(self, route: RouteState) -> None:
        self._kernel.delete_route(route)
        known = self._routes.get(route.network.version, [])
        if route in known:
            known.remove(route)

    def put_back_route(self, message: bytes) -> None:
        self._routes.clear()
        self._kernel.put_back_route(message)
