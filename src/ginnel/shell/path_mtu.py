"""Asks the system how long a packet to an address may be, and has peers sent no longer ones."""

import socket
import struct
from contextlib import suppress

from ginnel.core.actions import FitPath
from ginnel.core.types import Endpoint, IPAddress
from ginnel.dataplane.api import DataPlane
from ginnel.options.model import LinkOptions
from ginnel.shell.addresses import socket_address

# linux/in.h, linux/in6.h: they are not in the socket module of Python 3.11.
_IP_MTU = 14
_IPV6_MTU = 24


def path_mtu(remote: Endpoint, local: IPAddress | None, link: LinkOptions) -> int | None:
    """What the system knows of the path, outer headers included; None when it has none.

    It learns that from routers on the way and believes them where they quote what was sent. Only a
    connected socket is told: this one sends nothing. ``link`` is what routes are chosen by.
    """
    is_ipv4 = remote.address.version == 4
    family = socket.AF_INET if is_ipv4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
            _choose_route(probe, link)
            if local is not None:
                probe.bind((str(local), 0))
            probe.connect(socket_address(remote))
            if is_ipv4:
                return probe.getsockopt(socket.IPPROTO_IP, _IP_MTU)
            return probe.getsockopt(socket.IPPROTO_IPV6, _IPV6_MTU)
    except OSError:
        return None


def _choose_route(probe: socket.socket, link: LinkOptions) -> None:
    """The rights to say so may be gone by now: then it is the route without."""
    with suppress(PermissionError):
        if link.bind_dev is not None:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.bind_dev.encode())
        if link.mark is not None:
            mark = struct.pack("@I", link.mark)
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)


def fit_path(data_plane: DataPlane, action: FitPath) -> None:
    """Carries the action out. Raises DataPlaneError."""
    mss = (action.mss_ipv4, action.mss_ipv6)
    data_plane.set_path(action.peer_id, mss, action.inner_mtu)
    if action.payload is not None:
        data_plane.set_payload(action.peer_id, action.payload)
