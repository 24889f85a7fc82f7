"""The kinds of change to the host: what each does, and how it is undone.

A *step* is wanted state (pure, made by ``plan``). ``prepare`` looks at the host and returns the
*undo* of a step, which holds all that is needed to take exactly that change back, or None when the
host already is as wanted, so that there is nothing of ours to undo. Undo touches a thing only while
it is still as we left it. Order, journal and errors belong to ``executor``; the JSON form of both
is in ``step_records``.
"""

from collections.abc import Sequence

from ginnel.core.errors import HostError
from ginnel.core.types import IPAddress, IPNetwork
from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum
from ginnel.hints import Protocol, assert_never
from ginnel.host.rtnetlink import (
    PROTOCOL_BOOT,
    TABLE_MAIN,
    TYPE_UNICAST,
    AddressState,
    LinkState,
    NoSuchThing,
    RouteState,
)

_EEXIST = 17


@dataclass(frozen=True, kw_only=True)
class SetLink:
    """Sets MTU and queue length (None leaves one alone) and brings the device up."""

    device: str
    index: int
    mtu: int | None
    txqueuelen: int | None = None
    up: bool = True


@dataclass(frozen=True, kw_only=True)
class AddAddress:
    """Gives the device an address; with ``peer`` point-to-point, and ``prefix`` is the peer's."""

    device: str
    index: int
    local: IPAddress
    prefix: int
    peer: IPAddress | None = None


@dataclass(frozen=True, kw_only=True)
class AddRoute:
    """Adds a route to the main table, or to another one (``route-table``).

    Without ``index`` the kernel finds the device by the gateway. Routes carry protocol ``boot``, as
    those of ``ip route add`` and of OpenVPN do: ``ip route`` shows them without decoration, and
    tools that sort routes by protocol treat them alike. What is ours is told by destination,
    gateway, device and metric together with the journal, not by a protocol number of our own.
    """

    network: IPNetwork
    gateway: IPAddress | None
    device: str | None
    index: int | None
    metric: int | None = None
    table: int = TABLE_MAIN


@dataclass(frozen=True, kw_only=True)
class RemoveRoute:
    """Takes away a default route of the underlay (``redirect-gateway`` without ``def1``)."""

    network: IPNetwork
    gateway: IPAddress | None
    device: str
    index: int
    metric: int


Step = SetLink | AddAddress | AddRoute | RemoveRoute


@dataclass(frozen=True, kw_only=True)
class RestoreLink:
    """Undo of SetLink: what was there before, and what we set, to see whether it still is."""

    device: str
    index: int
    mtu: int
    txqueuelen: int
    up: bool
    set_mtu: int
    set_txqueuelen: int
    set_up: bool


@dataclass(frozen=True, kw_only=True)
class DropAddress:
    """Undo of AddAddress."""

    device: str
    index: int
    local: IPAddress
    prefix: int
    peer: IPAddress | None


@dataclass(frozen=True, kw_only=True)
class DropRoute:
    """Undo of AddRoute."""

    network: IPNetwork
    gateway: IPAddress | None
    index: int | None
    metric: int
    table: int = TABLE_MAIN


@dataclass(frozen=True, kw_only=True)
class PutBackRoute:
    """Undo of RemoveRoute: the kernel's own message about the route."""

    network: IPNetwork
    metric: int
    message: bytes


@dataclass(frozen=True, kw_only=True)
class DropDevice:
    """Undo of opening a device that did not exist: it goes, with all that hangs on it."""

    device: str
    index: int


Undo = RestoreLink | DropAddress | DropRoute | PutBackRoute | DropDevice


class UndoOutcome(Enum):
    """What undoing one change came to."""

    UNDONE = "undone"
    GONE = "gone"
    """Nothing of ours was there any more: someone else, or the kernel, removed it."""
    CHANGED = "changed"
    """Something else stands in its place now and was left alone."""


