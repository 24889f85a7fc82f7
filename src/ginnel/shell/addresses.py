"""Endpoints as the socket module writes them."""

import socket
from ipaddress import ip_address

from ginnel.core.types import Endpoint


def endpoint_of(address: tuple[object, ...]) -> Endpoint:
    """Reads an address as ``recvfrom`` returns it."""
    host, port = str(address[0]).partition("%")[0], address[1]
    scope = address[3] if len(address) == 4 else 0
    assert isinstance(port, int)
    assert isinstance(scope, int)
    return Endpoint(ip_address(host), port, scope)


def is_address(host: str) -> bool:
    """Whether a host is given by its address and not by a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def own_address(sock: socket.socket) -> Endpoint | None:
    """The address that the socket sends from; None while the system chooses for each packet."""
    endpoint = endpoint_of(sock.getsockname())
    return None if endpoint.address.is_unspecified else endpoint


def socket_address(endpoint: Endpoint) -> tuple[str, int] | tuple[str, int, int, int]:
    """Renders an endpoint as ``sendto`` takes it."""
    if endpoint.address.version == 4:
        return (str(endpoint.address), endpoint.port)
    return (str(endpoint.address), endpoint.port, 0, endpoint.scope_id)
