"""``--show-gateway``, ``--mktun`` and ``--rmtun``: the actions that look at or change the host."""

import fcntl
import grp
import pwd
import socket
import struct
import sys
from collections.abc import Iterator
from ipaddress import ip_address

from ginnel.cli.report import fail, log_lines
from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.errors import HostError
from ginnel.core.types import IPAddress
from ginnel.dataclass import replace
from ginnel.host.netlink import Netlink
from ginnel.host.tun import DeviceRequest, make_persistent, remove_persistent
from ginnel.host.underlay import Gateway, UnderlaySnapshot, take_snapshot
from ginnel.options.actions import MkTun, RmTun, ShowGateway
from ginnel.options.model import ProcessOptions

_SIOCGIFHWADDR = 0x8927
_ARPHRD_ETHER = 1


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
    # The lines are the result here, not remarks: shown whatever the verb.
    found = [replace(line, verb=0) for line in _gateway_lines(snapshot, destination)]
    log_lines(process, found)
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
    """The device's Ethernet address; asked of the kernel, since /sys may show another namespace."""
    request = struct.pack("=16s24x", device.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            answer = fcntl.ioctl(any_socket, _SIOCGIFHWADDR, request)
        except OSError:
            return None
    if int.from_bytes(answer[16:18], sys.byteorder) != _ARPHRD_ETHER:
        return None
    return answer[18:24].hex(":")


def make_tun(action: MkTun, process: ProcessOptions) -> int:
    """Makes a device that outlives the process, perhaps for a user or group; returns the status."""
    try:
        owner = None if action.user is None else pwd.getpwnam(action.user).pw_uid
        group = None if action.group is None else grp.getgrnam(action.group).gr_gid
    except KeyError:
        return fail(process, f"failed to find UID or GID for {action.user or action.group}")
    request = DeviceRequest(name=action.dev, kind=action.dev_type)
    try:
        name = make_persistent(request, owner=owner, group=group)
    except HostError as failed:
        return fail(process, f"ERROR: Cannot open TUN/TAP dev {action.dev}: {failed}")
    log_lines(process, [shell_lines.tun_opened(name), shell_lines.persist_state(on=True)])
    return 0


def remove_tun(action: RmTun, process: ProcessOptions) -> int:
    """Removes such a device; returns the exit status. One that is not there is no error."""
    try:
        name = remove_persistent(DeviceRequest(name=action.dev, kind=action.dev_type))
    except HostError as failed:
        return fail(process, f"ERROR: Cannot open TUN/TAP dev {action.dev}: {failed}")
    log_lines(process, [shell_lines.tun_opened(name), shell_lines.persist_state(on=False)])
    return 0
