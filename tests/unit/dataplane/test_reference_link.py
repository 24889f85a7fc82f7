"""Links of the reference engine: addresses, short writes, bounds."""

import errno
import socket
from contextlib import ExitStack
from ipaddress import ip_address

import pytest

from ginnel.core.types import Endpoint, Transport
from ginnel.dataplane.api import Link
from ginnel.dataplane.reference_link import (
    CONTROL_BACKLOG,
    UDP_GRO,
    LinkBroken,
    PacketLink,
    SocketAddress,
    TcpLink,
    UdpLink,
    Way,
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
        assert link.send([bytes(65536)], Way(target)) == [("link-emsgsize", [bytes(65536)])]
        assert link.send([b"x", b"y"], Way(None)) == [("no-remote", [b"x", b"y"])]
        assert link.send([b"x"], Way(("255.255.255.255", 9))) == [("link-eacces", [b"x"])]
        link.close()
        with pytest.raises(LinkBroken) as broken:
            link.send([b"x"], Way(target))
        assert broken.value.errno == errno.EBADF


def packets_from(link: PacketLink, limit: int) -> list[bytes]:
    return [packet for arrived in link.receive(limit) for packet in arrived.packets]


def udp_pair() -> tuple[UdpLink, UdpLink, SocketAddress]:
    """Two links and the address of the second one."""
    links = []
    with ExitStack() as stack:
        for _ in range(2):
            bound = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            bound.bind(("127.0.0.1", 0))
            links.append(UdpLink(Link(fd=bound.fileno(), transport=Transport.UDP)))
        return links[0], links[1], bound.getsockname()


@pytest.mark.parametrize(
    "lengths",
    [[1], [0], [500] * 100, [9, 9, 3, 9], [3, 9, 0, 0, 9], [60_000] * 3, [1400] * 50 + [7]],
)
def test_packets_arrive_as_they_were_however_they_were_sent(lengths: list[int]) -> None:
    near, far, address = udp_pair()
    packets = [bytes((number % 251,)) * length for number, length in enumerate(lengths)]
    received: list[bytes] = []
    for _ in packets:
        assert near.send(packets[:1], Way(address)) == []
        received += packets_from(far, 1)
        packets.append(packets.pop(0))
    assert received == packets
    assert near.send(packets, Way(address)) == []
    assert packets_from(far, len(packets)) == packets
    near.close()
    far.close()


def test_a_path_that_is_too_narrow_for_a_send_of_many_gets_them_one_by_one() -> None:
    near, far, address = udp_pair()
    # Two of them are more than the loopback device takes in one piece.
    packets = [bytes((number,)) * 65_500 for number in range(2)]
    assert near.send([*packets, bytes(65_536), b"end"], Way(address)) == [
        ("link-emsgsize", [bytes(65_536)])
    ]
    assert packets_from(far, 4) == [*packets, b"end"]
    near.close()
    far.close()


def test_a_closed_link_leaves_the_socket_to_single_packets() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as shared:
        link = UdpLink(Link(fd=shared.fileno(), transport=Transport.UDP))
        assert shared.getsockopt(socket.IPPROTO_UDP, UDP_GRO) == 1
        link.close()
        assert shared.getsockopt(socket.IPPROTO_UDP, UDP_GRO) == 0


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
        refusals = [link.send_control(packet, Way(None)) for _ in range(500)]
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
        assert link.send([bytes(65536), b"after"], Way(None)) == [("link-emsgsize", [bytes(65536)])]
        assert far.recv(100) == b"\x00\x05after"
        link.close()


def test_a_peer_that_left_breaks_the_link() -> None:
    link, far = stream()
    far.close()
    with pytest.raises(LinkBroken) as broken:
        link.send([b"x"], Way(None))
    assert broken.value.errno == errno.EPIPE
    with pytest.raises(LinkBroken) as ended:
        link.receive(1)
    assert ended.value.errno == 0
    link.close()


def test_one_call_hands_out_no_more_than_asked() -> None:
    link, far = stream()
    with far:
        far.sendall(b"\x00\x01x" * 100)
        assert len(packets_from(link, 10)) == 10
        assert link.has_records()
        assert len(packets_from(link, 64)) == 64
        assert len(packets_from(link, 64)) == 26
        assert not link.has_records()
        assert link.receive(64) == []
    link.close()
