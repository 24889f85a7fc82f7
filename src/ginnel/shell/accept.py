"""Takes TCP connections, and waits for the first packet of each before anything is spent on it.

A connection that is silent costs a socket and a few bytes here, for as long as a handshake may take
(``hand-window``); there are never more than ``MAX_SILENT`` of them, the oldest goes first. What
does not begin with a first packet of OpenVPN goes to ``port-share``, or is closed. While the server
is busy with those that are in, nobody is taken or read: they wait in the kernel's queues.
"""

import asyncio
import errno
import socket
from collections.abc import Callable

from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.types import Endpoint, Instant, KeyId
from ginnel.core.wire import Opcode, first_byte
from ginnel.hints import Protocol
from ginnel.shell.addresses import endpoint_of
from ginnel.shell.clock import monotonic_now
from ginnel.shell.listeners import OpenListener
from ginnel.shell.repeats import Repeats

AT_ONCE = 32
"""Connections taken before the loop may do something else."""

MAX_SILENT = 1024
"""Connections whose first packet is not there yet."""

BUSY_PAUSE = 0.05
"""Seconds without taking connections or reading them while the server is busy."""

PAUSE = 1.0
"""Seconds without taking connections when the system has no room for more."""

GIVEN_UP = 64
"""Silent connections that are closed when the system has no room for more."""

FIRST_READ = 4096
"""Bytes: more than the longest first packet."""

SHORTEST, LONGEST = 14, 255
SHORTEST_V3, LONGEST_V3 = 336, 1278
"""Bytes of a first packet, without and with a wrapped client key, as OpenVPN accepts them."""

_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_RESETS = {
    first_byte(Opcode.CONTROL_HARD_RESET_CLIENT_V2, KeyId(0)): (SHORTEST, LONGEST),
    first_byte(Opcode.CONTROL_HARD_RESET_CLIENT_V3, KeyId(0)): (SHORTEST_V3, LONGEST_V3),
}


class StreamGuest(Protocol):
    """Who gets the connections: all with the bytes that were read, and the socket to keep."""

    def is_busy(self) -> bool:
        """Whether newcomers have to wait."""
        ...

    def welcome(self, sock: socket.socket, remote: Endpoint, unread: bytes) -> None:
        """A first packet of OpenVPN is there."""
        ...

    def divert(self, sock: socket.socket, remote: Endpoint, unread: bytes) -> None:
        """It is something else."""
        ...


class _Silent:
    """A connection before its first packet."""

    __slots__ = ("buffer", "remote", "since", "socket")

    def __init__(self, sock: socket.socket, remote: Endpoint, since: Instant) -> None:
        self.socket = sock
        self.remote = remote
        self.since = since
        self.buffer = b""


