"""TCP connections before their first packet: what is let in, what is not, and how many wait."""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from ginnel.core.types import Endpoint
from ginnel.core.wire import frame_tcp
from ginnel.options.model import LinkProtocol
from ginnel.shell import accept
from ginnel.shell.accept import Acceptor, first_packet
from ginnel.shell.listeners import Listeners
from tests.unit.shell.loops import Lines, run, until
from tests.unit.shell.server_stand_ins import Clock, listener, server_options

RESET = frame_tcp(bytes((7 << 3,)) + b"s" * 13)
RESET_V3 = frame_tcp(bytes((10 << 3,)) + b"s" * 400)


@pytest.mark.parametrize(
    ("received", "verdict"),
    [
        (b"", None),
        (b"G", False),
        (b"\x00", None),
        (b"\x00\x03", False),
        (RESET[:2], None),
        (RESET[:3], None),
        (RESET[:-1], None),
        (RESET, True),
        (RESET + b"more", True),
        (RESET_V3[:100], None),
        (RESET_V3, True),
        (frame_tcp(bytes((7 << 3,)) + b"s" * 400), False),
        (frame_tcp(bytes((10 << 3,)) + b"s" * 40), False),
        (frame_tcp(bytes((7 << 3 | 1,)) + b"s" * 13), False),
        (frame_tcp(bytes((4 << 3,)) + b"s" * 13), False),
        (b"\x16\x03\x01\x02\x00\x01", False),
    ],
)
def test_a_first_packet_is_known_by_length_and_opcode(
    received: bytes, verdict: bool | None
) -> None:
    assert first_packet(received) is verdict


class Rig:
    def __init__(self) -> None:
        self.lines = Lines()
        self.clock = Clock()
        self.welcomed: list[bytes] = []
        self.diverted: list[bytes] = []
        self.room = 1000
        """How many are let in before the server is busy."""
        self.listeners = Listeners(self.lines)
        self.listeners.open(server_options(listener(LinkProtocol.TCP_SERVER)))
        self.port = self.listeners.all[0].endpoint.port
        self.acceptor = Acceptor(
            guest=self, patience=60, nodelay=True, log=self.lines, clock=self.clock
        )
        self.acceptor.open(self.listeners.all[0])

    def is_busy(self) -> bool:
        return len(self.welcomed) >= self.room

    def welcome(self, sock: socket.socket, remote: Endpoint, unread: bytes) -> None:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        sock.close()
        self.welcomed.append(unread)

    def divert(self, sock: socket.socket, remote: Endpoint, unread: bytes) -> None:
        sock.close()
        self.diverted.append(unread)

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port)) as client:
            yield client


def with_rig(work: Callable[[Rig], Awaitable[None]]) -> None:
    async def whole() -> None:
        rig = Rig()
        try:
            await work(rig)
        finally:
            rig.acceptor.close()
            rig.listeners.close()

    run(whole())


def test_connections_go_where_their_first_bytes_say_in_any_pieces() -> None:
    async def work(rig: Rig) -> None:
        with rig.connected() as one, rig.connected() as other:
            for byte in RESET:
                one.send(bytes((byte,)))
                await asyncio.sleep(0)
            other.send(b"GET / HTTP/1.1\r\n")
            await until(lambda: rig.welcomed and rig.diverted, "both")
        assert rig.welcomed == [RESET]
        assert rig.diverted == [b"GET / HTTP/1.1\r\n"]
        assert rig.acceptor.silent == 0

    with_rig(work)


def test_a_connection_that_ends_or_is_silent_for_long_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work(rig: Rig) -> None:
        with rig.connected():
            await until(lambda: rig.acceptor.silent == 1, "it")
        await until(lambda: rig.acceptor.silent == 0, "its end")
        with rig.connected() as silent:
            await until(lambda: rig.acceptor.silent == 1, "the silent one")
            rig.clock.now += 61
            rig.acceptor._expire()
            assert rig.acceptor.silent == 0
            assert silent.recv(1) == b""

    with_rig(work)


def test_too_many_silent_ones_push_out_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accept, "MAX_SILENT", 5)

    async def work(rig: Rig) -> None:
        clients = [socket.create_connection(("127.0.0.1", rig.port)) for _ in range(12)]
        try:
            await until(lambda: rig.acceptor.silent == 5, "as many as may wait")
            assert clients[0].recv(1) == b""
            clients[-1].send(RESET)
            await until(lambda: rig.welcomed, "the one that speaks")
        finally:
            for client in clients:
                client.close()
        assert sum("are silent" in text for text in rig.lines.texts) == 1

    with_rig(work)


def test_without_descriptors_it_pauses_with_one_line_and_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accept, "PAUSE", 0.01)

    async def work(rig: Rig) -> None:
        sock = rig.listeners.all[0].socket
        refusals = 3

        def refuse(_self: socket.socket) -> tuple[socket.socket, tuple[str, int]]:
            nonlocal refusals
            if refusals:
                refusals -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return real(sock)

        with rig.connected() as early:
            await until(lambda: rig.acceptor.silent == 1, "the first")
            real = socket.socket.accept
            monkeypatch.setattr(socket.socket, "accept", refuse)
            with rig.connected() as late:
                late.send(RESET)
                await until(lambda: rig.welcomed, "the one that came meanwhile")
                assert early.recv(1) == b"", "who only holds room makes some"
        assert sum("no more TCP connections" in text for text in rig.lines.texts) == 1

    with_rig(work)


def test_while_the_server_is_busy_nobody_is_taken_or_read_and_nobody_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accept, "BUSY_PAUSE", 0.01)

    async def work(rig: Rig) -> None:
        rig.room = 2
        early = [socket.create_connection(("127.0.0.1", rig.port)) for _ in range(4)]
        try:
            await until(lambda: rig.acceptor.silent == 4, "those that came before")
            for client in early:
                client.send(RESET)
            await until(lambda: len(rig.welcomed) == 2, "as many as there is room for")
            with rig.connected() as late:
                late.send(RESET)
                await asyncio.sleep(0.05)
                assert (len(rig.welcomed), rig.acceptor.silent) == (2, 2)
                early[-1].close()  # one that gives up meanwhile
                rig.room = 1000
                await until(lambda: len(rig.welcomed) >= 4, "all others")
                await until(lambda: rig.acceptor.silent == 0, "the end of the wait")
        finally:
            for client in early:
                client.close()

    with_rig(work)


def test_the_end_does_not_wait_for_those_that_are_held_back() -> None:
    async def work(rig: Rig) -> None:
        with rig.connected() as client:
            await until(lambda: rig.acceptor.silent == 1, "it")
            rig.room = 0
            client.send(RESET)
            await until(lambda: rig.acceptor._held, "its turn")
            rig.acceptor.close()
            assert rig.acceptor.silent == 0
            assert not rig.acceptor._held
            rig.room = 1000
            with rig.connected() as late:
                late.send(RESET)
                await asyncio.sleep(3 * accept.BUSY_PAUSE)  # its pause does not end any more
                assert not rig.welcomed

    with_rig(work)
