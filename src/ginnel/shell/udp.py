"""A link over UDP: its socket, and the packets of control until a data plane takes over."""

import socket
from collections.abc import Sequence
from contextlib import suppress

from ginnel.core.types import Endpoint, Transmit, Transport
from ginnel.dataplane import api
from ginnel.options.model import LinkOptions
from ginnel.shell.addresses import endpoint_of, own_address, socket_address
from ginnel.shell.link import Attempt, LinkRelay, Received
from ginnel.shell.socket_options import open_socket, set_datagram_buffers

# linux/in.h, linux/in6.h: they are not in the socket module of Python 3.11.
_IP_RECVERR = 11
_IPV6_RECVERR = 25
_ERROR_BYTES = 512
_ERRORS_AT_ONCE = 256
MAX_PACKET = 65536


class UdpLink:
    """A non-blocking, unconnected socket: packets come from any address and are checked later."""

    transport = Transport.UDP
    relay: LinkRelay | None = None

    def __init__(self, sock: socket.socket, *, local: Endpoint | None) -> None:
        """``local`` is the address asked for, or None when the system chose."""
        self.local = local
        self._socket = sock

    def own_address(self) -> Endpoint | None:
        return own_address(self._socket)

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> Sequence[Received] | None:
        """One datagram with its source."""
        try:
            packet, address = self._socket.recvfrom(MAX_PACKET)
        except (BlockingIOError, InterruptedError):
            drain_errors(self._socket)
            return None
        return ((packet, endpoint_of(address)),)

    def send(self, packet: Transmit) -> None:
        if packet.destination is None:
            return
        with suppress(BlockingIOError, InterruptedError):  # the reliability layer sends it again
            self._socket.sendto(packet.payload, socket_address(packet.destination))

    def hand_over(self, data_plane: api.DataPlane, options: LinkOptions) -> None:
        set_datagram_buffers(self._socket, options)
        report_errors(self._socket, wanted=False)
        data_plane.attach(self.attached())

    def attached(self) -> api.Link:
        """What the data plane is given."""
        return api.Link(fd=self.fileno(), transport=self.transport)

    def close(self) -> None:
        self._socket.close()


def open_udp(attempt: Attempt) -> UdpLink:
    """Opens the socket for one attempt.

    Raises LinkUnavailable, or LinkError when an address cannot be bound or an option is refused.
    """
    sock, local = open_socket(attempt, socket.SOCK_DGRAM)
    report_errors(sock, wanted=True)
    return UdpLink(sock, local=local)


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
