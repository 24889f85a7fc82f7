"""The link side of the reference engine: datagrams of a UDP socket, records of a TCP stream.

Each link duplicates the descriptor it is given. Not responsible for what a packet means.
"""

import errno
import ipaddress
import os
import socket
import struct
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from ginnel.core.proxy_socks import datagram_header
from ginnel.core.types import Endpoint, IPAddress, Transport
from ginnel.dataplane.api import Link, Relay
from ginnel.dataplane.reference_counters import Refused
from ginnel.hints import Protocol

SocketAddress = tuple[str, int] | tuple[str, int, int, int]
Ancillary = list[tuple[int, int, bytes]]

MAX_DATAGRAM = 65535
MAX_RECORD = 65535
"""What the 16-bit length in front of a TCP record can say."""
RECORD_SLACK = 1024
"""How much longer than the device's MTU a TCP record may be: headers, tag, a larger peer."""
MIN_RECORD = 4096
"""Control packets of a TLS record and its headers fit in any case."""
CONTROL_BACKLOG = 64 * 1024
MAX_SEGMENTS = 64
"""Packets of one send that the kernel cuts."""
MAX_SEND = 65507
"""Bytes of one send: the longest datagram of IPv4."""
IP_PKTINFO, UDP_SEGMENT, UDP_GRO = 8, 103, 104
"""Missing in the socket module of Python 3.11."""
_ANCILLARY_ROOM = 64
_CLOSED = frozenset({errno.EBADF, errno.ENOTSOCK})
_RETRY = frozenset({errno.EAGAIN, errno.EINTR})


class LinkBroken(Exception):
    """The socket is of no more use; 0 stands for the end of a TCP stream."""

    def __init__(self, number: int) -> None:
        super().__init__(os.strerror(number) if number else "end of stream")
        self.errno = number


class Way(NamedTuple):
    """How a datagram goes."""

    to: SocketAddress | None
    tos: int = 0
    """Type of service; 0 for the socket's own."""
    local: IPAddress | None = None
    """The address that it leaves from; None for the kernel's choice."""


class Arrived(NamedTuple):
    """Packets that came together."""

    packets: list[bytes]
    source: SocketAddress | None = None
    """None on a stream."""
    local: IPAddress | None = None
    """The address of ours that they came to, where that is known."""


class PacketLink(Protocol):
    """What the engine needs of a link. Every method may raise LinkBroken."""

    fd: int

    def receive(self, limit: int) -> list[Arrived]:
        """Packets that are here now, about ``limit`` at most."""
        ...

    def send(self, packets: Sequence[bytes], way: Way) -> Refused:
        """Sends data packets; returns those that the link does not take."""
        ...

    def send_control(self, packet: bytes, way: Way) -> str | None:
        """Sends before any queued data."""
        ...

    def flush(self) -> None: ...
    def is_congested(self) -> bool:
        """Tells whether more data would only be queued."""
        ...

    def waiting(self) -> int:
        """How many data packets wait here."""
        ...

    def has_records(self) -> bool:
        """Tells whether ``receive`` has something that the descriptor does not show."""
        ...

    def to_socket_address(self, endpoint: Endpoint) -> SocketAddress: ...
    def close(self) -> None: ...


def open_link(link: Link, unread: bytes, unsent: bytes, mtu: int) -> PacketLink:
    """Duplicates the socket. On TCP ``unread`` was read already, ``unsent`` leaves first."""
    if link.transport is Transport.TCP:
        return TcpLink(link, unread, unsent, max(MIN_RECORD, mtu + RECORD_SLACK))
    return UdpLink(link) if link.relay is None else RelayedLink(link, link.relay)


def probe_offloads() -> frozenset[str]:
    """Which of ``udp-gso`` and ``udp-gro`` the kernel has, as it says of a socket of no use."""
    found: set[str] = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for name, option, value in (("udp-gso", UDP_SEGMENT, 0), ("udp-gro", UDP_GRO, 1)):
            with suppress(OSError):
                probe.setsockopt(socket.IPPROTO_UDP, option, value)
                found.add(name)
    return frozenset(found)


