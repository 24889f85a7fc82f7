"""Endpoints and the socket module's addresses translate both ways."""

import socket
from ipaddress import ip_address

from ginnel.core.types import Endpoint
from ginnel.shell.addresses import endpoint_of, is_address, own_address, socket_address


def test_a_socket_has_an_address_once_it_is_bound_to_one() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::", 0))
        assert own_address(sock) is None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        assert own_address(sock) == Endpoint(ip_address("127.0.0.1"), sock.getsockname()[1])


def test_addresses_are_told_from_names() -> None:
    assert is_address("192.0.2.1")
    assert is_address("2001:db8::1")
    assert not is_address("vpn.example")


def test_endpoints_and_socket_addresses_translate() -> None:
    assert endpoint_of(("192.0.2.1", 5)) == Endpoint(ip_address("192.0.2.1"), 5)
    scoped = endpoint_of(("fe80::1%eth0", 5, 0, 3))
    assert scoped == Endpoint(ip_address("fe80::1"), 5, 3)
    assert socket_address(scoped) == ("fe80::1", 5, 0, 3)
    assert socket_address(Endpoint(ip_address("127.0.0.1"), 9)) == ("127.0.0.1", 9)
