"""The TCP link: connecting, records in any pieces, a full socket, and the hand-over."""

import asyncio
import errno
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from ginnel.compat.log_lines import LogLine
from ginnel.core.types import Endpoint, Transmit, Transport
from ginnel.core.wire import frame_tcp
from ginnel.options.model import LinkOptions
from ginnel.shell import tcp
from ginnel.shell.link import BadRecord, LinkUnavailable
from ginnel.shell.tcp import BACKLOG, TcpLink, connect_tcp
from tests.unit.shell.loops import run, until
from tests.unit.shell.remotes import attempt, tcp_profile
from tests.unit.shell.stand_ins import FakePlane, Story

LOOPBACK = ip_address("127.0.0.1")


class Pair:
    """A link and the server's end of it, which the tests read and write by hand."""

    def __init__(self, unread: bytes = b"") -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            self.server, _ = listener.accept()
        ours.setblocking(False)
        self.sock = ours
        self.link = TcpLink(ours, local=None, tun_mtu=1500, unread=unread)

    async def received(self) -> list[bytes]:
        """What the link completes next."""
        loop, there = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.link.fileno(), there.set)
        await asyncio.wait_for(there.wait(), 40)
        loop.remove_reader(self.link.fileno())
        packets = self.link.receive()
        assert packets is not None
        assert all(source is None for _, source in packets)
        return [packet for packet, _ in packets]


def with_pair(work: Callable[[Pair], Awaitable[None]], unread: bytes = b"") -> None:
    async def whole() -> None:
        pair = Pair(unread)
        try:
            await work(pair)
        finally:
            pair.link.close()
            pair.link.close()
            pair.server.close()

    run(whole())


def test_records_come_whole_however_they_are_cut() -> None:
    async def work(pair: Pair) -> None:
        assert pair.link.receive() is None
        stream = frame_tcp(b"one") + frame_tcp(b"two") + frame_tcp(b"three")
        pair.server.sendall(stream[:7])
        assert await pair.received() == [b"one"]
        pair.server.sendall(stream[7:8])
        assert await pair.received() == []
        pair.server.sendall(stream[8:])
        assert await pair.received() == [b"two", b"three"]

    with_pair(work)


def test_bytes_that_a_proxy_handshake_read_too_far_come_first() -> None:
    async def work(pair: Pair) -> None:
        assert pair.link.receive() == ((b"early", None),)
        pair.server.sendall(frame_tcp(b"late")[2:])
        assert await pair.received() == [b"late"]

    with_pair(work, unread=frame_tcp(b"early") + frame_tcp(b"late")[:2])


@pytest.mark.parametrize("garbage", [b"\0\0", b"HTTP/1.1 400 Bad Request"], ids=["zero", "http"])
def test_an_impossible_length_is_the_end(garbage: bytes) -> None:
    async def work(pair: Pair) -> None:
        pair.server.sendall(garbage)
        with pytest.raises(BadRecord, match="record length") as bad:
            await pair.received()
        assert bad.value.errno == errno.EBADMSG
        assert (bad.value.length, bad.value.limit) == (int.from_bytes(garbage[:2], "big"), 4096)

    with_pair(work)


def test_the_end_of_the_stream_and_a_reset_are_told_apart() -> None:
    async def ended(pair: Pair) -> None:
        pair.server.close()
        with pytest.raises(OSError, match="end of stream") as end:
            await pair.received()
        assert end.value.errno == 0

    async def reset(pair: Pair) -> None:
        pair.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        pair.server.close()
        with pytest.raises(ConnectionResetError):
            await pair.received()

    with_pair(ended)
    with_pair(reset)


def test_packets_leave_at_once_and_kept_small_in_the_kernel() -> None:
    async def work(pair: Pair) -> None:
        assert pair.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        low = pair.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
        assert low == tcp.UNSENT_LIMIT
        pair.link.send(Transmit(b"hello", None))
        assert pair.server.recv(100) == frame_tcp(b"hello")

    with_pair(work)