def endpoint_of(address: SocketAddress) -> Endpoint:
    """The core's form of a socket address; IPv4 in IPv6 clothes becomes IPv4."""
    host = address[0].partition("%")[0]
    parsed: IPAddress = ipaddress.ip_address(host)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return Endpoint(parsed.ipv4_mapped, address[1])
    return Endpoint(parsed, address[1], address[3] if len(address) == 4 else 0)


class UdpLink:
    """A bound socket that is not connected."""

    def __init__(self, link: Link) -> None:
        self._socket = socket.socket(fileno=os.dup(link.fd))
        self._socket.setblocking(False)
        self.fd: int = self._socket.fileno()
        self._is_ipv6 = self._socket.family == socket.AF_INET6
        self._buffer = bytearray(MAX_DATAGRAM)
        self._most = MAX_SEGMENTS
        """Packets that one call may send."""
        self._join_received(wanted=True)
        if link.multihome and self._is_ipv6:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        elif link.multihome:
            self._socket.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)

    def receive(self, limit: int) -> list[Arrived]:
        """Datagrams with their sources; an ICMP error that surfaces here is not the end."""
        arrived: list[Arrived] = []
        count = 0
        while count < limit:
            try:
                length, ancillary, _flags, source = self._socket.recvmsg_into(
                    [self._buffer], _ANCILLARY_ROOM
                )
            except OSError as bad:
                if bad.errno in _RETRY:
                    break
                if bad.errno in _CLOSED:
                    raise LinkBroken(bad.errno or 0) from bad
                continue
            local, size = _told_by(ancillary)
            received = bytes(memoryview(self._buffer)[:length])
            step = size or max(length, 1)
            starts = range(0, max(length, 1), step)  # also of a datagram that is empty
            packets = [received[at : at + step] for at in starts]
            arrived.append(Arrived(packets, source, local))
            count += len(packets)
        return arrived

    def send(self, packets: Sequence[bytes], way: Way) -> Refused:
        """Sends now or never: a full socket drops, as a full router would.

        Packets of one length go in one call, of which the last may be shorter.
        """
        if way.to is None:
            return [("no-remote", packets)]
        ancillary = _tos_message(way.tos, way.to)
        if way.local is not None:
            ancillary.append(_from_message(way.local, is_ipv6=self._is_ipv6))
        refused: list[tuple[str, Sequence[bytes]]] = []
        at = 0
        while at < len(packets):
            group = _equals(packets, at, self._most)
            reason = self._send_group(group, way.to, ancillary)
            if reason is not None and len(group) > 1 and reason != "link-full":
                self._most = 1  # a path or a device that does not take such sends
                continue
            if reason is not None:
                refused.append((reason, group))
            at += len(group)
        return refused

    def _send_group(
        self, group: Sequence[bytes], to: SocketAddress, ancillary: Ancillary
    ) -> str | None:
        if len(group) > 1:
            cut = struct.pack("@H", len(group[0]))
            ancillary = [*ancillary, (socket.IPPROTO_UDP, UDP_SEGMENT, cut)]
        try:
            self._socket.sendmsg(group, ancillary, 0, to)
        except OSError as bad:
            if bad.errno in _CLOSED:
                raise LinkBroken(bad.errno or 0) from bad
            if bad.errno in (errno.EAGAIN, errno.ENOBUFS):
                return "link-full"
            return f"link-{errno.errorcode.get(bad.errno or 0, 'error').lower()}"
        return None

    def send_control(self, packet: bytes, way: Way) -> str | None:
        """As ``send``: there is no queue to overtake."""
        refused = self.send([packet], way)
        return refused[0][0] if refused else None

    def flush(self) -> None:
        """Nothing waits here."""

    def is_congested(self) -> bool:
        return False

    def waiting(self) -> int:
        return 0

    def has_records(self) -> bool:
        return False

    def _join_received(self, *, wanted: bool) -> None:
        with suppress(OSError):  # an old kernel, or no UDP socket: then they come one by one
            self._socket.setsockopt(socket.IPPROTO_UDP, UDP_GRO, int(wanted))

    def to_socket_address(self, endpoint: Endpoint) -> SocketAddress:
        """The form the kernel reports sources in, so that the two can be compared."""
        if self._socket.family == socket.AF_INET6:
            if endpoint.address.version == 4:
                return (f"::ffff:{endpoint.address}", endpoint.port, 0, 0)
            return (_host_of(endpoint), endpoint.port, 0, endpoint.scope_id)
        return (str(endpoint.address), endpoint.port)

    def close(self) -> None:
        """The socket is the shell's as well, which reads single packets."""
        self._join_received(wanted=False)
        self._socket.close()


