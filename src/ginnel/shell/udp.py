"""Opens and configures the UDP socket of a link. It sends and receives nothing itself."""

import socket
from contextlib import suppress
from ipaddress import ip_address

from ginnel.core.errors import LinkError
from ginnel.core.types import Endpoint
from ginnel.dataclass import dataclass
from ginnel.options.model import ConnectionProfile, LinkOptions

# linux/in.h, linux/in6.h: not all of them are in the socket module of Python 3.11.
_IP_MTU_DISCOVER = 10
_IPV6_MTU_DISCOVER = 23
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
DEFAULT_SEND_BUFFER = 1 << 20
DEFAULT_RECEIVE_BUFFER = 1 << 21
"""Bytes; the kernel doubles them for its own bookkeeping."""

_IP_RECVERR = 11
_IPV6_RECVERR = 25
_ERROR_BYTES = 512
_ERRORS_AT_ONCE = 256
_MTU_DISCOVER = {"no": 0, "maybe": 1, "yes": 2}


class LinkUnavailable(LinkError):
    """This host cannot speak the remote's address family: another address may do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UdpLink:
    """A non-blocking, unconnected socket: packets come from any address and are checked later."""

    sock: socket.socket
    local: Endpoint | None
    """The address asked for, or None when the system chose."""
    receive_buffer: tuple[int, int]
    """Bytes before and after the options were applied."""
    send_buffer: tuple[int, int]


def open_udp(profile: ConnectionProfile, link: LinkOptions, remote: Endpoint) -> UdpLink:
    """Opens the socket for one attempt.

    Raises LinkUnavailable, or LinkError when an address cannot be bound or an option is refused.
    """
    family = socket.AF_INET if remote.address.version == 4 else socket.AF_INET6
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    except OSError as error:
        cause = f"this host has no IPv{remote.address.version} ({error.strerror})"
        raise LinkUnavailable(str(remote), cause) from error
    try:
        report_errors(sock, wanted=True)
        before = _buffers(sock)
        _configure(sock, family, profile, link)
        after = _buffers(sock)
        local = _bind(sock, family, profile)
    except OSError as error:
        sock.close()
        raise LinkError(str(remote), f"cannot set up the local socket: {error.strerror}") from error
    return UdpLink(
        sock=sock,
        local=local,
        receive_buffer=(before[0], after[0]),
        send_buffer=(before[1], after[1]),
    )


def report_errors(sock: socket.socket, *, wanted: bool) -> None:
    """Has the kernel report ICMP errors, which an unconnected socket is not told otherwise.

    Whoever reads the socket meanwhile must call ``drain_errors``; a data plane does not.
    """
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, int(wanted))
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, int(wanted))


def drain_errors(sock: socket.socket) -> None:
    """Empties the queue of reported errors: while one waits, the socket counts as readable."""
    with suppress(OSError):
        for _ in range(_ERRORS_AT_ONCE):
            sock.recvmsg(_ERROR_BYTES, _ERROR_BYTES, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)


def endpoint_of(address: tuple[object, ...]) -> Endpoint:
    """Reads an address as ``recvfrom`` returns it."""
    host, port = str(address[0]).partition("%")[0], address[1]
    scope = address[3] if len(address) == 4 else 0
    assert isinstance(port, int)
    assert isinstance(scope, int)
    return Endpoint(ip_address(host), port, scope)


def socket_address(endpoint: Endpoint) -> tuple[str, int] | tuple[str, int, int, int]:
    """Renders an endpoint as ``sendto`` takes it."""
    if endpoint.address.version == 4:
        return (str(endpoint.address), endpoint.port)
    return (str(endpoint.address), endpoint.port, 0, endpoint.scope_id)


def _buffers(sock: socket.socket) -> tuple[int, int]:
    return (
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF),
    )


def set_buffers(sock: socket.socket, link: LinkOptions) -> None:
    """Applies ``sndbuf`` and ``rcvbuf``; without them makes the buffers fit for bursts.

    The system's default holds fewer than a hundred packets of a peer that sends them one by one: a
    moment without the processor loses the rest. Raises OSError for a size the system refuses.
    """
    if link.sndbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, link.sndbuf)
    elif link.sndbuf is None:
        _enlarge(sock, _SO_SNDBUFFORCE, socket.SO_SNDBUF, DEFAULT_SEND_BUFFER)
    if link.rcvbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, link.rcvbuf)
    elif link.rcvbuf is None:
        _enlarge(sock, _SO_RCVBUFFORCE, socket.SO_RCVBUF, DEFAULT_RECEIVE_BUFFER)


def _enlarge(sock: socket.socket, force: int, plain: int, size: int) -> None:
    """Past the system's limit where we may, up to it where rights were given up."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, force, size)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, plain, size)


def _configure(
    sock: socket.socket, family: socket.AddressFamily, profile: ConnectionProfile, link: LinkOptions
) -> None:
    set_buffers(sock, link)
    if link.mark is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, link.mark)
    if link.bind_dev is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.bind_dev.encode())
    if profile.mtu_disc is not None:
        mode = _MTU_DISCOVER[profile.mtu_disc]
        if family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, mode)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, mode)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(profile.bind_ipv6only))


def _bind(
    sock: socket.socket, family: socket.AddressFamily, profile: ConnectionProfile
) -> Endpoint | None:
    """Binds as asked; an unbound socket is still given a port, so that it can be read at once."""
    unspecified = "0.0.0.0" if family == socket.AF_INET else "::"  # noqa: S104 -- "any" is meant
    if not profile.bind and profile.local is None:
        sock.bind((unspecified, 0))
        return None
    host = profile.local or unspecified
    found = socket.getaddrinfo(host, _port_number(profile.lport), family, socket.SOCK_DGRAM)
    sock.bind(found[0][4])
    return endpoint_of(found[0][4])


def _port_number(port: str | None) -> int:
    """Raises OSError for a service name that the system does not know."""
    if port is None:
        return 0
    return int(port) if port.isdigit() else socket.getservbyname(port, "udp")
