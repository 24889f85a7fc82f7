"""Answers of HTTP and SOCKS5 proxies, and datagrams that come through one."""

from collections.abc import Callable, Mapping

from ginnel.core.actions import Credentials
from ginnel.core.proxy_http import HttpProxyClient
from ginnel.core.proxy_socks import Command, SocksProxyClient, datagram_header, read_datagram
from ginnel.options.model import HttpProxy, ProxyLogin
from ginnel.options.values import Secret
from tests.fuzz.pieces import cut

LOGIN = Credentials(username="ada", password=Secret(b"pw"))
PROXY = HttpProxy(host="192.0.2.9", port="3128", login=ProxyLogin.AUTO)
MAX_ROUNDS = 8


def http_proxy(data: bytes) -> None:
    """Pieces are reads; an empty one ends the connection, and the next one begins."""
    client = HttpProxyClient(PROXY, "vpn.example", "1194", entropy=bytes)
    client.begin(LOGIN)
    rounds = 0
    for piece in cut(data):
        if piece:
            client.receive(piece)
        else:
            client.receive_end()
        client.poll_transmit()
        while (notice := client.poll_notice()) is not None:
            assert len(str(notice)) < 20_000
        if client.end is not None:
            rounds += 1
            if rounds >= MAX_ROUNDS:
                return
            client.begin(LOGIN)


def socks_proxy(data: bytes) -> None:
    """The first byte chooses command and login."""
    flags = data[0] if data else 0
    command = Command.CONNECT if flags & 1 else Command.UDP_ASSOCIATE
    client = SocksProxyClient(command, "vpn.example", 1194, with_login=bool(flags & 2))
    client.begin(LOGIN)
    for piece in cut(data[1:]):
        if client.end is not None:
            return
        client.receive(piece)
        client.poll_transmit()
    client.receive_end()


def socks_datagram(data: bytes) -> None:
    found = read_datagram(data)
    if found is not None:
        source, payload = found
        assert read_datagram(datagram_header(source) + payload) == (source, payload)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "http-proxy": http_proxy,
    "socks-proxy": socks_proxy,
    "socks-datagram": socks_datagram,
}
