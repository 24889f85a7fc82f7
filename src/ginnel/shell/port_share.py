"""``port-share``: passes TCP connections that do not speak OpenVPN on to another server.

Bytes are carried both ways until both sides have ended. With a journal directory the other server
can look up who really connected: a file there is named after the address that it sees, and holds
the client's.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ginnel.compat import server_lines, shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.types import Endpoint, Instant
from ginnel.options.server_model import PortShare
from ginnel.shell.addresses import endpoint_of
from ginnel.shell.clock import monotonic_now
from ginnel.shell.repeats import Repeats

MAX_PASSED = 1024
"""Connections passed on at a time."""

CHUNK = 65536
CONNECT_TIMEOUT = 10.0
IDLE_TIMEOUT = 3600.0
"""Seconds without a byte in one direction after which it is given up; also those in which a chunk
has to be taken, so that who reads nothing holds no place for ever."""

JOURNAL_MODE = 0o640


class PortSharing:
    """See the module."""

    def __init__(
        self,
        options: PortShare,
        *,
        tasks: asyncio.TaskGroup,
        log: Callable[[LogLine], None],
        clock: Callable[[], Instant] = monotonic_now,
    ) -> None:
        self._options = options
        self._tasks = tasks
        self._log = log
        self._repeats = Repeats(log, clock)
        self._passed: set[asyncio.Task[None]] = set()

    def take(self, sock: socket.socket, remote: Endpoint, unread: bytes) -> None:
        """Passes a connection on, with the bytes that were read of it."""
        if len(self._passed) >= MAX_PASSED:
            text = (
                f"port-share: more than {MAX_PASSED} connections at once: further ones are closed"
            )
            self._repeats.say("full", shell_lines.warning(text))
            sock.close()
            return
        self._log(server_lines.not_openvpn(remote))
        task = self._tasks.create_task(self._pass_on(sock, remote, unread), name="port-share")
        self._passed.add(task)
        task.add_done_callback(self._passed.discard)
        # Here and not in the task, which may be cancelled before it begins.
        task.add_done_callback(lambda _task: sock.close())

    def close(self) -> None:
        """Ends all connections."""
        for task in self._passed:
            task.cancel()

    async def _pass_on(self, sock: socket.socket, remote: Endpoint, unread: bytes) -> None:
        try:
            receiver = await self._connect()
        except OSError as error:
            target = f"{self._options.host}:{self._options.port}"
            cause = os.strerror(error.errno) if error.errno else str(error) or "no answer"
            text = f"port-share: cannot connect to {target}: {cause}"
            self._repeats.say("connect", shell_lines.warning(text))
            return
        with receiver:
            journal = self._write_journal(receiver, remote)
            try:
                await _carry(sock, receiver, unread)
            finally:
                if journal is not None:
                    with suppress(OSError):
                        journal.unlink()

    async def _connect(self) -> socket.socket:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(
            self._options.host, self._options.port, type=socket.SOCK_STREAM
        )
        family, kind, _, _, address = found[0]
        receiver = socket.socket(family, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await loop.sock_connect(receiver, address)
        except BaseException:
            receiver.close()
            raise
        return receiver

    def _write_journal(self, receiver: socket.socket, remote: Endpoint) -> Path | None:
        directory = self._options.journal_dir
        if directory is None:
            return None
        path = Path(directory) / str(endpoint_of(receiver.getsockname()))
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(path, flags, JOURNAL_MODE)
            try:
                os.write(descriptor, str(remote).encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            text = f"port-share: unable to write journal file in {directory}: {error.strerror}"
            self._repeats.say("journal", shell_lines.warning(text))
            return None
        return path


async def _carry(client: socket.socket, receiver: socket.socket, unread: bytes) -> None:
    """Carries bytes both ways; each direction ends by itself, an error ends both."""
    with suppress(OSError, TimeoutError, ExceptionGroup):
        async with asyncio.TaskGroup() as both:
            both.create_task(_copy(client, receiver, unread))
            both.create_task(_copy(receiver, client, b""))


async def _copy(source: socket.socket, target: socket.socket, first: bytes) -> None:
    """Raises OSError, or TimeoutError for a direction that is silent for too long."""
    loop = asyncio.get_running_loop()
    chunk = first
    while True:
        if chunk:
            async with asyncio.timeout(IDLE_TIMEOUT):
                await loop.sock_sendall(target, chunk)
        async with asyncio.timeout(IDLE_TIMEOUT):
            chunk = await loop.sock_recv(source, CHUNK)
        if not chunk:
            with suppress(OSError):
                target.shutdown(socket.SHUT_WR)
            return