class Acceptor:
    """Takes the connections of any number of listening sockets."""

    def __init__(
        self,
        *,
        guest: StreamGuest,
        patience: float,
        nodelay: bool,
        log: Callable[[LogLine], None],
        clock: Callable[[], Instant] = monotonic_now,
    ) -> None:
        """``patience`` are the seconds in which the first packet has to come."""
        self._guest = guest
        self._patience = patience
        self._nodelay = nodelay
        self._repeats = Repeats(log, clock)
        self._clock = clock
        self._listening: list[OpenListener] = []
        self._silent: dict[int, _Silent] = {}
        """By descriptor, the oldest first."""
        self._held: set[_Silent] = set()
        """Those that are not read now."""
        self._timer: asyncio.TimerHandle | None = None
        self._paused: asyncio.TimerHandle | None = None

    @property
    def silent(self) -> int:
        """Counts the connections whose first packet is not there yet."""
        return len(self._silent)

    def open(self, listener: OpenListener) -> None:
        """Begins to take connections of a listening socket."""
        self._listening.append(listener)
        self._watch(listener)

    def close(self) -> None:
        """Stops, and closes what is silent. The listening sockets stay open."""
        for timer in (self._timer, self._paused):
            if timer is not None:
                timer.cancel()
        loop = asyncio.get_running_loop()
        for listener in self._listening:
            loop.remove_reader(listener.socket.fileno())
        self._listening.clear()
        for silent in tuple(self._silent.values()):
            self._give_up(silent)

    def _watch(self, listener: OpenListener) -> None:
        asyncio.get_running_loop().add_reader(listener.socket.fileno(), self._accept, listener)

    # --- connections ---------------------------------------------------------------------------

    def _accept(self, listener: OpenListener) -> None:
        for _ in range(AT_ONCE):
            if self._guest.is_busy():
                self._stop_taking(BUSY_PAUSE)
                return
            try:
                sock, address = listener.socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self._pause(error)
                    return
                continue  # the connection ended before it was taken
            self._begin(sock, endpoint_of(address))

    def _begin(self, sock: socket.socket, remote: Endpoint) -> None:
        sock.setblocking(False)
        if self._nodelay:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self._silent) >= MAX_SILENT:
            text = f"more than {MAX_SILENT} TCP connections are silent: the oldest are closed"
            self._repeats.say("silent", shell_lines.warning(text))
            self._give_up(next(iter(self._silent.values())))
        silent = _Silent(sock, remote, self._clock())
        self._silent[sock.fileno()] = silent
        asyncio.get_running_loop().add_reader(sock.fileno(), self._read, silent)
        self._arm()

    def _read(self, silent: _Silent) -> None:
        if self._guest.is_busy():
            asyncio.get_running_loop().remove_reader(silent.socket.fileno())
            self._held.add(silent)
            self._stop_taking(BUSY_PAUSE)
            return
        try:
            chunk = silent.socket.recv(FIRST_READ - len(silent.buffer))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._give_up(silent)
            return
        silent.buffer += chunk
        verdict = first_packet(silent.buffer)
        if verdict is None:
            return
        self._forget(silent)
        hand_over = self._guest.welcome if verdict else self._guest.divert
        hand_over(silent.socket, silent.remote, silent.buffer)

    def _give_up(self, silent: _Silent) -> None:
        self._forget(silent)
        silent.socket.close()

    def _forget(self, silent: _Silent) -> None:
        descriptor = silent.socket.fileno()
        asyncio.get_running_loop().remove_reader(descriptor)
        del self._silent[descriptor]
        self._held.discard(silent)

    # --- time ----------------------------------------------------------------------------------

    def _arm(self) -> None:
        if self._timer is None and self._silent:
            oldest = next(iter(self._silent.values()))
            delay = max(0.0, oldest.since + self._patience - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = self._clock()
        while self._silent:
            oldest = next(iter(self._silent.values()))
            if oldest.since + self._patience > now:
                break
            self._give_up(oldest)
        self._arm()

    def _pause(self, error: OSError) -> None:
        """The system has no room: it is asked again in a while, with fewer who only hold it."""
        text = f"no more TCP connections can be taken for now: {error.strerror}"
        self._repeats.say("no-room", shell_lines.warning(text))
        for silent in tuple(self._silent.values())[:GIVEN_UP]:
            self._give_up(silent)
        self._stop_taking(PAUSE)

    def _stop_taking(self, seconds: float) -> None:
        if self._paused is None:
            loop = asyncio.get_running_loop()
            for listener in self._listening:
                loop.remove_reader(listener.socket.fileno())
            self._paused = loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        if self._guest.is_busy():
            self._paused = asyncio.get_running_loop().call_later(BUSY_PAUSE, self._resume)
            return
        self._paused = None
        for listener in self._listening:
            self._watch(listener)
        held, self._held = self._held, set()
        for silent in held:
            asyncio.get_running_loop().add_reader(silent.socket.fileno(), self._read, silent)


def first_packet(received: bytes) -> bool | None:
    """Whether a stream begins with a whole first packet of OpenVPN; None while that is open."""
    if len(received) >= 1 and received[0] > LONGEST_V3 >> 8:
        return False
    if len(received) < 2:
        return None
    length = received[0] << 8 | received[1]
    if not SHORTEST <= length <= LONGEST_V3:
        return False
    if len(received) < 3:
        return None
    shortest, longest = _RESETS.get(received[2], (1, 0))
    if not shortest <= length <= longest:
        return False
    return True if len(received) >= length + 2 else None
