"""The sockets that clients come to: opened from the options, kept over restarts that do not
change them.

Datagram sockets are given to the data plane, which reads them; who connects to a stream socket is
taken by ``shell.accept``.
"""

import socket
from collections.abc import Callable, Sequence

from ginnel.compat import server_lines, shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.errors import HostError
from ginnel.core.types import Endpoint, Transport
from ginnel.dataclass import dataclass, replace
from ginnel.options.model import AddressFamily, LinkOptions, LinkProtocol
from ginnel.options.server_model import Listener, ServerOptions
from ginnel.options.values import Origin
from ginnel.shell.addresses import endpoint_of
from ginnel.shell.socket_options import SocketTerms, buffer_sizes, configure_socket, port_number

BACKLOG = 1024
"""Connections that the kernel holds until they are taken; it has a limit of its own."""

_ANYWHERE = Origin("", 0)
_FAMILIES = {
    AddressFamily.ANY: socket.AF_UNSPEC,
    AddressFamily.IPV4: socket.AF_INET,
    AddressFamily.IPV6: socket.AF_INET6,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Everything that a socket was made from; a reload keeps those whose terms are the same."""

    listener: Listener
    socket: SocketTerms
    link: LinkOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenListener:
    """A bound socket."""

    terms: Terms
    socket: socket.socket
    endpoint: Endpoint
    transport: Transport


class Listeners:
    """All sockets of the process."""

    def __init__(self, log: Callable[[LogLine], None]) -> None:
        self._log = log
        self._open: list[OpenListener] = []

    @property
    def all(self) -> Sequence[OpenListener]:
        """Those that are open, in the order of the options."""
        return self._open

    def open(self, options: ServerOptions) -> None:
        """Opens what the options ask for. Raises HostError when one cannot be.

        Sockets that are open already on the same terms are used on: rights to bind them may be gone
        by now, and no packet is lost.
        """
        wanted = [_terms(listener, options) for listener in options.listeners]
        kept = {item.terms: item for item in self._open}
        for terms, item in kept.items():
            if terms not in wanted:
                item.socket.close()
        self._open = [item for item in self._open if item.terms in wanted]
        for terms in wanted:
            if terms not in kept:
                self._open.append(self._open_one(terms))
        self._open.sort(key=lambda item: wanted.index(item.terms))
        for item in self._open:
            self._announce(item)

    def close(self) -> None:
        """Closes all sockets. Idempotent."""
        for item in self._open:
            item.socket.close()
        self._open.clear()

    def _open_one(self, terms: Terms) -> OpenListener:
        listener = terms.listener
        is_udp = listener.protocol is LinkProtocol.UDP
        kind = socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM
        if listener.family is AddressFamily.ANY and listener.local is None:
            self._log(server_lines.family_guessed())
        where = f"[{listener.local or 'any'}]:{listener.port} ({listener.protocol.value})"
        try:
            family, address = _resolve(listener, kind)
            sock = socket.socket(family, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        except OSError as error:
            raise HostError(f"listen on {where}", error.errno or 0, _cause(error)) from error
        try:
            before = buffer_sizes(sock)
            configure_socket(sock, terms.socket, terms.link)
            after = buffer_sizes(sock)
            sock.bind(address)
            if not is_udp:
                sock.listen(BACKLOG)
        except OSError as error:
            sock.close()
            hint = "; is another server running there?" if error.errno == 98 else ""
            raise HostError(
                f"TCP/UDP: Socket bind failed on local address {where}",
                error.errno or 0,
                f"{_cause(error)}{hint}",
            ) from error
        self._log(shell_lines.socket_buffers((before[0], after[0]), (before[1], after[1])))
        return OpenListener(
            terms=terms,
            socket=sock,
            endpoint=endpoint_of(sock.getsockname()),
            transport=Transport.UDP if is_udp else Transport.TCP,
        )

    def _announce(self, item: OpenListener) -> None:
        if item.transport is Transport.TCP:
            self._log(server_lines.listening(item.endpoint))
        for line in server_lines.bound(item.endpoint, item.transport):
            self._log(line)


def _terms(listener: Listener, options: ServerOptions) -> Terms:
    """Where an option was written makes no other socket, nor what else is said about links."""
    link = options.link
    return Terms(
        listener=replace(listener, origin=_ANYWHERE),
        socket=SocketTerms(
            mtu_disc=options.profile.mtu_disc or link.mtu_disc,
            ipv6only=listener.bind_ipv6only,
        ),
        link=LinkOptions(
            sndbuf=link.sndbuf, rcvbuf=link.rcvbuf, mark=link.mark, bind_dev=link.bind_dev
        ),
    )


def _resolve(
    listener: Listener, kind: socket.SocketKind
) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    """Raises OSError."""
    family = _FAMILIES[listener.family]
    port = port_number(listener.port, "udp" if kind is socket.SOCK_DGRAM else "tcp")
    if listener.local is None:
        if family is not socket.AF_INET6:
            return socket.AF_INET, ("0.0.0.0", port)  # noqa: S104 -- "any" is meant
        return socket.AF_INET6, ("::", port, 0, 0)
    found = socket.getaddrinfo(listener.local, port, family, kind)
    chosen, _, _, _, address = found[0]
    return chosen, address


def _cause(error: OSError) -> str:
    return error.strerror or str(error)