class RelayedLink(UdpLink):
    """A link whose datagrams go through a SOCKS relay; its one peer is the relay's server."""

    def __init__(self, link: Link, relay: Relay) -> None:
        super().__init__(link)
        self._front = datagram_header(relay.server)
        self._relay = self.to_socket_address(relay.address)
        self._server = self.to_socket_address(relay.server)

    def receive(self, limit: int) -> list[Arrived]:
        """Packets without the header; one that bears another header becomes empty."""
        length = len(self._front)
        return [
            Arrived(
                [it[length:] if it.startswith(self._front) else b"" for it in packets],
                self._sender(source),
            )
            for packets, source, _ in super().receive(limit)
        ]

    def send(self, packets: Sequence[bytes], way: Way) -> Refused:
        """Sends to the relay, whatever the address."""
        return super().send([self._front + packet for packet in packets], Way(self._relay, way.tos))

    def _sender(self, source: SocketAddress | None) -> SocketAddress | None:
        return self._server if source == self._relay else source


class TcpLink:
    """A connected stream of records: 16-bit length, then that many bytes (protocol-facts 21).

    Records leave whole and in order; control records overtake data records that have not begun.
    """

    def __init__(self, link: Link, unread: bytes, unsent: bytes, max_record: int) -> None:
        self._socket = socket.socket(fileno=os.dup(link.fd))
        self._socket.setblocking(False)
        self.fd: int = self._socket.fileno()
        self._max_record = max_record
        self._incoming = bytearray(unread)
        self._begun = unsent
        self._control: deque[bytes] = deque()
        self._data: deque[bytes] = deque()

    def receive(self, limit: int) -> list[Arrived]:
        """Whole records; raises LinkBroken for the end of the stream and for a bad length."""
        packets = self._deframe(limit)
        if len(packets) < limit and self._read_more(is_last=not packets):
            packets += self._deframe(limit - len(packets))
        return [Arrived(packets)] if packets else []

    def send(self, packets: Sequence[bytes], way: Way) -> Refused:
        """Queues behind what waits, without bound: the engine looks at ``waiting`` before.

        A stream has no packets of its own: the way means nothing. What a peer sent in a datagram
        may have grown past what a record holds.
        """
        fitting = [packet for packet in packets if len(packet) <= MAX_RECORD]
        self._data.extend(map(_framed, fitting))
        self.flush()
        too_long = [packet for packet in packets if len(packet) > MAX_RECORD]
        return [("link-emsgsize", too_long)] if too_long else []

    def send_control(self, packet: bytes, way: Way) -> str | None:
        """Queues before data; dropped past 64 KiB, as the reliability layer sends again."""
        if sum(map(len, self._control)) + len(packet) > CONTROL_BACKLOG:
            return "link-full"
        self._control.append(_framed(packet))
        self.flush()
        return None

    def flush(self) -> None:
        """Writes as much as the socket takes."""
        while self._begun or self._control or self._data:
            if not self._begun:
                self._begun = (self._control or self._data).popleft()
            try:
                written = self._socket.send(self._begun, socket.MSG_NOSIGNAL)
            except OSError as bad:
                if bad.errno in _RETRY or bad.errno == errno.ENOBUFS:
                    return
                raise LinkBroken(bad.errno or errno.EIO) from bad
            self._begun = self._begun[written:]

    def is_congested(self) -> bool:
        return bool(self._begun or self._control or self._data)

    def waiting(self) -> int:
        return len(self._data)

    def has_records(self) -> bool:
        length = int.from_bytes(self._incoming[:2], "big")
        return len(self._incoming) >= 2 and (
            not 0 < length <= self._max_record or len(self._incoming) >= 2 + length
        )

    def to_socket_address(self, endpoint: Endpoint) -> SocketAddress:
        """Not used on a stream, but harmless."""
        return (str(endpoint.address), endpoint.port)

    def close(self) -> None:
        self._socket.close()

    def _read_more(self, *, is_last: bool) -> bool:
        """Tells whether something came; an end after packets shows again at the next call."""
        try:
            chunk = self._socket.recv(MAX_DATAGRAM)
        except OSError as bad:
            if bad.errno in _RETRY:
                return False
            raise LinkBroken(bad.errno or errno.EIO) from bad
        if not chunk and is_last:
            raise LinkBroken(0)
        self._incoming += chunk
        return bool(chunk)

    def _deframe(self, limit: int) -> list[bytes]:
        packets: list[bytes] = []
        at = 0
        while len(packets) < limit and len(self._incoming) >= at + 2:
            length = int.from_bytes(self._incoming[at : at + 2], "big")
            if not 0 < length <= self._max_record:
                if packets:
                    break  # hand these out first; the bad length shows at the next call
                raise LinkBroken(errno.EBADMSG)
            if len(self._incoming) < at + 2 + length:
                break
            packets.append(bytes(self._incoming[at + 2 : at + 2 + length]))
            at += 2 + length
        del self._incoming[:at]
        return packets


