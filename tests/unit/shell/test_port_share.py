"""Connections that do not speak OpenVPN reach another server."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ginnel.options.server_model import PortShare
from ginnel.shell import port_share
from ginnel.shell.addresses import endpoint_of
from ginnel.shell.port_share import PortSharing
from tests.unit.shell.loops import Lines, run, until


@dataclass
class Receiver:
    """The other server: echoes in capitals what it gets."""

    port: int = 0
    seen: list[bytes] = field(default_factory=list)
    peers: list[tuple[str, int]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers.append(writer.get_extra_info("peername"))
        while chunk := await reader.read(65536):
            self.seen.append(chunk)
            writer.write(chunk.upper())
            await writer.drain()
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()


def pair() -> tuple[socket.socket, socket.socket]:
    """A client, and our end of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        ours, _ = listening.accept()
    ours.setblocking(False)
    client.setblocking(False)
    return client, ours


async def read_all(client: socket.socket, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    got = b""
    while len(got) < size:
        chunk = await loop.sock_recv(client, 65536)
        if not chunk:
            break
        got += chunk
    return got


def test_bytes_go_both_ways_until_the_end_and_a_journal_names_the_client(tmp_path: Path) -> None:
    async def whole() -> None:
        async with receiver() as other, asyncio.TaskGroup() as tasks:
            options = PortShare(host="127.0.0.1", port=str(other.port), journal_dir=str(tmp_path))
            lines = Lines()
            sharing = PortSharing(options, tasks=tasks, log=lines)
            client, ours = pair()
            with client:
                remote = endpoint_of(client.getsockname())
                sharing.take(ours, remote, b"get / ")
                assert await read_all(client, 6) == b"GET / "
                (journal,) = tmp_path.iterdir()
                host, port = other.peers[0]
                assert journal.name == f"[AF_INET]{host}:{port}"
                assert journal.read_text() == str(remote)
                assert journal.stat().st_mode & 0o777 == 0o640
                big = b"x" * 1_000_000
                sending = asyncio.ensure_future(
                    asyncio.get_running_loop().sock_sendall(client, big)
                )
                assert await read_all(client, len(big)) == big.upper()
                await sending
                client.shutdown(socket.SHUT_WR)
                assert await read_all(client, 1) == b""
            await until(lambda: not list(tmp_path.iterdir()), "the end of the journal")
            assert lines.texts == [f"{remote} Non-OpenVPN client protocol detected"]

    run(whole())


def test_a_server_that_is_not_there_is_said_once_and_closes(tmp_path: Path) -> None:
    async def whole() -> None:
        async with asyncio.TaskGroup() as tasks:
            with socket.create_server(("127.0.0.1", 0)) as gone:
                port = gone.getsockname()[1]
            lines = Lines()
            options = PortShare(host="127.0.0.1", port=str(port))
            sharing = PortSharing(options, tasks=tasks, log=lines)
            for _ in range(3):
                client, ours = pair()
                with client:
                    sharing.take(ours, endpoint_of(client.getsockname()), b"x")
                    assert await read_all(client, 1) == b""
            warning = f"WARNING: port-share: cannot connect to 127.0.0.1:{port}: Connection refused"
            assert sum(warning in text for text in lines.texts) == 1

    run(whole())


def test_too_many_are_closed_and_the_end_of_the_server_ends_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port_share, "MAX_PASSED", 1)

    async def whole() -> None:
        async with receiver() as other, asyncio.TaskGroup() as tasks:
            lines = Lines()
            wrong = str(tmp_path / "none")
            options = PortShare(host="127.0.0.1", port=str(other.port), journal_dir=wrong)
            sharing = PortSharing(options, tasks=tasks, log=lines)
            first, ours = pair()
            second, theirs = pair()
            with first, second:
                sharing.take(ours, endpoint_of(first.getsockname()), b"x")
                sharing.take(theirs, endpoint_of(second.getsockname()), b"x")
                assert await read_all(second, 1) == b""
                assert await read_all(first, 1) == b"X"
                sharing.close()
                assert await read_all(first, 1) == b""
            assert lines.has("further ones are closed")
            assert lines.has("unable to write journal file")

    run(whole())


def test_an_end_before_the_work_began_closes_the_connection() -> None:
    async def whole() -> None:
        async with asyncio.TaskGroup() as tasks:
            sharing = PortSharing(PortShare(host="127.0.0.1", port="1"), tasks=tasks, log=Lines())
            client, ours = pair()
            with client:
                sharing.take(ours, endpoint_of(client.getsockname()), b"x")
                sharing.close()
                await until(lambda: ours.fileno() == -1, "the end")

    run(whole())


def test_who_ends_but_reads_nothing_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(port_share, "IDLE_TIMEOUT", 0.05)

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while True:
                writer.write(bytes(65536))
                await writer.drain()
        writer.close()

    async def whole() -> None:
        server = await asyncio.start_server(pour, "127.0.0.1", 0)
        async with asyncio.TaskGroup() as tasks:
            options = PortShare(host="127.0.0.1", port=str(server.sockets[0].getsockname()[1]))
            sharing = PortSharing(options, tasks=tasks, log=Lines())
            client, ours = pair()
            with client:
                sharing.take(ours, endpoint_of(client.getsockname()), b"x")
                client.shutdown(socket.SHUT_WR)
                await until(lambda: ours.fileno() == -1, "the end")
        server.close()
        await server.wait_closed()

    run(whole())
