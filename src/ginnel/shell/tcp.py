"""A link over TCP: connecting, and the records of control until a data plane takes over.

The socket is raw and non-blocking, as it is handed over with whatever was read too far and whatever
was not written yet: a stream of records has no second chance.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Sequence
from contextlib import suppress

from ginnel.compat import shell_lines
from ginnel.core.errors import Malformed
from ginnel.core.types import Endpoint, Transmit, Transport
from ginnel.core.wire import TcpDeframer, frame_tcp
from ginnel.dataplane import api
from ginnel.options.model import LinkOptions
from ginnel.shell.addresses import own_address, socket_address
from ginnel.shell.link import Attempt, BadRecord, LinkRelay, LinkUnavailable, Received
from ginnel.shell.socket_options import open_socket, set_asked_buffers

READ_SIZE = 65536
RECORD_SLACK = 1024
"""Bytes that a record may be longer than tun-mtu: headers, tag, a larger peer."""

MIN_RECORD = 4096
"""Bytes of the longest record that is accepted at least: control packets fit in any case."""

BACKLOG = 65536
"""Bytes that may wait for the socket to take them; a packet beyond is dropped, and sent again."""

UNSENT_LIMIT = 131072
"""Bytes the kernel queues beyond what is on its way: control waits behind no more data than this.

Without the limit a full send buffer, megabytes of data, would hold back keepalives for seconds.
"""


async def connect_tcp(attempt: Attempt) -> "TcpLink":
    """Connects to the server within ``connect-timeout``.

    Raises LinkUnavailable when it cannot be reached, LinkError for a local mistake.
    """
    sock, local = await connect_socket(attempt, attempt.profile.connect_timeout)
    return TcpLink(sock, local=local, tun_mtu=attempt.profile.tun_mtu)


async def connect_socket(attempt: Attempt, timeout: float) -> tuple[socket.socket, Endpoint | None]:
    """Connects to the address in turn within the time, in seconds; says so in the log.

    Returns the socket and the local address that was asked for. Raises as ``connect_tcp``.
    """
    sock, local = open_socket(attempt, socket.SOCK_STREAM)
    try:
        attempt.log(shell_lines.tcp_connecting(attempt.remote))
        attempt.state("TCP_CONNECT")
        await connect_stream(sock, attempt.remote, timeout)
    except OSError as error:
        sock.close()
        cause = _cause(error)
        attempt.log(shell_lines.tcp_connect_failed(attempt.remote, cause))
        raise LinkUnavailable(str(attempt.remote), cause, reason="connection-failed") from error
    except BaseException:
        sock.close()
        raise
    attempt.log(shell_lines.tcp_connected(attempt.remote))
    return sock, local


async def connect_stream(sock: socket.socket, to: Endpoint, timeout: float) -> None:
    """Connects a non-blocking socket. Raises OSError, TimeoutError (ETIMEDOUT) among them."""
    try:
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(sock, socket_address(to))
    except TimeoutError as late:
        if late.errno is not None:
            raise
        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from late


class TcpLink:
    """A connected stream; its peer is whom it is connected to, so packets bear no address."""

    transport = Transport.TCP
    relay: LinkRelay | None = None

    def __init__(
        self, sock: socket.socket, *, local: Endpoint | None, tun_mtu: int, unread: bytes = b""
    ) -> None:
        """Owns ``sock``. ``unread`` are bytes of the stream that somebody has read already."""
        self.local = local
        self._socket = sock
        self._deframer = TcpDeframer(max_length=max(MIN_RECORD, tun_mtu + RECORD_SLACK))
        self._unread = unread
        self._unsent = bytearray()
        self._watched = False
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_LIMIT)

    def own_address(self) -> Endpoint | None:
        return own_address(self._socket)

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> Sequence[Received] | None:
        """The records that one read completed."""
        chunk, self._unread = self._unread, b""
        if not chunk:
            try:
                chunk = self._socket.recv(READ_SIZE)
            except (BlockingIOError, InterruptedError):
                return None
            if not chunk:
                raise OSError(0, "end of stream")
        try:
            records = self._deframer.feed(chunk)
        except Malformed as bad:
            raise BadRecord(self._deframer.bad_length, self._deframer.max_length) from bad
        return tuple((record, None) for record in records)

    def send(self, packet: Transmit) -> None:
        record = frame_tcp(packet.payload)
        if len(self._unsent) + len(record) <= BACKLOG:
            self._unsent += record
        self._flush()

    def hand_over(self, data_plane: api.DataPlane, options: LinkOptions) -> None:
        set_asked_buffers(self._socket, options)
        self._watch(wanted=False)
        unread = self._unread + self._deframer.take_unread()
        link = api.Link(fd=self.fileno(), transport=self.transport)
        data_plane.attach(link, unread, bytes(self._unsent))

    def close(self) -> None:
        self._watch(wanted=False)
        self._socket.close()

    def _flush(self) -> None:
        with suppress(BlockingIOError, InterruptedError):
            sent = self._socket.send(self._unsent, socket.MSG_NOSIGNAL)
            del self._unsent[:sent]
        self._watch(wanted=bool(self._unsent))

    def _flush_later(self) -> None:
        try:
            self._flush()
        except OSError:  # shows again to whoever reads, who knows what to do about it
            self._watch(wanted=False)

    def _watch(self, *, wanted: bool) -> None:
        """Has the loop tell when the socket takes more, while something waits for that."""
        if wanted == self._watched:
            return
        self._watched = wanted
        loop = asyncio.get_running_loop()
        if wanted:
            loop.add_writer(self.fileno(), self._flush_later)
        else:
            loop.remove_writer(self.fileno())


def _cause(error: OSError) -> str:
    """The system's words for the error, without what the loop adds to them."""
    return os.strerror(error.errno) if error.errno else str(error)
