"""The sockets of the management interface: one client at a time, and never a wait for it.

Everything runs in callbacks of the event loop that is attached at the moment; the sockets outlive
loops, since a reload starts a new one. What the bytes mean is ``session``'s.
"""

import asyncio
import os
import socket
import stat
import struct
from collections.abc import Callable
from contextlib import suppress

from ginnel.compat.log_lines import LogLine, Severity
from ginnel.core.errors import ConfigError
from ginnel.core.types import Instant
from ginnel.management.intents import Intent
from ginnel.management.session import ManagementSession
from ginnel.management.settings import ManagementSettings, TcpAddress, UnixAddress

READ_BYTES = 4096
WRITE_BYTES = 65536
PIECES = 16
"""So many pieces are sent before others have their turn."""

LINGER = 5.0
"""Seconds that a client gets to read the last lines before its connection is closed."""

CONNECT_TIMEOUT = 10.0
"""Seconds for reaching the program of ``management-client``."""

_CREDENTIALS = struct.Struct("3i")


class ManagementServer:
    """Connects a session with the world. ``on_intent`` gets what the client wants."""

    def __init__(
        self,
        *,
        session: ManagementSession,
        settings: ManagementSettings,
        log: Callable[[LogLine], None],
        on_intent: Callable[[Intent], None],
        clock: Callable[[], Instant],
    ) -> None:
        self._session = session
        self._settings = settings
        self._log = log
        self._on_intent = on_intent
        self._clock = clock
        self._listener: socket.socket | None = None
        self._client: socket.socket | None = None
        self._name = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._pumping = False
        self._owned: tuple[int, int] | None = None
        """Device and inode of the socket file we made."""

    # --- life ----------------------------------------------------------------------------------

    def open(self) -> bool:
        """Listens or connects. Raises ConfigError when there is nothing to listen on.

        False when the program of ``management-client`` cannot be reached.
        """
        if self._settings.connects:
            return self._dial()
        try:
            self._listener = self._listen()
        except OSError as error:
            is_unix = isinstance(self._settings.address, UnixAddress)
            raise ConfigError(
                "MANAGEMENT: Socket bind failed"
                f"{' on unix domain socket' if is_unix else ''} {self._settings.address}: "
                f"{error.strerror or error}",
                option="management",
            ) from error
        return True

    def attach(self) -> None:
        """Begins to serve in the running event loop."""
        self._loop = asyncio.get_running_loop()
        self.pump()

    def detach(self) -> None:
        """Stops serving in this loop; connections and listener stay open."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        for sock in (self._listener, self._client):
            if sock is not None:
                loop.remove_reader(sock.fileno())
                loop.remove_writer(sock.fileno())
        for timer in (self._timer, self._linger):
            if timer is not None:
                timer.cancel()
        self._timer = self._linger = None

    def close(self) -> None:
        """Sends what can be sent at once, closes everything and removes the socket file."""
        self.detach()
        if self._client is not None:
            with suppress(OSError):
                while self._send_some():
                    pass
            self._client.close()
            self._client = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._unlink()

    def pump(self) -> None:
        """Brings sockets, intents and timers in step with the session. Call it after each input."""
        if self._pumping:
            return
        self._pumping = True
        try:
            self._flush()
            while (intent := self._session.poll_intent()) is not None:
                self._on_intent(intent)
                self._flush()
        finally:
            self._pumping = False
        self._arm()

    # --- sockets -------------------------------------------------------------------------------

    def _listen(self) -> socket.socket:
        address = self._settings.address
        if isinstance(address, TcpAddress):
            family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
            listener = socket.socket(family, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((address.host, address.port))
                listener.listen(1)
            except OSError:
                listener.close()
                raise
            address = TcpAddress(host=address.host, port=listener.getsockname()[1])
            self._log(_line(f"MANAGEMENT: TCP Socket listening on {address}"))
        else:
            listener = self._listen_unix(address)
            self._log(_line(f"MANAGEMENT: unix domain socket listening on {address}"))
        listener.setblocking(False)
        return listener

    def _listen_unix(self, address: UnixAddress) -> socket.socket:
        with suppress(FileNotFoundError):
            # Only a socket may be in the way: a wrong path must not cost anybody a file.
            if stat.S_ISSOCK(os.lstat(address.path).st_mode):
                os.unlink(address.path)  # noqa: PTH108 -- a string from the options
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Mode 0777 as OpenVPN makes it: who may come is told by user, group, password or directory.
        mask = os.umask(0)
        try:
            listener.bind(address.path)
            listener.listen(1)
        except OSError:
            listener.close()
            raise
        finally:
            os.umask(mask)
        made = os.lstat(address.path)
        self._owned = (made.st_dev, made.st_ino)
        return listener

    def _dial(self) -> bool:
        address = self._settings.address
        try:
            if isinstance(address, TcpAddress):
                client = socket.create_connection((address.host, address.port), CONNECT_TIMEOUT)
            else:
                client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                client.settimeout(CONNECT_TIMEOUT)
                try:
                    client.connect(address.path)
                except OSError:
                    client.close()
                    raise
        except OSError as error:
            kind = "unix socket " if isinstance(address, UnixAddress) else ""
            self._log(
                _line(
                    f"MANAGEMENT: connect to {kind}{address} failed: "
                    f"{error.strerror or error} (errno={error.errno})",
                    Severity.ERROR,
                )
            )
            return False
        if not self._is_welcome(client):
            client.close()
            return False
        self._log(_line(f"MANAGEMENT: Connected to management server at {address}"))
        self._take(client, str(address))
        return True

    def _accept(self) -> None:
        assert self._listener is not None, "only a listener accepts"
        try:
            client, peer = self._listener.accept()
        except OSError:
            return  # it left before we looked, or descriptors ran out: the next call is as good
        if not self._is_welcome(client):
            client.close()
            return
        if isinstance(self._settings.address, TcpAddress):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            name = str(TcpAddress(host=peer[0], port=peer[1]))
        else:
            name = str(self._settings.address)
        self._log(_line(f"MANAGEMENT: Client connected from {name}"))
        self._take(client, name)
        self.pump()

    def _take(self, client: socket.socket, name: str) -> None:
        client.setblocking(False)
        if self._listener is not None and self._loop is not None:
            self._loop.remove_reader(self._listener.fileno())
        self._client = client
        self._name = name
        self._session.connect()

    def _is_welcome(self, client: socket.socket) -> bool:
        """Checks user and group at the other end of a unix socket."""
        address = self._settings.address
        if not isinstance(address, UnixAddress) or (address.uid is None and address.gid is None):
            return True
        raw = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _pid, uid, gid = _CREDENTIALS.unpack(raw)
        for wanted, seen, label, option in (
            (address.uid, uid, "UID", "user"),
            (address.gid, gid, "GID", "group"),
        ):
            if wanted is not None and wanted != seen:
                self._log(
                    _line(
                        "MANAGEMENT: unix domain socket client connection rejected -- "
                        f"{label} of socket peer ({seen}) doesn't match required value "
                        f"({wanted}) as given by --management-client-{option}",
                        Severity.WARNING,
                    )
                )
                return False
        return True

    def _unlink(self) -> None:
        """Removes the socket file if it is still the one we made."""
        address, owned = self._settings.address, self._owned
        self._owned = None
        if owned is None or not isinstance(address, UnixAddress):
            return
        # Gone already, out of reach after a chroot, or forbidden after a change of user.
        with suppress(OSError):
            found = os.lstat(address.path)
            if (found.st_dev, found.st_ino) == owned:
                os.unlink(address.path)  # noqa: PTH108 -- a string from the options

    # --- bytes ---------------------------------------------------------------------------------

    def _read(self) -> None:
        client = self._client
        if client is None:
            return
        try:
            received = client.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            received = b""
        if received:
            self._session.receive(received, self._clock())
        else:
            self._drop()
        self.pump()

    def _flush(self) -> None:
        """Sends as much as the socket takes, then closes what is to be closed."""
        if self._client is None:
            return
        if self._session.overflowed:
            self._log(
                _line(
                    "MANAGEMENT: the client does not read, its connection is closed",
                    Severity.WARNING,
                )
            )
            self._drop()
            return
        try:
            for _ in range(PIECES):
                # A long reply is rendered in turns with everything else in the loop.
                if not self._send_some() or self._session.streaming:
                    break
        except OSError as error:
            self._log(_line(f"MANAGEMENT: TCP send error: {error.strerror}", Severity.ERROR))
            self._drop()
            return
        if self._session.finished and not self._session.waiting_output:
            self._drop()

    def _send_some(self) -> bool:
        """Sends one piece; False when there is nothing to send or the socket takes no more.

        Raises OSError when the client is gone.
        """
        client = self._client
        assert client is not None, "the caller looked"
        output = self._session.peek_output(WRITE_BYTES)
        if not output:
            return False
        try:
            sent = client.send(output)
        except (BlockingIOError, InterruptedError):
            return False
        self._session.sent(sent, self._clock())
        return True

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        if self._loop is not None:
            self._loop.remove_reader(client.fileno())
            self._loop.remove_writer(client.fileno())
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        client.close()
        self._log(_line("MANAGEMENT: Client disconnected"))
        self._session.disconnect()

    def _arm(self) -> None:
        """Asks the loop for exactly what is needed next."""
        loop = self._loop
        if loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        client = self._client
        if client is None:
            if self._listener is not None:
                loop.add_reader(self._listener.fileno(), self._accept)
            return
        if self._session.wants_input:
            loop.add_reader(client.fileno(), self._read)
        else:
            loop.remove_reader(client.fileno())
        if self._session.waiting_output:
            loop.add_writer(client.fileno(), self.pump)
        else:
            loop.remove_writer(client.fileno())
        if self._session.finished and self._linger is None:
            self._linger = loop.call_later(LINGER, self._give_up)
        due = self._session.poll_timeout()
        if due is not None:
            self._timer = loop.call_later(max(0.0, due - self._clock()), self._on_timer)

    def _on_timer(self) -> None:
        self._session.handle_timeout(self._clock())
        self.pump()

    def _give_up(self) -> None:
        """The client had its time to read the last lines."""
        self._linger = None
        self._drop()
        self.pump()


def _line(text: str, severity: Severity = Severity.INFO) -> LogLine:
    return LogLine(text=text, verb=3 if severity is Severity.INFO else 1, severity=severity)
