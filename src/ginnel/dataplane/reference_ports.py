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
from contextlib import suppress

from ginnel.dataplane.api import TunDevice
from ginnel.dataplane.reference_counters import Refused
from ginnel.dataplane.reference_offload import HEADER_LENGTH, MAX_JOINED, joined

_TUNSETOFFLOAD = 0x400454D0
_GONE = frozenset({errno.EBADFD, errno.EBADF, errno.ENODEV})
"""A deleted device answers EBADFD; EIO to a write only says that the interface is down."""
_REFUSALS = {errno.EAGAIN: "tun-full", errno.ENOBUFS: "tun-full", errno.EIO: "tun-down"}
_RETRY = frozenset({errno.EAGAIN, errno.EINTR})
_WHOLE = frozenset({b"\x00\x00", b"\x02\x00"})
"""How the header of a single packet with its checksum begins, which somebody may have looked at."""
_MAX_INNER = 65535


class TunBroken(Exception):
    """The device is gone."""

    def __init__(self, number: int) -> None:
        super().__init__(os.strerror(number))
        self.errno = number


class TunPort:
    """Reads and writes inner packets; with a vnet header writes many of one TCP connection at once.

    They are read one by one all the same: the kernel cuts what is long, and sums it up, in less
    time than Python does.
    """

    def __init__(self, tun: TunDevice) -> None:
        self.fd = os.dup(tun.fd)
        os.set_blocking(self.fd, False)
        self._front = HEADER_LENGTH if tun.vnet_header else 0
        self._length = _MAX_INNER + self._front
        self.joins = tun.vnet_header and self._is_read_singly() and not tun.ethernet

    def read(self, most: int) -> list[bytes]:
        """Packets that are here now, of which one is empty whose header asks for something."""
        packets: list[bytes] = []
        try:
            while len(packets) < most:
                packets.append(os.read(self.fd, self._length))
        except OSError as bad:
            if bad.errno not in _RETRY and not packets:  # it shows again at the next call
                raise TunBroken(bad.errno or errno.EIO) from bad
        if not self._front:
            return packets
        return [read[HEADER_LENGTH:] if read[:2] in _WHOLE else b"" for read in packets]

    def write(self, packets: Sequence[bytes]) -> Refused:
        """Writes packets; returns those that the device does not take."""
        refused: list[tuple[str, Sequence[bytes]]] = []
        for join in joined(packets, most=MAX_JOINED if self.joins else 1):
            try:
                os.writev(self.fd, join.parts() if self._front else join.packets)
            except OSError as bad:
                number = bad.errno or errno.EIO
                if number in _GONE:
                    raise TunBroken(number) from bad
                refused.append((_REFUSALS.get(number, "tun-refused"), join.packets))
        return refused

    def close(self) -> None:
        os.close(self.fd)

    def _is_read_singly(self) -> bool:
        """Switches super-packets off for the reader, which an earlier one may have had."""
        try:
            fcntl.ioctl(self.fd, _TUNSETOFFLOAD, 0)
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

    def acknowledge(self) -> None:
        """Makes it unreadable again after it has fired."""
        with suppress(BlockingIOError):  # when it was armed anew
            os.read(self.fd, 8)

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
        """Descriptors that something can be done with now; clears a timer that has fired."""
        ready = [fd for fd, _ in self._epoll.poll(0)]
        if self._timer.fd in ready:
            self._timer.acknowledge()
            self._armed = float("inf")
        return ready

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