def _tos_message(tos: int, to: SocketAddress) -> Ancillary:
    """The control message for a type of service; IPv4 in IPv6 clothes takes that of IPv4."""
    if not tos:
        return []
    value = struct.pack("@i", tos)
    if ":" in to[0] and not to[0].startswith("::ffff:"):
        return [(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, value)]
    return [(socket.IPPROTO_IP, socket.IP_TOS, value)]


def _from_message(local: IPAddress, *, is_ipv6: bool) -> tuple[int, int, bytes]:
    """The control message that names the source address."""
    if not is_ipv6:
        return socket.IPPROTO_IP, IP_PKTINFO, struct.pack("@i4s4x", 0, local.packed)
    mapped = local.packed if local.version == 6 else bytes(10) + b"\xff\xff" + local.packed
    return socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, mapped + bytes(4)


def _told_by(ancillary: Ancillary) -> tuple[IPAddress | None, int]:
    """What came with a datagram: its destination, and the length of the packets joined in it."""
    local: IPAddress | None = None
    size = 0
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_UDP, UDP_GRO):
            size = int.from_bytes(data, sys.byteorder)
        elif (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO) and len(data) >= 12:
            local = ipaddress.IPv4Address(data[8:12])
        elif (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO) and len(data) >= 16:
            found = ipaddress.IPv6Address(data[:16])
            local = found.ipv4_mapped or found
    return local, size


def _equals(packets: Sequence[bytes], start: int, most: int) -> Sequence[bytes]:
    """Neighbours of the same length, the last one possibly shorter, that one call may send."""
    length = len(packets[start])
    end = start + 1
    most = min(most, MAX_SEND // max(length, 1))
    while end < len(packets) and end - start < most and 0 < len(packets[end]) <= length:
        end += 1
        if len(packets[end - 1]) < length:
            break
    return packets[start:end]


def _framed(packet: bytes) -> bytes:
    return len(packet).to_bytes(2, "big") + packet


def _host_of(endpoint: Endpoint) -> str:
    """With a scope the kernel names the interface: ``fe80::1%eth0``, when it still exists."""
    if not endpoint.scope_id:
        return str(endpoint.address)
    try:
        return f"{endpoint.address}%{socket.if_indextoname(endpoint.scope_id)}"
    except OSError:
        return str(endpoint.address)
