"""The sockets that clients come to."""

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ginnel.core.errors import HostError
from ginnel.core.types import Transport
from ginnel.options.model import AddressFamily, LinkOptions, LinkProtocol
from ginnel.options.server_model import Listener
from ginnel.options.values import Origin
from ginnel.shell.listeners import Listeners
from tests.unit.shell.loops import Lines
from tests.unit.shell.server_stand_ins import listener, server_options


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def listeners(lines: Lines) -> Iterator[Listeners]:
    made = Listeners(lines)
    yield made
    made.close()
    made.close()


def v6(protocol: LinkProtocol = LinkProtocol.UDP) -> Listener:
    return replace(listener(protocol, local=None), family=AddressFamily.IPV6, bind_ipv6only=True)


def test_sockets_are_bound_and_said_in_openvpns_words(listeners: Listeners, lines: Lines) -> None:
    tcp = listener(LinkProtocol.TCP_SERVER)
    listeners.open(server_options(listener(), tcp, v6()))
    first, second, third = listeners.all
    assert [item.transport for item in listeners.all] == [
        Transport.UDP,
        Transport.TCP,
        Transport.UDP,
    ]
    assert first.socket.getsockname() == ("127.0.0.1", first.endpoint.port)
    assert third.socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    texts = [text for text in lines.texts if not text.startswith("Socket Buffers")]
    assert texts == [
        f"UDPv4 link local (bound): [AF_INET]127.0.0.1:{first.endpoint.port}",
        "UDPv4 link remote: [AF_UNSPEC]",
        f"Listening for incoming TCP connection on [AF_INET]127.0.0.1:{second.endpoint.port}",
        f"TCPv4_SERVER link local (bound): [AF_INET]127.0.0.1:{second.endpoint.port}",
        "TCPv4_SERVER link remote: [AF_UNSPEC]",
        f"UDPv6 link local (bound): [AF_INET6][undef]:{third.endpoint.port}",
        "UDPv6 link remote: [AF_UNSPEC]",
    ]


def test_without_family_and_address_it_is_ipv4_and_that_is_said(
    listeners: Listeners, lines: Lines
) -> None:
    anywhere = replace(listener(local=None), family=AddressFamily.ANY)
    listeners.open(server_options(anywhere))
    assert lines.texts[0] == "Could not determine IPv4/IPv6 protocol. Using AF_INET"
    assert lines.texts[-2].startswith("UDPv4 link local (bound): [AF_INET][undef]:")


def test_a_reload_keeps_the_sockets_that_are_the_same(listeners: Listeners) -> None:
    one, two = listener(), listener(LinkProtocol.TCP_SERVER)
    listeners.open(server_options(one, two))
    before = [item.socket.fileno() for item in listeners.all]
    moved = replace(one, origin=Origin("server.conf", 99))
    listeners.open(server_options(two, moved))
    assert [item.socket.fileno() for item in listeners.all] == before[::-1]
    gone = listeners.all[0].socket
    options = server_options(moved)
    listeners.open(replace(options, link=LinkOptions(ping=5)))
    assert [item.socket.fileno() for item in listeners.all] == before[:1]
    assert gone.fileno() == -1
    listeners.open(replace(options, link=LinkOptions(sndbuf=8192)))
    assert listeners.all[0].socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 16384


def test_an_address_that_is_taken_or_not_ours_is_named(listeners: Listeners, lines: Lines) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        busy = listener(LinkProtocol.TCP_SERVER, port=port)
        with pytest.raises(HostError, match=rf"bind failed on local address \[127.0.0.1\]:{port}"):
            listeners.open(server_options(busy))
        with pytest.raises(HostError, match="is another server running there"):
            listeners.open(server_options(busy))
    with pytest.raises(HostError, match=r"192\.0\.2\.1"):
        listeners.open(server_options(listener(local="192.0.2.1")))
    with pytest.raises(HostError, match="no-such-service"):
        listeners.open(server_options(listener(port="no-such-service")))
