"""The link of one connection, whatever carries it: the seam between transports and the drive.

``shell.connect.open_link`` makes a link for an attempt; ``shell.drive`` reads and writes packets on
it until ``hand_over`` gives its socket to the data plane; ``shell.lifecycle`` closes it.

To add a way to connect (a proxy, say), open the socket there and return one of the links there are:
``shell.tcp.TcpLink(sock, ...)`` takes a connected stream, with ``unread`` for what a handshake read
too far; ``shell.udp.UdpLink`` a bound UDP socket. A class of its own is only needed where packets
are wrapped differently; then it implements ``Link``, wrapping in ``send``, unwrapping in
``receive``, and tells the data plane about it in ``hand_over``.

Not responsible for what a packet means, or for what follows when a link is lost.
"""

import errno
from collections.abc import Awaitable, Callable, Sequence

from ginnel.compat.log_lines import LogLine
from ginnel.core.actions import Credentials
from ginnel.core.errors import LinkError
from ginnel.core.types import Endpoint, Transmit, Transport
from ginnel.dataclass import dataclass
from ginnel.dataplane.api import DataPlane
from ginnel.hints import Protocol
from ginnel.options.model import ConnectionProfile, LinkOptions, Proxy

SOCKS_ERROR = "socks-error"
"""What the restart is called after a SOCKS proxy failed."""

Received = tuple[bytes, Endpoint | None]
"""A whole packet and where it came from; None on a stream, which has one peer."""


class Logins(Protocol):
    """Where user names and passwords come from: ``proxy_login.ProxyLogins``."""

    async def get(self, proxy: Proxy) -> Credentials: ...
    def refuse(self, proxy: Proxy) -> bool: ...


@dataclass(frozen=True, kw_only=True)
class ProxyMeans:
    """What a connection through a proxy needs besides sockets."""

    logins: Logins
    resolve: Callable[[ConnectionProfile], Awaitable[Endpoint]]
    """Finds the server's address where the proxy does not. Raises LinkUnavailable."""
    entropy: Callable[[int], bytes]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What is known when a link is opened, and where the opener tells what it does."""

    profile: ConnectionProfile
    options: LinkOptions
    remote: Endpoint
    """The server's address, or the proxy's."""
    log: Callable[[LogLine], None]
    state: Callable[[str], None]
    """Hears management states that come before the machine's, such as ``TCP_CONNECT``."""
    means: ProxyMeans | None = None
    """For profiles with a proxy."""


class LinkRelay(Protocol):
    """What passes datagrams on between us and the server: ``shell.proxy.Relay``."""

    @property
    def address(self) -> Endpoint:
        """Where our datagrams really go."""
        ...

    @property
    def server(self) -> Endpoint:
        """To whom they are passed on."""
        ...

    async def ended(self) -> str:
        """Waits until it passes nothing on any longer; says why."""
        ...


class Link(Protocol):
    """An open, non-blocking link. Its methods may raise OSError.

    On UDP such an error is a hint, as anybody can fake the ICMP message behind it. On a stream it
    is the end: errno 0 when the peer closed it, EBADMSG for a record of an impossible length.
    """

    @property
    def transport(self) -> Transport:
        """How packets are framed."""
        ...

    @property
    def relay(self) -> LinkRelay | None:
        """What is between us and the server on the level of packets; None when nothing is."""
        ...

    @property
    def local(self) -> Endpoint | None:
        """The local address that the user asked for; None when the system chose."""
        ...

    def own_address(self) -> Endpoint | None:
        """The address that packets leave from; None while the system chooses for each."""
        ...

    def fileno(self) -> int:
        """Readable when ``receive`` may have something."""
        ...

    def receive(self) -> Sequence[Received] | None:
        """The packets that one read completed, perhaps none; None when nothing is there to read."""
        ...

    def send(self, packet: Transmit) -> None:
        """Sends a control packet, or drops it when too much waits: it is sent again later."""
        ...

    def hand_over(self, data_plane: DataPlane, options: LinkOptions) -> None:
        """Attaches the socket to the data plane, after options that may have been pushed.

        From here on neither ``receive`` nor ``send`` may be called. Raises DataPlaneError, too.
        """
        ...

    def close(self) -> None:
        """Closes our descriptor; a data plane has its own. Idempotent."""
        ...


class BadRecord(OSError):
    """A record of a stream has an impossible length (EBADMSG)."""

    def __init__(self, length: int, limit: int) -> None:
        super().__init__(errno.EBADMSG, "impossible record length")
        self.length = length
        self.limit = limit


class LinkUnavailable(LinkError):
    """No link to this address: another address or remote may do. ``reason`` becomes the signal.

    ``told`` when the log says already what happened.
    """

    def __init__(
        self, remote: str, cause: str, *, reason: str = "network-unreachable", told: bool = False
    ) -> None:
        super().__init__(remote, cause)
        self.reason = reason
        self.told = told