class Kernel(Protocol):
    """What steps ask of the kernel; ``Netlink`` is the real one. Failures raise ``HostError``."""

    def link(self, index: int) -> LinkState | None: ...
    def addresses(self) -> list[AddressState]: ...
    def routes(self, version: int, table: int = TABLE_MAIN) -> list[RouteState]: ...
    def routes_to(self, network: IPNetwork, table: int) -> Sequence[RouteState]: ...
    def set_link(
        self,
        index: int,
        *,
        up: bool | None = None,
        mtu: int | None = None,
        txqueuelen: int | None = None,
    ) -> None: ...
    def delete_link(self, index: int) -> None: ...
    def add_address(
        self, index: int, local: IPAddress, prefix: int, peer: IPAddress | None
    ) -> None: ...
    def delete_address(
        self, index: int, local: IPAddress, prefix: int, peer: IPAddress | None
    ) -> None: ...
    def add_route(
        self,
        network: IPNetwork,
        *,
        gateway: IPAddress | None,
        index: int | None,
        metric: int | None,
        table: int = TABLE_MAIN,
    ) -> None: ...
    def delete_route(self, route: RouteState) -> None: ...
    def put_back_route(self, message: bytes) -> None: ...


def prepare(step: Step, netlink: Kernel) -> Undo | None:
    """Says how ``step`` would be undone, or None when it changes nothing. Raises ``HostError``."""
    match step:
        case SetLink():
            return _prepare_link(step, netlink)
        case AddAddress():
            for found in netlink.addresses():
                if (found.index, found.local, found.prefix, found.peer) == (
                    step.index,
                    step.local,
                    step.prefix,
                    step.peer,
                ):
                    return None
            return DropAddress(
                device=step.device,
                index=step.index,
                local=step.local,
                prefix=step.prefix,
                peer=step.peer,
            )
        case AddRoute():
            undo = DropRoute(
                network=step.network,
                gateway=step.gateway,
                index=step.index,
                metric=kernel_metric(step.network, step.metric),
                table=step.table,
            )
            routes = netlink.routes_to(undo.network, undo.table)
            present = any(_is_route(route, undo) for route in routes)
            return None if present else undo
        case RemoveRoute():
            for route in netlink.routes(step.network.version):
                if _matches(route, step.network, step.gateway, step.index, step.metric):
                    return PutBackRoute(
                        network=route.network, metric=route.metric, message=route.message
                    )
            return None
        case _:
            assert_never(step)


def apply(step: Step, netlink: Kernel) -> None:
    """Makes the change. Raises ``HostError``."""
    match step:
        case SetLink():
            netlink.set_link(
                step.index, up=step.up or None, mtu=step.mtu, txqueuelen=step.txqueuelen
            )
        case AddAddress():
            netlink.add_address(step.index, step.local, step.prefix, step.peer)
        case AddRoute():
            netlink.add_route(
                step.network,
                gateway=step.gateway,
                index=step.index,
                metric=step.metric,
                table=step.table,
            )
        case RemoveRoute():
            for route in netlink.routes(step.network.version):
                if _matches(route, step.network, step.gateway, step.index, step.metric):
                    netlink.delete_route(route)
                    return
            raise NoSuchThing("delete route", 3, "the route is not there any more")
        case _:
            assert_never(step)


def undo(change: Undo, netlink: Kernel) -> UndoOutcome:
    """Takes a change back if it is still ours. Idempotent. Raises ``HostError``."""
    try:
        match change:
            case RestoreLink():
                return _undo_link(change, netlink)
            case DropAddress():
                return _undo_address(change, netlink)
            case DropRoute():
                route = _find(change, netlink)
                if route is None:
                    return UndoOutcome.GONE
                netlink.delete_route(route)
                return UndoOutcome.UNDONE
            case PutBackRoute():
                return _undo_removal(change, netlink)
            case DropDevice():
                link = netlink.link(change.index)
                if link is None or link.name != change.device or link.kind != "tun":
                    return UndoOutcome.GONE
                netlink.delete_link(change.index)
                return UndoOutcome.UNDONE
            case _:
                assert_never(change)
    except NoSuchThing:
        return UndoOutcome.GONE


