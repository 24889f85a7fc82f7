"""The waker's descriptor: readable for work, for packets, and when a deadline has come."""

import errno
import os
import select
import socket
import struct
from contextlib import suppress

import pytest

from ginnel.dataplane.api import TunDevice
from ginnel.dataplane.reference_ports import TunPort, Waker

NEVER = float("inf")


def is_readable(fd: int, milliseconds: int) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(milliseconds))


def test_work_is_shown_and_cleared() -> None:
    waker = Waker()
    assert not is_readable(waker.fd, 0)
    waker.settle(has_work=True, deadline=NEVER, now=0.0)
    waker.settle(has_work=True, deadline=NEVER, now=0.0)
    assert is_readable(waker.fd, 0)
    waker.settle(has_work=False, deadline=NEVER, now=0.0)
    assert not is_readable(waker.fd, 0)
    waker.close()


def test_a_deadline_wakes_and_an_earlier_one_wins() -> None:
    waker = Waker()
    waker.settle(has_work=False, deadline=1000.0, now=0.0)
    assert not is_readable(waker.fd, 0)
    waker.settle(has_work=False, deadline=5.05, now=5.0)
    assert is_readable(waker.fd, 5000)
    waker.ready()
    assert not is_readable(waker.fd, 0)
    waker.settle(has_work=False, deadline=4.0, now=5.0)
    assert is_readable(waker.fd, 5000), "a deadline that has passed wakes at once"
    waker.close()


def test_watches_only_while_it_is_told_to() -> None:
    waker = Waker()
    near, far = socket.socketpair()
    with near, far:
        far.send(b"x")
        waker.watch(near.fileno(), select.EPOLLIN)
        assert is_readable(waker.fd, 0)
        waker.watch(near.fileno(), 0)
        assert not is_readable(waker.fd, 0)
        waker.forget(near.fileno())
        waker.forget(near.fileno())
    waker.close()
    waker.close()
    assert waker.fd == -1


def port_and_far_end(*, vnet_header: bool) -> tuple[TunPort, socket.socket]:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    port = TunPort(TunDevice(fd=near.fileno(), name="t", mtu=1500, vnet_header=vnet_header))
    near.close()
    far.setblocking(False)
    return port, far


def test_a_packet_that_asks_for_something_is_not_used() -> None:
    port, far = port_and_far_end(vnet_header=True)
    with far:
        segmented = struct.pack("=BBHHHH", 0, 1, 40, 1400, 0, 0)
        unsummed = struct.pack("=BBHHHH", 1, 0, 0, 0, 20, 6)
        looked_at = struct.pack("=BBHHHH", 2, 0, 0, 0, 0, 0)
        for header in (segmented, unsummed, b"", looked_at, bytes(10)):
            far.send(header + b"\x45" * 9)
        assert port.read(1) == [b""]
        assert port.read(64) == [b"", b"", b"\x45" * 9, b"\x45" * 9]
        assert port.read(64) == []
        assert port.write([b"\x46"]) == []
        assert far.recv(100) == bytes(10) + b"\x46"
    port.close()


def test_a_full_device_is_a_reason_not_an_error() -> None:
    port, far = port_and_far_end(vnet_header=False)
    with far:
        packets = [b"\x45" * length for length in range(1, 3001)]
        refused = port.write(packets)
        assert {reason for reason, _ in refused} == {"tun-full"}
        taken = 0
        with suppress(BlockingIOError):
            while far.recv(4000):
                taken += 1
        assert [packet for _, lost in refused for packet in lost] == packets[taken:]
    port.close()


def test_a_descriptor_that_cannot_be_had_is_an_error() -> None:
    gone = os.open(os.devnull, os.O_RDWR)
    os.close(gone)
    with pytest.raises(OSError) as refused:
        TunPort(TunDevice(fd=gone, name="t", mtu=1500, vnet_header=False))
    assert refused.value.errno == errno.EBADF
