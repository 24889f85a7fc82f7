"""``--show-gateway``, ``--mktun`` and ``--rmtun``: the actions that look at or change the host."""

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from ginnel.cli.report import fail, log_lines
from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.errors import HostError
from ginnel.core.types import IPAddress
from ginnel.host.netlink import Netlink
from ginnel.host.underlay import Gateway, UnderlaySnapshot, take_snapshot
from ginnel.options.actions import ShowGateway
from ginnel.options.model import ProcessOptions


def show_gateway(action: ShowGateway, process: ProcessOptions) -> int:
    """Logs the default gateways, or the way to one address; returns the exit status."""
    destination: IPAddress | None = None
    if action.destination is not None:
        try:
            destination = ip_address(action.destination)
        except ValueError:
            return fail(process, f"RESOLVE: Cannot parse IP address: {action.destination}")
    try:
        with Netlink() as netlink:
            snapshot = take_snapshot(netlink, destination)
    except HostError as failed:
        return fail(process, f"show-gateway: {failed}")
    log_lines(process, _gateway_lines(snapshot, destination))
    return 0


def _gateway_lines(snapshot: UnderlaySnapshot, destination: IPAddress | None) -> Iterator[LogLine]:
    version4, version6 = snapshot.gateway_ipv4, snapshot.gateway_ipv6
    if destination is not None and snapshot.server is not None:
        if destination.version == 4:
            version4 = snapshot.server
        else:
            version6 = snapshot.server
    if version4 is not None:
        yield shell_lines.route_gateway(
            str(version4.address or "0.0.0.0"),  # noqa: S104 -- text: no gateway on the way
            _netmask(version4, snapshot),
            version4.device,
            _hardware_address(version4.device),
        )
    if version6 is not None:
        yield shell_lines.route6_gateway(str(version6.address or "::"), version6.device)


def _netmask(gateway: Gateway, snapshot: UnderlaySnapshot) -> str:
    """The netmask of the network that the gateway is on."""
    for network in snapshot.networks:
        interface = network.interface
        if network.device == gateway.device and gateway.address in interface.network:
            return str(interface.netmask)
    return "255.255.255.255"


def _hardware_address(device: str) -> str | None:
    try:
        text = Path("/sys/class/net", device, "address").read_text().strip()
    except OSError:
        return None
    return text or None
