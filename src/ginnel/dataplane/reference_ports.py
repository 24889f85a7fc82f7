"""The descriptors of the reference engine: the TUN device, and what wakes its caller.

Each duplicates what it is given and closes its own. Not responsible for what is in a packet.
"""

import ctypes
import errno
import fcntl
import os
import select
import struct
from collections.abc import Sequence

from ginnel.core.errors import Malformed
from ginnel.dataplane.api import TunDevice
from ginnel.dataplane.reference_offload import HEADER_LENGTH, MAX_JOINED, joined, packets_of

_TUNSETOFFLOAD = 0x400454D0
_TCP_OFFLOADS = 0x01 | 0x02 | 0x04 | 0x08
"""Checksums, TCP over IPv4 and IPv6, and with ECN."""
_GONE = frozenset({errno.EBADFD, errno.EBADF, errno.ENODEV})
"""A deleted device answers EBADFD; EIO to a write only says that the interface is down."""
_REFUSALS = {errno.EAGAIN: "tun-full", errno.ENOBUFS: "tun-full", errno.EIO: "tun-down"}
_RETRY = frozenset({errno.EAGAIN, errno.EINTR})
_MAX_INNER = 65535


class TunBroken(Exception):
    """The device is gone."""

    def __init__(self, number: int) -> None:
        super().__init__(os.strerror(number))
        self.errno = number


class TunPort:
    """Reads and writes inner packets; with a vnet header many of one TCP connection at a time."""

    def __init__(self, tun: TunDevice) -> None:
        self.fd = os.dup(tun.fd)
        os.set_blocking(self.fd, False)
        self._has_header = tun.vnet_header
        wanted = 0 if tun.ethernet else _TCP_OFFLOADS
        self.has_offloads = tun.vnet_header and self._set_offloads(wanted) and wanted != 0
        self._buffer = bytearray(_MAX_INNER + HEADER_LENGTH)

    def read(self) -> list[bytes] | None:
        """The next packets, whose addresses are the same; None when there are none now.

        Empty for a packet that cannot be used.
        """
        try:
            length = os.readv(self.fd, [self._buffer])
        except OSError as bad:
            if bad.errno in _RETRY:
                return None
            raise TunBroken(bad.errno or errno.EIO) from bad
        read = bytes(memoryview(self._buffer)[:length])
        if not self._has_header:
            return [read]
        try:
            return packets_of(read)
        except Malformed:
            return []

    def write(self, packets: Sequence[bytes]) -> list[str]:
        """Writes packets; returns the reason for each that the device does not take."""
        refused: list[str] = []
        for join in joined(packets, most=MAX_JOINED if self.has_offloads else 1):
            try:
                os.writev(self.fd, join.parts() if self._has_header else join.packets)
            except OSError as bad:
                number = bad.errno or errno.EIO
                if number in _GONE:
                    raise TunBroken(number) from bad
                refused += [_REFUSALS.get(number, "tun-refused")] * len(join.packets)
        return refused

    def close(self) -> None:
        """Switches the offloads off: the device may outlive us, and its next reader need not know
        super-packets."""
        if self.has_offloads:
            self._set_offloads(0)
        os.close(self.fd)

    def _set_offloads(self, wanted: int) -> bool:
        try:
            fcntl.ioctl(self.fd, _TUNSETOFFLOAD, wanted)
        except OSError:  # a test's socket, an old kernel, a device that is gone
            return False
        return True


class Timer:
    """A timerfd on the monotonic clock; called through libc because Python 3.11 has no wrapper."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self.fd: int = self._libc.timerfd_create(1, flags)
        if self.fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def arm(self, seconds: float) -> None:
        """Makes the descriptor readable after this long, at once for 0 or less."""
        nanoseconds = max(1, int(seconds * 1e9))
        value = struct.pack("@4l", 0, 0, *divmod(nanoseconds, 1_000_000_000))
        if self._libc.timerfd_settime(self.fd, 0, value, None) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def acknowledge(self) -> bool:
        """Makes it unreadable again; tells whether it had fired."""
        try:
            os.read(self.fd, 8)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        os.close(self.fd)


class Waker:
    """An epoll over the packet descriptors, an eventfd for what waits here, and a timer."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._timer = Timer()
        self._watched: dict[int, int] = {}
        self._armed = float("inf")
        self._signalled = False
        self._epoll.register(self._event, select.EPOLLIN)
        self._epoll.register(self._timer.fd, select.EPOLLIN)
        self.fd: int = self._epoll.fileno()
        """-1 once closed."""

    def watch(self, fd: int, events: int) -> None:
        """Changes what is waited for on a descriptor, only when it differs."""
        known = self._watched.get(fd)
        if known == events:
            return
        if known is None:
            self._epoll.register(fd, events)
        else:
            self._epoll.modify(fd, events)
        self._watched[fd] = events

    def forget(self, fd: int) -> None:
        if self._watched.pop(fd, None) is not None and self.fd >= 0:
            self._epoll.unregister(fd)

    def ready(self) -> list[int]:
        """Descriptors that something can be done with now."""
        return [fd for fd, _ in self._epoll.poll(0)]

    def acknowledge(self) -> None:
        """Clears a timer that has fired."""
        if self._timer.acknowledge():
            self._armed = float("inf")

    def settle(self, *, has_work: bool, deadline: float, now: float) -> None:
        """Signals waiting work, and arms the timer when the deadline is nearer than armed."""
        if has_work != self._signalled:
            if has_work:
                os.eventfd_write(self._event, 1)
            else:
                os.eventfd_read(self._event)
            self._signalled = has_work
        if deadline < self._armed:
            self._armed = deadline
            self._timer.arm(deadline - now)

    def close(self) -> None:
        if self.fd >= 0:
            self.fd = -1
            self._epoll.close()
            os.close(self._event)
            self._timer.close()
