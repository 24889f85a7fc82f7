"""Links through proxies: the shell's side of the dialogues, against hand-made proxies."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from ipaddress import ip_address

import pytest

from ginnel.compat.log_lines import LogLine
from ginnel.core.actions import Credentials
from ginnel.core.errors import LocalMisuse
from ginnel.core.proxy_socks import datagram_header
from ginnel.core.types import Endpoint, Transmit
from ginnel.dataclass import replace
from ginnel.options.model import ConnectionProfile, HttpProxy, Proxy, ProxyLogin, SocksProxy
from ginnel.options.values import Secret
from ginnel.shell.link import SOCKS_ERROR, Attempt, Link, LinkUnavailable, ProxyMeans
from ginnel.shell.proxy import HTTP_ERROR, RelayedLink, open_through_proxy
from tests.unit.shell.loops import run
from tests.unit.shell.remotes import attempt, tcp_profile, udp_profile

LOOPBACK = ip_address("127.0.0.1")
SERVER = Endpoint(ip_address("192.0.2.7"), 1194)
HTTP = HttpProxy(host="127.0.0.1", port="0")
SOCKS = SocksProxy(host="127.0.0.1", port="0")
WANTED = b'HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm="r"\r\n\r\n'

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


class FakeLogins:
    """Hands out passwords in order; None of them is refused more often than ``patience``."""

    def __init__(self, *, patience: int = 0) -> None:
        self.given = 0
        self.refused = 0
        self._patience = patience

    async def get(self, proxy: Proxy) -> Credentials:
        self.given += 1
        return Credentials(username="u", password=Secret(b"p%d" % self.given))

    def refuse(self, proxy: Proxy) -> bool:
        self.refused += 1
        return self.refused <= self._patience


async def server_address(_profile: ConnectionProfile) -> Endpoint:
    return SERVER


class Scene:
    """An attempt at a proxy that ``serve`` plays, and what was logged."""

    def __init__(self, profile: ConnectionProfile, logins: FakeLogins | None = None) -> None:
        self.profile = profile
        self.logins = logins or FakeLogins()
        self.lines: list[LogLine] = []

    @property
    def texts(self) -> str:
        return "\n".join(line.text for line in self.lines)

    def attempt(self, port: int) -> Attempt:
        means = ProxyMeans(logins=self.logins, resolve=server_address, entropy=bytes)
        plain = attempt(self.profile, Endpoint(LOOPBACK, port))
        return replace(plain, means=means, log=self.lines.append)

    def play(self, serve: Serve, look: Callable[[Link], Awaitable[None]] | None = None) -> None:
        """Opens the link, lets ``look`` have it, and closes everything."""

        served: list[asyncio.Task[None]] = []

        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            served.append(asyncio.ensure_future(serve(reader, writer)))

        async def work() -> None:
            server = await asyncio.start_server(client, "127.0.0.1", 0)
            try:
                await open_and_look(server)
            finally:
                server.close()
                await asyncio.gather(*served)

        async def open_and_look(server: asyncio.Server) -> None:
            async with server:
                port = server.sockets[0].getsockname()[1]
                proxy = self.profile.proxy
                assert proxy is not None
                link = await open_through_proxy(self.attempt(port), proxy)
                try:
                    if look is not None:
                        await look(link)
                finally:
                    link.close()

        run(work())


def tcp(proxy: Proxy, connect_timeout: int = 10) -> ConnectionProfile:
    profile = tcp_profile("vpn.example", 443)
    return replace(profile, proxy=proxy, connect_timeout=connect_timeout)


async def read_head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def test_the_stream_is_handed_over_with_what_came_too_early() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await read_head(reader)).startswith(b"CONNECT vpn.example:443 HTTP/1.0\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n\x00\x03abc")
        await writer.drain()
        assert await reader.readexactly(5) == b"\x00\x03xyz"
        writer.close()

    async def look(link: Link) -> None:
        link.send(Transmit(b"xyz", None))
        assert link.receive() == ((b"abc", None),)

    Scene(tcp(HTTP)).play(serve, look)


def test_a_login_takes_a_second_connection() -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_head(reader))
        writer.write(WANTED if len(heads) == 1 else b"HTTP/1.0 200 OK\r\n\r\n")
        writer.close()

    scene = Scene(tcp(replace(HTTP, login=ProxyLogin.AUTO)))
    scene.play(serve)
    assert [b"Authorization" in head for head in heads] == [False, True]
    assert scene.logins.given == 1


def test_somebody_is_asked_again_after_a_wrong_login() -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_head(reader))
        writer.write(WANTED if len(heads) < 3 else b"HTTP/1.0 200 OK\r\n\r\n")
        writer.close()

    scene = Scene(tcp(replace(HTTP, login=ProxyLogin.AUTO)), FakeLogins(patience=5))
    scene.play(serve)
    assert (scene.logins.given, scene.logins.refused) == (2, 1)
    assert "user name or password was refused" in scene.texts


def test_a_wrong_login_that_nobody_can_change_ends_the_attempt() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(WANTED)
        writer.close()

    scene = Scene(tcp(replace(HTTP, login=ProxyLogin.BASIC)))
    with pytest.raises(LinkUnavailable) as caught:
        scene.play(serve)
    assert (caught.value.reason, caught.value.told) == (HTTP_ERROR, True)
    assert scene.logins.given == 1


def test_a_silent_proxy_is_waited_for_as_long_as_connect_timeout() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    scene = Scene(tcp(HTTP, connect_timeout=1))
    with pytest.raises(LinkUnavailable):
        scene.play(serve)
    assert "is silent" in scene.texts


def test_a_reset_connection_is_named() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    scene = Scene(tcp(HTTP))
    with pytest.raises(LinkUnavailable):
        scene.play(serve)
    assert "broke: Connection reset by peer" in scene.texts


def test_a_socks_proxy_gets_the_servers_name() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(3) == b"\5\1\0"
        writer.write(b"\5\0")
        assert await reader.readexactly(18) == b"\5\1\0\3\x0bvpn.example\1\xbb"
        writer.write(b"\5\0\0\1\0\0\0\0\0\0\x00\x03abc")
        writer.close()

    async def look(link: Link) -> None:
        assert link.receive() == ((b"abc", None),)

    Scene(tcp(SOCKS)).play(serve, look)


def test_a_port_that_socks_cannot_be_told_is_named() -> None:
    scene = Scene(replace(tcp(SOCKS), port="no-such-service"))
    with pytest.raises(LinkUnavailable) as caught:
        run(open_through_proxy(scene.attempt(1), SOCKS))
    assert caught.value.reason == SOCKS_ERROR
    assert "Cannot convert no-such-service to port number" in scene.texts


class Relaying:
    """A SOCKS proxy whose datagram end the test plays by hand."""

    def __init__(self) -> None:
        self.end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.end.bind(("127.0.0.1", 0))
        self.end.settimeout(40)
        self.leave = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(3) == b"\5\1\0"
        writer.write(b"\5\0")
        assert (await reader.readexactly(10))[:4] == b"\5\3\0\1"
        port = self.end.getsockname()[1].to_bytes(2, "big")
        writer.write(b"\5\0\0\1\0\0\0\0" + port)  # unspecified: where you reached me
        await self.leave.wait()
        writer.close()


def test_datagrams_go_by_the_relay_until_the_proxy_leaves() -> None:
    relaying = Relaying()
    header = datagram_header(SERVER)

    async def look(link: Link) -> None:
        assert isinstance(link, RelayedLink)
        assert link.relay is not None
        assert link.relay.server == SERVER
        link.send(Transmit(b"ours", SERVER))
        datagram, source = relaying.end.recvfrom(100)
        assert datagram == header + b"ours"
        there = asyncio.Event()
        asyncio.get_running_loop().add_reader(link.fileno(), there.set)
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with stranger:
            stranger.sendto(header + b"forged", ("127.0.0.1", source[1]))
        relaying.end.sendto(b"\0\0\1" + header[3:] + b"fragment", ("127.0.0.1", source[1]))
        relaying.end.sendto(header + b"theirs", ("127.0.0.1", source[1]))
        await asyncio.wait_for(there.wait(), 40)
        asyncio.get_running_loop().remove_reader(link.fileno())
        received = [link.receive() for _ in range(3)]
        assert received == [[], [], [(b"theirs", SERVER)]]
        assert link.receive() is None
        attached = link.attached()
        assert attached.relay is not None
        assert attached.relay.address.port == relaying.end.getsockname()[1]
        assert attached.relay.server == SERVER
        relaying.leave.set()
        assert await asyncio.wait_for(link.relay.ended(), 40) == "it closed the connection"

    with relaying.end:
        scene = Scene(replace(udp_profile("vpn.example", 1194), proxy=SOCKS))
        scene.play(relaying.serve, look)
    assert "SOCKS proxy wants us to send UDP to [AF_INET]0.0.0.0:" in scene.texts


def test_an_attempt_must_say_where_logins_come_from() -> None:
    with pytest.raises(LocalMisuse):
        run(open_through_proxy(attempt(tcp(HTTP), Endpoint(LOOPBACK, 1)), HTTP))
