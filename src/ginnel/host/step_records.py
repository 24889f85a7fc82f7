"""JSON records of steps and undos, for the journal and for the helper's socket.

Reading checks types and bounds, because the process that asks the helper parses hostile bytes.
"""

from ginnel.core.types import IPAddress, IPNetwork
from ginnel.hints import assert_never
from ginnel.host.records import (
    BadRecord,
    Record,
    address_field,
    bytes_field,
    device_field,
    flag_field,
    network_field,
    number_field,
    optional_address,
    optional_device,
    optional_number,
    optional_text,
    text_field,
)
from ginnel.host.rtnetlink import TABLE_MAIN
from ginnel.host.steps import (
    AddAddress,
    AddRoute,
    DropAddress,
    DropDevice,
    DropRoute,
    PutBackRoute,
    RemoveRoute,
    RestoreLink,
    SetLink,
    Step,
    Undo,
)

_MAXIMUM_MTU = 65536
_MAXIMUM_QUEUE = 1 << 24


def step_record(step: Step) -> Record:
    """The JSON object of a step."""
    match step:
        case SetLink():
            return {
                "kind": "set-link",
                "device": step.device,
                "index": step.index,
                "mtu": step.mtu,
                "txqueuelen": step.txqueuelen,
                "up": step.up,
            }
        case AddAddress():
            return {
                "kind": "add-address",
                "device": step.device,
                "index": step.index,
                "local": str(step.local),
                "prefix": step.prefix,
                "peer": optional_text(step.peer),
            }
        case AddRoute() | RemoveRoute():
            record: Record = {
                "kind": "add-route" if isinstance(step, AddRoute) else "remove-route",
                "network": str(step.network),
                "gateway": optional_text(step.gateway),
                "device": step.device,
                "index": step.index,
                "metric": step.metric,
            }
            return record if isinstance(step, RemoveRoute) else {**record, **_table(step)}
        case _:
            assert_never(step)


def read_step(record: Record) -> Step:
    """Reads the JSON object of a step. Raises ``BadRecord``."""
    match text_field(record, "kind", 32):
        case "set-link":
            return SetLink(
                device=device_field(record, "device"),
                index=number_field(record, "index", 1),
                mtu=optional_number(record, "mtu", 68, _MAXIMUM_MTU),
                txqueuelen=optional_number(record, "txqueuelen", 0, _MAXIMUM_QUEUE),
                up=flag_field(record, "up"),
            )
        case "add-address":
            local, prefix, peer = _read_address(record)
            return AddAddress(
                device=device_field(record, "device"),
                index=number_field(record, "index", 1),
                local=local,
                prefix=prefix,
                peer=peer,
            )
        case "add-route":
            network, gateway = _read_route(record)
            return AddRoute(
                network=network,
                gateway=gateway,
                device=optional_device(record, "device"),
                index=optional_number(record, "index", 1),
                metric=optional_number(record, "metric"),
                table=_read_table(record),
            )
        case "remove-route":
            network, gateway = _read_route(record)
            if network.prefixlen:
                raise BadRecord("only a default route may be taken away")
            return RemoveRoute(
                network=network,
                gateway=gateway,
                device=device_field(record, "device"),
                index=number_field(record, "index", 1),
                metric=number_field(record, "metric"),
            )
        case other:
            raise BadRecord(f"step {other}")


def undo_record(change: Undo) -> Record:
    """The JSON object of an undo."""
    match change:
        case RestoreLink():
            return {
                "kind": "restore-link",
                "device": change.device,
                "index": change.index,
                "mtu": change.mtu,
                "txqueuelen": change.txqueuelen,
                "up": change.up,
                "set_mtu": change.set_mtu,
                "set_txqueuelen": change.set_txqueuelen,
                "set_up": change.set_up,
            }
        case DropAddress():
            return {
                "kind": "drop-address",
                "device": change.device,
                "index": change.index,
                "local": str(change.local),
                "prefix": change.prefix,
                "peer": optional_text(change.peer),
            }
        case DropRoute():
            return {
                "kind": "drop-route",
                "network": str(change.network),
                "gateway": optional_text(change.gateway),
                "index": change.index,
                "metric": change.metric,
                **_table(change),
            }
        case PutBackRoute():
            return {
                "kind": "put-back-route",
                "network": str(change.network),
                "metric": change.metric,
                "message": change.message.hex(),
            }
        case DropDevice():
            return {"kind": "drop-device", "device": change.device, "index": change.index}
        case _:
            assert_never(change)


def read_undo(record: Record) -> Undo:
    """Reads the JSON object of an undo. Raises ``BadRecord``."""
    match text_field(record, "kind", 32):
        case "restore-link":
            return RestoreLink(
                device=device_field(record, "device"),
                index=number_field(record, "index", 1),
                mtu=number_field(record, "mtu"),
                txqueuelen=number_field(record, "txqueuelen"),
                up=flag_field(record, "up"),
                set_mtu=number_field(record, "set_mtu"),
                set_txqueuelen=number_field(record, "set_txqueuelen"),
                set_up=flag_field(record, "set_up"),
            )
        case "drop-address":
            local, prefix, peer = _read_address(record)
            return DropAddress(
                device=device_field(record, "device"),
                index=number_field(record, "index", 1),
                local=local,
                prefix=prefix,
                peer=peer,
            )
        case "drop-route":
            network, gateway = _read_route(record)
            return DropRoute(
                network=network,
                gateway=gateway,
                index=optional_number(record, "index", 1),
                metric=number_field(record, "metric"),
                table=_read_table(record),
            )
        case "put-back-route":
            return PutBackRoute(
                network=network_field(record, "network"),
                metric=number_field(record, "metric"),
                message=bytes_field(record, "message"),
            )
        case "drop-device":
            return DropDevice(
                device=device_field(record, "device"), index=number_field(record, "index", 1)
            )
        case other:
            raise BadRecord(f"undo {other}")


def _read_address(record: Record) -> tuple[IPAddress, int, IPAddress | None]:
    local = address_field(record, "local")
    peer = optional_address(record, "peer")
    if peer is not None and peer.version != local.version:
        raise BadRecord("peer")
    return local, number_field(record, "prefix", 0, local.max_prefixlen), peer


def _table(route: AddRoute | DropRoute) -> Record:
    """The main table goes without saying, as in journals of earlier releases."""
    return {} if route.table == TABLE_MAIN else {"table": route.table}


def _read_table(record: Record) -> int:
    return number_field(record, "table", 1) if "table" in record else TABLE_MAIN


def _read_route(record: Record) -> tuple[IPNetwork, IPAddress | None]:
    network = network_field(record, "network")
    gateway = optional_address(record, "gateway")
    if gateway is not None and (gateway.version, network.version) == (4, 6):
        raise BadRecord("gateway")
    return network, gateway
