"""What the main process and its privileged helper say to each other, as JSON records.

One record per SOCK_SEQPACKET message: a request with ``id`` and ``op``, an answer with the same
``id`` and either ``ok`` or ``error``. Sizes are bounded by ``MESSAGE_BYTES``; long lists are sent
in parts. The helper reads requests as hostile: the process that sends them parses network bytes.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface, ip_address, ip_interface

from ginnel.core.errors import HostError
from ginnel.core.types import IPAddress
from ginnel.dataclass import dataclass
from ginnel.host.diff import Change, Do, Revert
from ginnel.host.records import (
    BadRecord,
    Record,
    address_field,
    as_record,
    device_field,
    flag_field,
    list_field,
    number_field,
    optional_address,
    optional_text,
    text_field,
)
from ginnel.host.results import ChangeResult, Outcome
from ginnel.host.step_records import read_step, step_record
from ginnel.host.tun import DeviceRequest, link_layer_bytes
from ginnel.host.underlay import Gateway, LocalNetwork, UnderlaySnapshot
from ginnel.options.model import DeviceType

MESSAGE_BYTES = 1 << 17
CHANGES_PER_MESSAGE = 128
_LIST_LIMIT = 4096
_DETAIL_LIMIT = 256


@dataclass(frozen=True, kw_only=True)
class OpenedDevice:
    """A device the helper opened, without its descriptor, which travels beside the answer."""

    name: str
    index: int
    mtu: int
    vnet_header: bool


def device_request_record(request: DeviceRequest) -> Record:
    """The JSON object of a device request."""
    return {
        "name": request.name,
        "kind": request.kind.value,
        "node": request.node,
        "vnet_header": request.vnet_header,
        "lladdr": request.lladdr or "",
    }


def read_device_request(record: Record) -> DeviceRequest:
    """Reads a device request. Raises ``BadRecord``."""
    try:
        kind = DeviceType(text_field(record, "kind", 8))
    except ValueError as bad:
        raise BadRecord("kind") from bad
    return DeviceRequest(
        name=device_field(record, "name"),
        kind=kind,
        node=text_field(record, "node", 256),
        vnet_header=flag_field(record, "vnet_header"),
        lladdr=_lladdr_field(record),
    )


def _lladdr_field(record: Record) -> str | None:
    text = text_field(record, "lladdr", 17)
    if not text:
        return None
    try:
        link_layer_bytes(text)
    except ValueError as bad:
        raise BadRecord("lladdr") from bad
    return text


def opened_device_record(device: OpenedDevice) -> Record:
    """The JSON object of an opened device."""
    return {
        "name": device.name,
        "index": device.index,
        "mtu": device.mtu,
        "vnet_header": device.vnet_header,
    }


def read_opened_device(record: Record) -> OpenedDevice:
    """Reads an opened device. Raises ``BadRecord``."""
    return OpenedDevice(
        name=device_field(record, "name"),
        index=number_field(record, "index", 1),
        mtu=number_field(record, "mtu"),
        vnet_header=flag_field(record, "vnet_header"),
    )


def change_record(change: Change) -> Record:
    """The JSON object of a change."""
    return {"do" if isinstance(change, Do) else "revert": step_record(change.step)}


def read_change(value: object) -> Change:
    """Reads a change. Raises ``BadRecord``."""
    record = as_record(value)
    if "do" in record:
        return Do(read_step(as_record(record["do"])))
    if "revert" in record:
        return Revert(read_step(as_record(record["revert"])))
    raise BadRecord("neither do nor revert")


def results_record(results: Sequence[ChangeResult]) -> Record:
    """The JSON object of results, cut so that one message holds it: failures go first then."""
    if len(results) > CHANGES_PER_MESSAGE:
        results = sorted(results, key=lambda result: result.outcome is not Outcome.FAILED)
    return {
        "total": len(results),
        "results": [
            {
                "outcome": result.outcome.value,
                "what": result.what[:_DETAIL_LIMIT],
                "errno": result.errno,
                "detail": result.detail[:_DETAIL_LIMIT],
            }
            for result in results[:CHANGES_PER_MESSAGE]
        ],
    }


def read_results(record: Record) -> tuple[ChangeResult, ...]:
    """Reads results. Raises ``BadRecord``."""
    found = []
    for value in list_field(record, "results", _LIST_LIMIT):
        item = as_record(value)
        try:
            outcome = Outcome(text_field(item, "outcome", 16))
        except ValueError as bad:
            raise BadRecord("outcome") from bad
        found.append(
            ChangeResult(
                outcome=outcome,
                what=text_field(item, "what"),
                errno=number_field(item, "errno"),
                detail=text_field(item, "detail"),
            )
        )
    return tuple(found)


def snapshot_record(snapshot: UnderlaySnapshot) -> Record:
    """The JSON object of a snapshot."""
    return {
        "gateway_ipv4": _gateway_record(snapshot.gateway_ipv4),
        "gateway_ipv6": _gateway_record(snapshot.gateway_ipv6),
        "server": _gateway_record(snapshot.server),
        "networks": [
            {"device": network.device, "interface": str(network.interface)}
            for network in snapshot.networks[:_NETWORKS_PER_MESSAGE]
        ],
        "dns": [str(address) for address in snapshot.dns_servers],
        "dhcp": [str(address) for address in snapshot.dhcp_servers],
    }


_NETWORKS_PER_MESSAGE = 500


def read_snapshot(record: Record) -> UnderlaySnapshot:
    """Reads a snapshot. Raises ``BadRecord``."""
    return UnderlaySnapshot(
        gateway_ipv4=_read_gateway(record.get("gateway_ipv4")),
        gateway_ipv6=_read_gateway(record.get("gateway_ipv6")),
        server=_read_gateway(record.get("server")),
        networks=tuple(_read_network(v) for v in list_field(record, "networks", _LIST_LIMIT)),
        dns_servers=tuple(_read_ip(v) for v in list_field(record, "dns", _LIST_LIMIT)),
        dhcp_servers=tuple(
            address
            for address in (_read_ip(v) for v in list_field(record, "dhcp", _LIST_LIMIT))
            if isinstance(address, IPv4Address)
        ),
    )


def error_record(error: HostError) -> Record:
    """The JSON object of a failure."""
    return {
        "step": error.step[:_DETAIL_LIMIT],
        "errno": error.errno,
        "detail": error.detail[: 4 * _DETAIL_LIMIT],
    }


def read_error(record: Record) -> HostError:
    """Reads a failure. Raises ``BadRecord``."""
    return HostError(
        text_field(record, "step"), number_field(record, "errno"), text_field(record, "detail")
    )


def _gateway_record(gateway: Gateway | None) -> Record | None:
    if gateway is None:
        return None
    return {
        "address": optional_text(gateway.address),
        "device": gateway.device,
        "index": gateway.index,
        "metric": gateway.metric,
        "source": optional_text(gateway.source),
    }


def _read_gateway(value: object) -> Gateway | None:
    if value is None:
        return None
    record = as_record(value)
    return Gateway(
        address=optional_address(record, "address"),
        device=device_field(record, "device"),
        index=number_field(record, "index", 1),
        metric=number_field(record, "metric"),
        source=optional_address(record, "source"),
    )


def _read_network(value: object) -> LocalNetwork:
    record = as_record(value)
    try:
        interface = ip_interface(text_field(record, "interface", 64))
    except ValueError as bad:
        raise BadRecord("interface") from bad
    assert isinstance(interface, IPv4Interface | IPv6Interface)
    return LocalNetwork(device=device_field(record, "device"), interface=interface)


def _read_ip(value: object) -> IPAddress:
    if not isinstance(value, str):
        raise BadRecord("address")
    try:
        return ip_address(value)
    except ValueError as bad:
        raise BadRecord("address") from bad


__all__ = [
    "CHANGES_PER_MESSAGE",
    "MESSAGE_BYTES",
    "OpenedDevice",
    "address_field",
    "change_record",
    "device_request_record",
    "error_record",
    "opened_device_record",
    "read_change",
    "read_device_request",
    "read_error",
    "read_opened_device",
    "read_results",
    "read_snapshot",
    "results_record",
    "snapshot_record",
]
