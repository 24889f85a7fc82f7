"""The UDP link: packets with their sources, and what the kernel reports about the socket."""

import os
import socket
from ipaddress import ip_address

import pytest

from ginnel.core.types import Endpoint, Transmit, Transport
from ginnel.options.model import LinkOptions
from ginnel.shell.udp import UdpLink, drain_errors, open_udp, report_errors
from tests.deadlines import wait_until
from tests.unit.shell.remotes import attempt, udp_profile
from tests.unit.shell.stand_ins import FakePlane, Story

LOOPBACK = Endpoint(ip_address("127.0.0.1"), 9)
LOOPBACK6 = Endpoint(ip_address("::1"), 9)


@pytest.mark.parametrize("remote", [LOOPBACK, LOOPBACK6], ids=["4", "6"])
def test_unbound_link_is_ready_to_be_read(remote: Endpoint) -> None:
    link = open_udp(attempt(udp_profile(), remote))
    try:
        assert link.local is None
        assert link.own_address() is None
        family = socket.AF_INET if remote == LOOPBACK else socket.AF_INET6
        with socket.socket(family, socket.SOCK_DGRAM) as other:
            other.bind((str(remote.address), 0))
            there = Endpoint(remote.address, other.getsockname()[1])
            assert link.receive() is None
            link.send(Transmit(b"hello", there))
            packet, source = other.recvfrom(100)
            assert packet == b"hello"
            other.sendto(b"answer", source)
            received = wait_until(link.receive, timeout=5, what="the answer")
            assert received == ((b"answer", there),)
            link.send(Transmit(b"to nobody", None))
    finally:
        link.close()
        link.close()


def test_a_plane_takes_the_socket_over() -> None:
    plane = FakePlane(Story())
    link = open_udp(attempt(udp_profile(), LOOPBACK))
    link.hand_over(plane, LinkOptions(sndbuf=131072))
    assert plane.handed == (Transport.UDP, b"", b"")
    with socket.socket(fileno=os.dup(link.fileno())) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 131072
        assert sock.getsockopt(socket.IPPROTO_IP, 11) == 0, "errors are no longer queued"
    link.close()
    plane.close()


@pytest.mark.parametrize("remote", [LOOPBACK, LOOPBACK6], ids=["4", "6"])
def test_a_closed_port_is_reported_and_the_queue_can_be_emptied(remote: Endpoint) -> None:
    family = socket.AF_INET if remote == LOOPBACK else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        report_errors(sock, wanted=True)
        link = UdpLink(sock, local=None)
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(remote.address), 0))
            closed = Endpoint(remote.address, probe.getsockname()[1])
        link.send(Transmit(b"x", closed))

        def refused() -> bool:
            try:
                sock.recvfrom(100)
            except BlockingIOError:
                return False
            except ConnectionRefusedError:
                return True
            return False

        wait_until(refused, timeout=5, what="the refusal")
        drain_errors(sock)
        with pytest.raises(BlockingIOError):
            sock.recvmsg(100, 100, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
        report_errors(sock, wanted=False)
        link.send(Transmit(b"x", closed))
        assert link.receive() is None