def kernel_metric(network: IPNetwork, metric: int | None) -> int:
    """The metric as the kernel will show it: IPv6 replaces none or 0 by 1024."""
    if metric:
        return metric
    return 1024 if network.version == 6 else 0


def describe(change: Step | Undo) -> str:
    """A short text for logs, in the words of ``ip``."""
    match change:
        case SetLink() | RestoreLink():
            return f"link {change.device} mtu {change.mtu}"
        case AddAddress() | DropAddress():
            peer = f" peer {change.peer}" if change.peer is not None else ""
            return f"address {change.local}{peer}/{change.prefix} dev {change.device}"
        case AddRoute() | DropRoute() | RemoveRoute():
            via = f" via {change.gateway}" if change.gateway is not None else ""
            name = change.device if not isinstance(change, DropRoute) else None
            device = f" dev {name}" if name else ""
            metric = f" metric {change.metric}" if change.metric else ""
            return f"route {change.network}{via}{device}{metric}{_table(change)}"
        case PutBackRoute():
            return f"route {change.network} that was there before"
        case DropDevice():
            return f"device {change.device}"
        case _:
            assert_never(change)


def _table(change: AddRoute | DropRoute | RemoveRoute) -> str:
    if isinstance(change, RemoveRoute) or change.table == TABLE_MAIN:
        return ""
    return f" table {change.table}"


def _prepare_link(step: SetLink, netlink: Kernel) -> RestoreLink:
    link = netlink.link(step.index)
    if link is None or link.name != step.device:
        raise NoSuchThing("set link", 19, f"there is no device {step.device}")
    return RestoreLink(
        device=step.device,
        index=step.index,
        mtu=link.mtu,
        txqueuelen=link.txqueuelen,
        up=link.up,
        set_mtu=link.mtu if step.mtu is None else step.mtu,
        set_txqueuelen=link.txqueuelen if step.txqueuelen is None else step.txqueuelen,
        set_up=link.up or step.up,
    )


def _undo_link(change: RestoreLink, netlink: Kernel) -> UndoOutcome:
    link = netlink.link(change.index)
    if link is None or link.name != change.device:
        return UndoOutcome.GONE
    if link.up and change.set_up and not change.up:
        netlink.set_link(change.index, up=False)
    mtu = change.mtu if link.mtu == change.set_mtu != change.mtu else None
    queue = (
        change.txqueuelen if link.txqueuelen == change.set_txqueuelen != change.txqueuelen else None
    )
    if mtu is not None or queue is not None:
        netlink.set_link(change.index, mtu=mtu, txqueuelen=queue)
    return UndoOutcome.UNDONE


def _undo_address(change: DropAddress, netlink: Kernel) -> UndoOutcome:
    link = netlink.link(change.index)
    if link is None or link.name != change.device:
        return UndoOutcome.GONE
    netlink.delete_address(change.index, change.local, change.prefix, change.peer)
    return UndoOutcome.UNDONE


def _undo_removal(change: PutBackRoute, netlink: Kernel) -> UndoOutcome:
    for route in netlink.routes(change.network.version):
        if route.network == change.network and route.metric == change.metric:
            same = route.message == change.message
            return UndoOutcome.GONE if same else UndoOutcome.CHANGED
    try:
        netlink.put_back_route(change.message)
    except HostError as refused:
        if refused.errno == _EEXIST:
            return UndoOutcome.CHANGED
        raise
    return UndoOutcome.UNDONE


def _find(change: DropRoute, netlink: Kernel) -> RouteState | None:
    for route in netlink.routes_to(change.network, change.table):
        if _is_route(route, change) and route.protocol == PROTOCOL_BOOT:
            return route
    return None


def _is_route(route: RouteState, change: DropRoute) -> bool:
    return _matches(route, change.network, change.gateway, change.index, change.metric)


def _matches(
    route: RouteState,
    network: IPNetwork,
    gateway: IPAddress | None,
    index: int | None,
    metric: int,
) -> bool:
    return (
        route.network == network
        and route.kind == TYPE_UNICAST
        and route.gateway == gateway
        and route.metric == metric
        and (index is None or route.index == index)
    )