def test_what_a_full_socket_does_not_take_waits_whole_and_bounded() -> None:
    async def work(pair: Pair) -> None:
        pair.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        plane = FakePlane(Story())
        packet = bytes(1000)
        for _ in range(20000):
            pair.link.send(Transmit(packet, None))
        pair.server.setblocking(False)
        arrived = bytearray()

        def drained() -> bool:
            try:
                arrived.extend(pair.server.recv(1 << 20))
            except BlockingIOError:
                return False
            return len(arrived) > 2 * BACKLOG and len(arrived) % len(frame_tcp(packet)) == 0

        await until(drained, "whole records, written as the socket takes them")
        assert bytes(arrived) == frame_tcp(packet) * (len(arrived) // 1002)
        assert len(arrived) < 20000 * 1002, "not all of them were kept"
        pair.link.hand_over(plane, LinkOptions())
        plane.close()

    with_pair(work)


def test_a_reset_while_something_waits_is_left_to_the_reader() -> None:
    async def work(pair: Pair) -> None:
        pair.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for _ in range(20000):
            pair.link.send(Transmit(bytes(1000), None))
        pair.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        pair.server.close()
        await asyncio.sleep(0.05)
        with pytest.raises(OSError):
            pair.link.send(Transmit(b"x", None))

    with_pair(work)


def test_a_plane_gets_the_bytes_on_both_sides_of_the_seam() -> None:
    async def work(pair: Pair) -> None:
        plane = FakePlane(Story())
        pair.server.sendall(frame_tcp(b"one") + b"\x00")
        assert await pair.received() == [b"one"]
        pair.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for _ in range(20000):
            pair.link.send(Transmit(bytes(1000), None))
        pair.link.hand_over(plane, LinkOptions(rcvbuf=131072))
        transport, unread, unsent = plane.handed
        assert (transport, unread) == (Transport.TCP, b"\x00")
        assert 0 < len(unsent) <= BACKLOG
        assert not asyncio.get_running_loop().remove_writer(pair.link.fileno())
        assert pair.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * 131072
        plane.close()

    with_pair(work)


def test_connecting_is_told_in_openvpns_words() -> None:
    async def work() -> None:
        lines: list[LogLine] = []
        states: list[str] = []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            remote = Endpoint(LOOPBACK, listener.getsockname()[1])
            wanted = attempt(tcp_profile(), remote)
            link = await connect_tcp(replace(wanted, log=lines.append, state=states.append))
            listener.accept()[0].close()
        assert link.local is None
        assert link.own_address() is not None
        link.close()
        assert states == ["TCP_CONNECT"]
        assert [line.text for line in lines[1:]] == [
            f"Attempting to establish TCP connection with {remote}",
            f"TCP connection established with {remote}",
        ]

    run(work())


def test_a_refused_connection_is_said_and_another_remote_may_do() -> None:
    async def work() -> None:
        lines: list[LogLine] = []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            remote = Endpoint(LOOPBACK, listener.getsockname()[1])
        with pytest.raises(LinkUnavailable) as failed:
            await connect_tcp(replace(attempt(tcp_profile(), remote), log=lines.append))
        assert failed.value.reason == "connection-failed"
        assert lines[-1].text == f"TCP: connect to {remote} failed: Connection refused"

    run(work())


def test_connecting_takes_no_longer_than_connect_timeout() -> None:
    async def work() -> None:
        lines: list[LogLine] = []
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            remote = Endpoint(LOOPBACK, full.getsockname()[1])
            waiting = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(3)]
            for sock in waiting:  # a queue of one, and more who wait: nobody else gets in
                sock.setblocking(False)
                sock.connect_ex((str(remote.address), remote.port))
            wanted = attempt(replace(tcp_profile(), connect_timeout=1), remote)
            with pytest.raises(LinkUnavailable):
                await connect_tcp(replace(wanted, log=lines.append))
            for sock in waiting:
                sock.close()
        assert lines[-1].text == f"TCP: connect to {remote} failed: Connection timed out"

    run(work())
