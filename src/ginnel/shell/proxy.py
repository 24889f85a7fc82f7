"""Opens links through HTTP and SOCKS proxies: connects to the proxy, and lets a machine talk to it.

The dialogues are the core's (``core.proxy_http``, ``core.proxy_socks``); here are sockets, the time
limit and the link that wraps datagrams for a SOCKS relay.
"""

import asyncio
import socket
from collections.abc import Sequence

from ginnel.compat import proxy_lines
from ginnel.core.actions import Credentials
from ginnel.core.errors import LocalMisuse
from ginnel.core.proxy_http import HttpProxyClient
from ginnel.core.proxy_notices import (
    AnotherConnection,
    LoginRefused,
    Opened,
    ProxyEnd,
    ProxyNotice,
    Unusable,
)
from ginnel.core.proxy_socks import Command, SocksProxyClient, datagram_header, read_datagram
from ginnel.core.types import Endpoint, Transmit, Transport
from ginnel.dataclass import dataclass, replace
from ginnel.dataplane import api
from ginnel.hints import Protocol
from ginnel.options.model import (
    HttpProxy,
    LinkProtocol,
    Proxy,
)
from ginnel.shell.addresses import own_address
from ginnel.shell.link import (
    SOCKS_ERROR,
    Attempt,
    Link,
    LinkUnavailable,
    Logins,
    ProxyMeans,
    Received,
)
from ginnel.shell.resolve import port_number
from ginnel.shell.socket_options import open_socket
from ginnel.shell.tcp import TcpLink, connect_socket
from ginnel.shell.udp import UdpLink, report_errors

READ_SIZE = 4096

HTTP_ERROR = "HTTP proxy error"
"""What the restart after a failure is called; see also ``shell.link``."""


class Dialogue(Protocol):
    """A machine that talks to a proxy, over one connection or several."""

    end: ProxyEnd | None

    @property
    def needs_login(self) -> bool: ...
    def begin(self, login: Credentials | None) -> None: ...
    def receive(self, data: bytes) -> None: ...
    def receive_end(self) -> None: ...
    def poll_transmit(self) -> bytes: ...
    def poll_notice(self) -> ProxyNotice | None: ...


@dataclass(frozen=True, kw_only=True)
class _Stream:
    """A connection to the proxy, after its dialogue."""

    sock: socket.socket
    local: Endpoint | None
    opened: Opened


async def open_through_proxy(attempt: Attempt, proxy: Proxy) -> Link:
    """Opens the link; ``attempt.remote`` is the proxy's address.

    Raises LinkUnavailable, after what the proxy said was logged; LinkError for a local mistake;
    ConfigError when a login is needed that nobody can be asked for.
    """
    profile, means = attempt.profile, attempt.means
    if means is None:
        raise LocalMisuse("nothing says where a proxy's login comes from")
    if isinstance(proxy, HttpProxy):
        dialogue: Dialogue = HttpProxyClient(
            proxy, profile.host, profile.port, entropy=means.entropy
        )
        stream = await _establish(attempt, proxy, dialogue, means.logins)
        return _stream_link(attempt, stream)
    datagrams = profile.protocol is LinkProtocol.UDP
    dialogue = SocksProxyClient(
        Command.UDP_ASSOCIATE if datagrams else Command.CONNECT,
        profile.host,
        _server_port(attempt),
        with_login=proxy.with_login,
    )
    stream = await _establish(attempt, proxy, dialogue, means.logins)
    if not datagrams:
        return _stream_link(attempt, stream)
    try:
        return await _relayed_link(attempt, stream, means)
    except BaseException:
        stream.sock.close()
        raise


def _stream_link(attempt: Attempt, stream: _Stream) -> TcpLink:
    return TcpLink(
        stream.sock,
        local=stream.local,
        tun_mtu=attempt.profile.tun_mtu,
        unread=stream.opened.unread,
    )


async def _relayed_link(attempt: Attempt, stream: _Stream, means: ProxyMeans) -> "RelayedLink":
    relay = stream.opened.relay
    assert relay is not None, "an association names its relay"
    if relay.address.is_unspecified:  # it means: the address that you reached me at
        relay = replace(attempt.remote, port=relay.port)
    server = await means.resolve(attempt.profile)
    sock, local = open_socket(attempt, socket.SOCK_DGRAM, to=relay)
    report_errors(sock, wanted=True)
    return RelayedLink(sock, local=local, relay=Relay(relay, server, stream.sock))


# --- the dialogue ------------------------------------------------------------------------------


