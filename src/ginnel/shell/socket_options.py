"""Opens the socket of a link with everything that options say about it: buffers, mark, binding."""

import socket
import struct

from ginnel.compat import shell_lines
from ginnel.core.errors import LinkError
from ginnel.core.types import Endpoint
from ginnel.dataclass import dataclass
from ginnel.options.model import ConnectionProfile, LinkOptions
from ginnel.shell.addresses import endpoint_of
from ginnel.shell.link import Attempt, LinkUnavailable

# linux/in.h, linux/in6.h: not all of them are in the socket module of Python 3.11.
_IP_MTU_DISCOVER = 10
_IPV6_MTU_DISCOVER = 23
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
DEFAULT_SEND_BUFFER = 1 << 20
DEFAULT_RECEIVE_BUFFER = 1 << 21
"""Bytes; the kernel doubles them for its own bookkeeping."""

_MTU_DISCOVER = {"no": 0, "maybe": 1, "yes": 2}


@dataclass(frozen=True, kw_only=True)
class SocketTerms:
    """What a profile or a listener says about its socket, besides the options for all."""

    mtu_disc: str | None = None
    ipv6only: bool = False


def open_socket(
    attempt: Attempt, kind: socket.SocketKind, to: Endpoint | None = None
) -> tuple[socket.socket, Endpoint | None]:
    """Opens a non-blocking socket for the attempt; returns it and the address that was asked for.

    ``to`` is where it will connect or send, when that is not the server (a proxy). Raises
    LinkUnavailable, or LinkError when an address cannot be bound or an option is refused.
    """
    remote = to or attempt.remote
    family = socket.AF_INET if remote.address.version == 4 else socket.AF_INET6
    try:
        sock = socket.socket(family, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    except OSError as error:
        cause = f"this host has no IPv{remote.address.version} ({error.strerror})"
        raise LinkUnavailable(str(remote), cause) from error
    try:
        before = buffer_sizes(sock)
        profile = attempt.profile
        terms = SocketTerms(mtu_disc=profile.mtu_disc, ipv6only=profile.bind_ipv6only)
        configure_socket(sock, terms, attempt.options)
        after = buffer_sizes(sock)
        local = _bind(sock, attempt.profile)
    except OSError as error:
        sock.close()
        raise LinkError(str(remote), f"cannot set up the local socket: {error.strerror}") from error
    attempt.log(shell_lines.socket_buffers((before[0], after[0]), (before[1], after[1])))
    return sock, local


def set_asked_buffers(sock: socket.socket, link: LinkOptions) -> None:
    """Applies ``sndbuf`` and ``rcvbuf`` and nothing else. Raises OSError for a refused size."""
    if link.sndbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, link.sndbuf)
    if link.rcvbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, link.rcvbuf)


def set_datagram_buffers(sock: socket.socket, link: LinkOptions) -> None:
    """Applies ``sndbuf`` and ``rcvbuf``; without them makes the buffers fit for bursts.

    The system's default holds fewer than a hundred packets of a peer that sends them one by one: a
    moment without the processor loses the rest. Raises OSError for a size the system refuses.
    """
    if link.sndbuf is None:
        _enlarge(sock, _SO_SNDBUFFORCE, socket.SO_SNDBUF, DEFAULT_SEND_BUFFER)
    if link.rcvbuf is None:
        _enlarge(sock, _SO_RCVBUFFORCE, socket.SO_RCVBUF, DEFAULT_RECEIVE_BUFFER)
    set_asked_buffers(sock, link)


def _enlarge(sock: socket.socket, force: int, plain: int, size: int) -> None:
    """Past the system's limit where we may, up to it where rights were given up."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, force, size)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, plain, size)


def buffer_sizes(sock: socket.socket) -> tuple[int, int]:
    """Bytes for what is received, and for what is sent."""
    return (
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF),
    )


def configure_socket(sock: socket.socket, terms: SocketTerms, link: LinkOptions) -> None:
    """Sets everything that must be set before the socket is bound or connected. Raises OSError."""
    if sock.type is socket.SOCK_DGRAM:
        set_datagram_buffers(sock, link)
    else:  # the kernel fits a stream's buffers to its speed, unless told a size
        set_asked_buffers(sock, link)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if link.mark is not None:
        mark = struct.pack("@I", link.mark)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
    if link.bind_dev is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.bind_dev.encode())
    if terms.mtu_disc is not None:
        mode = _MTU_DISCOVER[terms.mtu_disc]
        # A socket of IPv6 may have peers of IPv4, whose packets go by the option of IPv4.
        sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, mode)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, mode)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(terms.ipv6only))


def _bind(sock: socket.socket, profile: ConnectionProfile) -> Endpoint | None:
    """Binds as asked. A datagram socket is given a port in any case, to be read at once."""
    unspecified = "0.0.0.0" if sock.family == socket.AF_INET else "::"  # noqa: S104 -- "any" is meant
    if not profile.bind and profile.local is None:
        if sock.type is socket.SOCK_DGRAM:
            sock.bind((unspecified, 0))
        return None
    host = profile.local or unspecified
    port = port_number(profile.lport, "udp" if sock.type is socket.SOCK_DGRAM else "tcp")
    found = socket.getaddrinfo(host, port, sock.family, sock.type)
    sock.bind(found[0][4])
    return endpoint_of(found[0][4])


def port_number(port: str | None, protocol: str) -> int:
    """Finds a port by number or name. Raises OSError for a service the system does not know."""
    if port is None:
        return 0
    return int(port) if port.isdigit() else socket.getservbyname(port, protocol)
