"""Sockets of the link: binding, and options with the effect that the kernel confirms."""

import errno
import socket
from dataclasses import replace
from ipaddress import ip_address

import pytest

from ginnel.compat.log_lines import LogLine
from ginnel.core.errors import LinkError
from ginnel.core.types import Endpoint
from ginnel.options.model import LinkOptions
from ginnel.shell.link import LinkUnavailable
from ginnel.shell.socket_options import open_socket, set_asked_buffers, set_datagram_buffers
from tests.unit.shell.remotes import attempt, tcp_profile, udp_profile

LOOPBACK = Endpoint(ip_address("127.0.0.1"), 9)
LOOPBACK6 = Endpoint(ip_address("::1"), 9)
KINDS = {socket.SOCK_DGRAM: udp_profile(), socket.SOCK_STREAM: tcp_profile()}

kinds = pytest.mark.parametrize("kind", list(KINDS), ids=["udp", "tcp"])


def buffers(sock: socket.socket) -> tuple[int, int]:
    return (
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF),
    )


@kinds
def test_addresses_asked_for_are_bound_and_told(kind: socket.SocketKind) -> None:
    profile = replace(KINDS[kind], local="127.0.0.1", lport="0", bind=True)
    sock, local = open_socket(attempt(profile, LOOPBACK), kind)
    with sock:
        assert local == Endpoint(ip_address("127.0.0.1"), 0)
        host, port = sock.getsockname()
        assert host == "127.0.0.1"
        if kind is socket.SOCK_STREAM:
            sock.listen()
        taken = replace(profile, lport=str(port))
        with pytest.raises(LinkError, match="Address already in use"):
            open_socket(attempt(taken, LOOPBACK), kind)


@kinds
@pytest.mark.parametrize(
    "changes",
    [{"local": "192.0.2.99"}, {"lport": "no-such-service", "bind": True}],
    ids=["address", "service"],
)
def test_what_cannot_be_bound_is_named(kind: socket.SocketKind, changes: dict[str, str]) -> None:
    profile = replace(KINDS[kind], **changes)  # type: ignore[arg-type]
    with pytest.raises(LinkError, match="local socket"):
        open_socket(attempt(profile, LOOPBACK), kind)


@kinds
def test_options_of_the_socket_are_applied(kind: socket.SocketKind) -> None:
    options = LinkOptions(sndbuf=65536, rcvbuf=131072, mark=0x80000007, bind_dev="lo")
    lines: list[LogLine] = []
    wanted = attempt(replace(KINDS[kind], mtu_disc="yes"), LOOPBACK, options)
    sock, _local = open_socket(replace(wanted, log=lines.append), kind)
    with sock:
        assert buffers(sock) == (2 * 131072, 2 * 65536)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_MARK) & 0xFFFFFFFF == 0x80000007
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16) == b"lo\0"
        assert sock.getsockopt(socket.IPPROTO_IP, 10) == 2
        assert lines[0].text.startswith("Socket Buffers: R=[")
        assert "->262144] S=[" in lines[0].text
        set_asked_buffers(sock, LinkOptions(sndbuf=131072))
        assert buffers(sock) == (2 * 131072, 2 * 131072)


def test_a_stream_keeps_the_buffers_that_the_kernel_fits() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as plain:
        sock, _local = open_socket(attempt(tcp_profile(), LOOPBACK), socket.SOCK_STREAM)
        with sock:
            assert buffers(sock) == buffers(plain)


def test_a_datagram_socket_holds_bursts_unless_told_otherwise() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        system = buffers(plain)
        set_datagram_buffers(plain, LinkOptions())
        large = buffers(plain)
        assert large > system
        set_datagram_buffers(plain, LinkOptions(sndbuf=65536))
        assert buffers(plain) == (large[0], 2 * 65536)


@kinds
def test_device_that_does_not_exist_is_named(kind: socket.SocketKind) -> None:
    with pytest.raises(LinkError, match="No such device"):
        open_socket(attempt(KINDS[kind], LOOPBACK, LinkOptions(bind_dev="no-such-dev")), kind)


@kinds
@pytest.mark.parametrize(("word", "mode"), [("no", 0), ("yes", 2)])
def test_an_ipv6_socket_treats_packets_of_both_families_alike(
    kind: socket.SocketKind, word: str, mode: int
) -> None:
    sock, _local = open_socket(attempt(replace(KINDS[kind], mtu_disc=word), LOOPBACK6), kind)
    with sock:
        assert sock.getsockopt(socket.IPPROTO_IP, 10) == mode
        assert sock.getsockopt(socket.IPPROTO_IPV6, 23) == mode


def test_ipv6_sockets_take_ipv4_unless_told_otherwise() -> None:
    for only in (False, True):
        profile = replace(udp_profile(), bind=True, bind_ipv6only=only)
        sock, local = open_socket(attempt(profile, LOOPBACK6), socket.SOCK_DGRAM)
        with sock:
            assert local == Endpoint(ip_address("::"), 0)
            assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == only


def test_a_family_that_the_host_lacks_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(LinkUnavailable, match="no IPv6") as refused:
        open_socket(attempt(udp_profile(), LOOPBACK6), socket.SOCK_DGRAM)
    assert refused.value.reason == "network-unreachable"