async def _establish(attempt: Attempt, proxy: Proxy, dialogue: Dialogue, logins: Logins) -> _Stream:
    """Connects and talks, more than once where a login is wanted, within ``connect-timeout``.

    Waiting for people does not count.
    """
    reason = HTTP_ERROR if isinstance(proxy, HttpProxy) else SOCKS_ERROR
    clock = asyncio.get_running_loop().time
    left = float(attempt.profile.connect_timeout)
    while True:
        login = await logins.get(proxy) if dialogue.needs_login else None
        began = clock()
        sock, local = await connect_socket(attempt, max(left, 0.0))
        left -= clock() - began
        began = clock()
        try:
            dialogue.begin(login)
            end = await _talk(sock, dialogue, attempt, max(left, 0.0))
        except BaseException:
            sock.close()
            raise
        left -= clock() - began
        if isinstance(end, Opened):
            return _Stream(sock=sock, local=local, opened=end)
        sock.close()
        if isinstance(end, AnotherConnection):
            continue
        if isinstance(end, LoginRefused):
            attempt.log(proxy_lines.login_refused(proxy))
            if logins.refuse(proxy):
                continue
        raise LinkUnavailable(str(attempt.remote), reason, reason=reason, told=True)


async def _talk(
    sock: socket.socket, dialogue: Dialogue, attempt: Attempt, seconds: float
) -> ProxyEnd:
    """Carries bytes until the dialogue has its end, and logs what it tells."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            while True:
                _tell(dialogue, attempt)
                outgoing = dialogue.poll_transmit()
                if outgoing:
                    await loop.sock_sendall(sock, outgoing)
                if dialogue.end is not None:
                    return dialogue.end
                data = await loop.sock_recv(sock, READ_SIZE)
                if data:
                    dialogue.receive(data)
                else:
                    dialogue.receive_end()
    except TimeoutError:
        attempt.log(proxy_lines.silent(attempt.remote))
    except OSError as error:
        attempt.log(proxy_lines.lost(attempt.remote, error.strerror or str(error)))
    return Unusable()


def _tell(dialogue: Dialogue, attempt: Attempt) -> None:
    while (notice := dialogue.poll_notice()) is not None:
        for line in proxy_lines.render(notice):
            attempt.log(line)


def _server_port(attempt: Attempt) -> int:
    """The port as a number, which SOCKS wants."""
    profile = attempt.profile
    try:
        return port_number(profile)
    except OSError as unknown:
        attempt.log(proxy_lines.unknown_port(profile.port))
        raise LinkUnavailable(profile.host, SOCKS_ERROR, reason=SOCKS_ERROR, told=True) from unknown


# --- datagrams ---------------------------------------------------------------------------------


class Relay:
    """A SOCKS proxy's end for datagrams; it lives as long as the connection that asked for it."""

    def __init__(self, address: Endpoint, server: Endpoint, control: socket.socket) -> None:
        """Owns ``control``."""
        self.address = address
        self.server = server
        self._control = control

    async def ended(self) -> str:
        """Waits until the proxy ends the association; says how."""
        loop = asyncio.get_running_loop()
        try:
            while await loop.sock_recv(self._control, READ_SIZE):
                pass  # it has nothing more to say
        except OSError as error:
            return error.strerror or str(error)
        return "it closed the connection"

    def own_address(self) -> Endpoint | None:
        """Our end of that connection."""
        return own_address(self._control)

    def close(self) -> None:
        self._control.close()


class RelayedLink(UdpLink):
    """Datagrams through a SOCKS relay; packets seem to go to the server, and to come from it."""

    def __init__(self, sock: socket.socket, *, local: Endpoint | None, relay: Relay) -> None:
        super().__init__(sock, local=local)
        self.relay = relay
        self._through = relay
        self._front = datagram_header(relay.server)

    def receive(self) -> Sequence[Received] | None:
        """One datagram without the relay's header; none when it did not come by the relay."""
        received = super().receive()
        if received is None:
            return None
        packets: list[Received] = []
        for datagram, source in received:
            parted = read_datagram(datagram) if source == self._through.address else None
            if parted is not None:
                packets.append((parted[1], parted[0]))
        return packets

    def send(self, packet: Transmit) -> None:
        super().send(Transmit(self._front + packet.payload, self._through.address))

    def own_address(self) -> Endpoint | None:
        return self._through.own_address()

    def attached(self) -> api.Link:
        """What the data plane is given."""
        return api.Link(
            fd=self.fileno(),
            transport=Transport.UDP,
            relay=api.Relay(address=self._through.address, server=self._through.server),
        )

    def close(self) -> None:
        super().close()
        self._through.close()
