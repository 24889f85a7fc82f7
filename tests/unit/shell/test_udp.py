"""Sockets of the link: binding, options, and what the kernel reports about them."""

import errno
import socket
from dataclasses import replace
from ipaddress import ip_address

import pytest

from ginnel.core.errors import LinkError
from ginnel.core.types import Endpoint
from ginnel.options.model import LinkOptions
from ginnel.shell.udp import (
    LinkUnavailable,
    drain_errors,
    endpoint_of,
    open_udp,
    report_errors,
    set_buffers,
    socket_address,
)
from tests.deadlines import wait_until
from tests.unit.shell.remotes import udp_profile

LOOPBACK = Endpoint(ip_address("127.0.0.1"), 9)
LOOPBACK6 = Endpoint(ip_address("::1"), 9)


@pytest.mark.parametrize("remote", [LOOPBACK, LOOPBACK6], ids=["4", "6"])
def test_unbound_socket_is_ready_to_be_read(remote: Endpoint) -> None:
    link = open_udp(udp_profile(), LinkOptions(), remote)
    with link.sock as sock:
        assert link.local is None
        assert not sock.getblocking()
        assert not sock.get_inheritable()
        port = sock.getsockname()[1]
        assert port
        with socket.socket(sock.family, socket.SOCK_DGRAM) as other:
            other.sendto(b"hello", (str(remote.address), port))

            def received() -> bytes | None:
                try:
                    packet, source = sock.recvfrom(100)
                except BlockingIOError:
                    return None
                assert endpoint_of(source).address == remote.address
                return packet

            assert wait_until(received, timeout=5, what="the packet") == b"hello"


def test_addresses_asked_for_are_bound_and_told() -> None:
    profile = replace(udp_profile(), local="127.0.0.1", lport="0", bind=True)
    link = open_udp(profile, LinkOptions(), LOOPBACK)
    with link.sock as sock:
        assert link.local == Endpoint(ip_address("127.0.0.1"), 0)
        host, port = sock.getsockname()
        assert host == "127.0.0.1"
        taken = replace(profile, lport=str(port))
        with pytest.raises(LinkError, match="Address already in use"):
            open_udp(taken, LinkOptions(), LOOPBACK)


@pytest.mark.parametrize(
    "changes",
    [{"local": "192.0.2.99"}, {"lport": "no-such-service", "bind": True}],
    ids=["address", "service"],
)
def test_what_cannot_be_bound_is_named(changes: dict[str, str]) -> None:
    with pytest.raises(LinkError, match="local socket"):
        open_udp(replace(udp_profile(), **changes), LinkOptions(), LOOPBACK)  # type: ignore[arg-type]


def test_options_of_the_socket_are_applied() -> None:
    options = LinkOptions(sndbuf=65536, rcvbuf=131072, mark=7, bind_dev="lo")
    link = open_udp(replace(udp_profile(), mtu_disc="yes"), options, LOOPBACK)
    with link.sock as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 65536
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * 131072
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_MARK) == 7
        assert sock.getsockopt(socket.IPPROTO_IP, 10) == 2
        assert link.receive_buffer[1] == 2 * 131072
        set_buffers(sock, LinkOptions(sndbuf=131072))
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 131072


def test_device_that_does_not_exist_is_named() -> None:
    with pytest.raises(LinkError, match="No such device"):
        open_udp(udp_profile(), LinkOptions(bind_dev="no-such-dev"), LOOPBACK)


@pytest.mark.parametrize("remote", [LOOPBACK, LOOPBACK6], ids=["4", "6"])
def test_a_closed_port_is_reported_and_the_queue_can_be_emptied(remote: Endpoint) -> None:
    link = open_udp(udp_profile(), LinkOptions(), remote)
    with link.sock as sock:
        family = sock.family
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(remote.address), 0))
            closed = probe.getsockname()[1]
        sock.sendto(b"x", (str(remote.address), closed))

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
        sock.sendto(b"x", (str(remote.address), closed))
        with pytest.raises(BlockingIOError):
            sock.recvfrom(100)


def test_a_family_that_the_host_lacks_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(LinkUnavailable, match="no IPv6"):
        open_udp(udp_profile(), LinkOptions(), LOOPBACK6)


def test_endpoints_and_socket_addresses_translate() -> None:
    assert endpoint_of(("192.0.2.1", 5)) == Endpoint(ip_address("192.0.2.1"), 5)
    scoped = endpoint_of(("fe80::1%eth0", 5, 0, 3))
    assert scoped == Endpoint(ip_address("fe80::1"), 5, 3)
    assert socket_address(scoped) == ("fe80::1", 5, 0, 3)
    assert socket_address(LOOPBACK) == ("127.0.0.1", 9)
