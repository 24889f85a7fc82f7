"""Links of the reference engine: addresses, short writes, bounds."""

import errno
import socket
from ipaddress import ip_address

import pytest

from ginnel.core.types import Endpoint, Transport
from ginnel.dataplane.api import Link
from ginnel.dataplane.reference_link import (
    CONTROL_BACKLOG,
    LinkBroken,
    TcpLink,
    UdpLink,
    endpoint_of,
    open_link,
)

LOCAL = ip_address("127.0.0.1")


def test_socket_addresses_become_endpoints() -> None:
    assert endpoint_of(("192.0.2.1", 1194)) == Endpoint(ip_address("192.0.2.1"), 1194)
    mapped = endpoint_of(("::ffff:192.0.2.1", 1194, 0, 0))
    assert mapped == Endpoint(ip_address("192.0.2.1"), 1194)
    scoped = endpoint_of(("fe80::1%lo", 1194, 0, 1))
    assert scoped == Endpoint(ip_address("fe80::1"), 1194, 1)


def test_endpoints_become_what_the_kernel_reports() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six:
        link = UdpLink(Link(fd=six.fileno(), transport=Transport.UDP))
        assert link.to_socket_address(Endpoint(LOCAL, 5)) == ("::ffff:127.0.0.1", 5, 0, 0)
        plain = Endpoint(ip_address("2001:db8::1"), 5)
        assert link.to_socket_address(plain) == ("2001:db8::1", 5, 0, 0)
        scoped = Endpoint(ip_address("fe80::1"), 5, 1)
        assert link.to_socket_address(scoped) == ("fe80::1%lo", 5, 0, 1)
        gone = Endpoint(ip_address("fe80::1"), 5, 999999)
        assert link.to_socket_address(gone) == ("fe80::1", 5, 0, 999999)
        link.close()


def test_a_datagram_that_cannot_leave_is_a_reason() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as four:
        link = open_link(Link(fd=four.fileno(), transport=Transport.UDP), b"", b"", 1500)
        target = ("127.0.0.1", 9)
        assert link.send(bytes(65536), target) == "link-emsgsize"
        assert link.send(b"x", None) == "no-remote"
        assert link.send(b"x", ("255.255.255.255", 9)) == "link-eacces"
        link.close()
        with pytest.raises(LinkBroken) as broken:
            link.send(b"x", target)
        assert broken.value.errno == errno.EBADF


def stream() -> tuple[TcpLink, socket.socket]:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    link = TcpLink(Link(fd=near.fileno(), transport=Transport.TCP), b"", b"", 4096)
    near.close()
    return link, far


def test_waiting_control_is_bounded_and_nothing_is_torn() -> None:
    link, far = stream()
    with far:
        packet = b"c" * 1000
        refusals = [link.send_control(packet, None) for _ in range(500)]
        assert link.is_congested()
        accepted = refusals.count(None)
        assert accepted < 500
        assert set(refusals) == {None, "link-full"}
        assert accepted * 1002 < CONTROL_BACKLOG + 500_000
        far.settimeout(40)
        taken = b""
        while len(taken) < accepted * 1002:
            taken += far.recv(65536)
            link.flush()
        assert taken == (b"\x03\xe8" + packet) * accepted
        assert not link.is_congested()
    link.close()


def test_what_no_record_can_hold_is_refused_and_the_stream_goes_on() -> None:
    link, far = stream()
    with far:
        assert link.send(bytes(65536), None) == "link-emsgsize"
        assert link.send(b"after", None) is None
        assert far.recv(100) == b"\x00\x05after"
        link.close()


def test_a_peer_that_left_breaks_the_link() -> None:
    link, far = stream()
    far.close()
    with pytest.raises(LinkBroken) as broken:
        link.send(b"x", None)
    assert broken.value.errno == errno.EPIPE
    with pytest.raises(LinkBroken) as ended:
        link.receive(1)
    assert ended.value.errno == 0
    link.close()


def test_one_call_hands_out_no_more_than_asked() -> None:
    link, far = stream()
    with far:
        far.sendall(b"\x00\x01x" * 100)
        assert len(link.receive(10)) == 10
        assert link.has_records()
        assert len(link.receive(64)) == 64
        assert len(link.receive(64)) == 26
        assert not link.has_records()
        assert link.receive(64) == []
    link.close()
