"""The dialogue with a SOCKS5 proxy, and the header of relayed datagrams."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ginnel.core.actions import Credentials
from ginnel.core.errors import LocalMisuse
from ginnel.core.packet_overhead import RELAY_HEADER
from ginnel.core.proxy_notices import Complaint, LoginRefused, Opened, RelayNamed, Unusable
from ginnel.core.proxy_socks import (
    Command,
    SocksProxyClient,
    datagram_header,
    read_datagram,
)
from ginnel.core.types import Endpoint
from ginnel.options.values import Secret

LOGIN = Credentials(username="u", password=Secret(b"pw"))
BOUND_V4 = b"\1\xc0\0\2\1\x04\x38"
"""192.0.2.1:1080"""
RELAY = Endpoint(ip_address("192.0.2.1"), 1080)


def client(
    command: Command = Command.CONNECT, host: str = "vpn.example.net", *, with_login: bool = False
) -> SocksProxyClient:
    proxy = SocksProxyClient(command, host, 443, with_login=with_login)
    proxy.begin(LOGIN if with_login else None)
    return proxy


def complaints(proxy: SocksProxyClient) -> list[str]:
    found = []
    while (notice := proxy.poll_notice()) is not None:
        assert isinstance(notice, Complaint)
        found.append(notice.text)
    return found


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("vpn.example.net", b"\3\x0fvpn.example.net"),
        ("192.0.2.7", b"\1\xc0\0\2\7"),
        ("2001:db8::1", b"\4\x20\1\x0d\xb8" + b"\0" * 11 + b"\1"),
    ],
)
def test_connect_names_the_server_and_leaves_its_name_to_the_proxy(
    host: str, address: bytes
) -> None:
    proxy = client(host=host)
    assert proxy.poll_transmit() == b"\5\1\0"
    proxy.receive(b"\5\0")
    assert proxy.poll_transmit() == b"\5\1\0" + address + b"\1\xbb"
    proxy.receive(b"\5\0\0" + BOUND_V4 + b"\0\x0edata")
    assert proxy.end == Opened(unread=b"\0\x0edata")


def test_user_name_and_password_are_shown_when_configured() -> None:
    proxy = client(with_login=True)
    assert proxy.poll_transmit() == b"\5\1\2"
    proxy.receive(b"\5\2")
    assert proxy.poll_transmit() == b"\1\1u\2pw"
    proxy.receive(b"\1\0")
    assert proxy.poll_transmit()[:3] == b"\5\1\0"


@pytest.mark.parametrize("says_no", [True, False])
def test_a_wrong_password_is_told_apart_from_other_failures(says_no: bool) -> None:
    proxy = client(with_login=True)
    proxy.receive(b"\5\2")
    if says_no:
        proxy.receive(b"\1\1")
    else:
        proxy.receive_end()
    assert isinstance(proxy.end, LoginRefused)
    assert complaints(proxy) == ["socks_username_password_auth: server refused the authentication"]


def test_udp_associate_names_the_relay() -> None:
    proxy = client(Command.UDP_ASSOCIATE)
    proxy.receive(b"\5\0")
    assert proxy.poll_transmit() == b"\5\1\0\5\3\0\1\0\0\0\0\0\0"[3:]
    proxy.receive(b"\5\0\0" + BOUND_V4)
    assert proxy.end == Opened(relay=RELAY)
    assert proxy.poll_notice() == RelayNamed(RELAY)


def test_an_answer_may_come_byte_by_byte() -> None:
    proxy = client(Command.UDP_ASSOCIATE)
    for byte in b"\5\0\5\0\0" + BOUND_V4:
        proxy.receive(bytes((byte,)))
    assert proxy.end == Opened(relay=RELAY)


def test_a_bound_name_is_skipped_for_connect_and_no_relay() -> None:
    answer = b"\5\0\0\3\4name\0\1"
    proxy = client()
    proxy.receive(b"\5\0" + answer + b"rest")
    assert proxy.end == Opened(unread=b"rest")
    proxy = client(Command.UDP_ASSOCIATE)
    proxy.receive(b"\5\0" + answer)
    assert complaints(proxy) == ["recv_socks_reply: Socks proxy returned bad address type"]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (b"HTTP/1.1 400", ["socks_handshake: Socks proxy returned bad status"]),
        (
            b"\5\xff",
            [
                "socks_handshake: Socks proxy returned unexpected auth",
                "SOCKS proxy: it wants user name and password",
            ],
        ),
        (
            b"\5\0\5\2\0" + BOUND_V4,
            [
                "recv_socks_reply: Socks proxy returned bad reply",
                "SOCKS proxy: its rules do not allow this connection (reply 2)",
            ],
        ),
        (
            b"\5\0\5\x55\0" + BOUND_V4,
            [
                "recv_socks_reply: Socks proxy returned bad reply",
                "SOCKS proxy: it gives no reason that is known (reply 85)",
            ],
        ),
        (b"\5\0\4\0\0" + BOUND_V4, ["recv_socks_reply: Socks proxy returned bad reply"]),
        (b"\5\0\5\0\0\7", ["recv_socks_reply: Socks proxy returned bad address type"]),
    ],
)
def test_refusals_and_garbage_have_a_line_each(answers: bytes, expected: list[str]) -> None:
    proxy = client()
    proxy.receive(answers)
    assert isinstance(proxy.end, Unusable)
    assert complaints(proxy) == expected


def test_a_proxy_without_udp_is_named_as_such() -> None:
    proxy = client(Command.UDP_ASSOCIATE)
    proxy.receive(b"\5\0\5\7\0" + BOUND_V4)
    assert complaints(proxy)[1] == (
        "SOCKS proxy: it does not relay UDP; use a server's TCP port (reply 7)"
    )


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (b"\5", "socks_handshake: the proxy closed the connection"),
        (b"\5\0\5", "ERROR: recv_socks_reply: empty response from socks server"),
    ],
)
def test_an_early_end_is_an_error(answers: bytes, expected: str) -> None:
    proxy = client()
    proxy.receive(answers)
    proxy.receive_end()
    assert complaints(proxy) == [expected]
    proxy.receive_end()
    assert complaints(proxy) == []


def test_a_login_that_does_not_fit_is_not_sent() -> None:
    proxy = SocksProxyClient(Command.CONNECT, "h", 1, with_login=True)
    proxy.begin(Credentials(username="u", password=Secret(b"p" * 256)))
    proxy.poll_transmit()
    proxy.receive(b"\5\2")
    assert proxy.poll_transmit() == b""
    assert "exceeds 255 characters" in complaints(proxy)[0]


def test_a_login_that_is_needed_must_be_there() -> None:
    with pytest.raises(LocalMisuse):
        SocksProxyClient(Command.CONNECT, "h", 1, with_login=True).begin(None)


@given(st.lists(st.binary(max_size=40), max_size=20), st.sampled_from(list(Command)), st.booleans())
def test_no_answer_raises(pieces: list[bytes], command: Command, with_login: bool) -> None:
    proxy = client(command, with_login=with_login)
    for piece in pieces:
        proxy.receive(piece)
    proxy.receive_end()
    assert proxy.end is not None


def test_a_datagram_carries_its_destination() -> None:
    header = datagram_header(Endpoint(ip_address("192.0.2.7"), 1194))
    assert header == b"\0\0\0\1\xc0\0\2\7\x04\xaa"
    assert len(header) == RELAY_HEADER[4]
    assert len(datagram_header(Endpoint(ip_address("2001:db8::7"), 1194))) == RELAY_HEADER[6]


@given(st.ip_addresses(), st.integers(0, 65535), st.binary(max_size=50))
def test_a_datagram_is_parted_again(address: object, port: int, packet: bytes) -> None:
    source = Endpoint(ip_address(str(address)), port)
    assert read_datagram(datagram_header(source) + packet) == (source, packet)


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\0\0\0\1\xc0\0\2",
        b"\0\0\1\1\xc0\0\2\7\x04\xaax",
        b"\1\0\0\1\xc0\0\2\7\x04\xaax",
        b"\0\0\0\3\4name\0\1x",
        b"\0\0\0\2\xc0\0\2\7\x04\xaax",
    ],
)
def test_other_datagrams_are_dropped(datagram: bytes) -> None:
    assert read_datagram(datagram) is None


@given(st.binary(max_size=60))
def test_any_datagram_is_read(datagram: bytes) -> None:
    read_datagram(datagram)
