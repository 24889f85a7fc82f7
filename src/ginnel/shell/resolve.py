"""Resolves the names of servers and proxies in the background, as patiently as ``resolv-retry``.

Also what becomes of a name before: ``remote-random-hostname`` puts letters in front of it,
``preresolve`` asks for it once and keeps the answer.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

from ginnel.core.errors import LinkError
from ginnel.core.types import Endpoint
from ginnel.dataclass import dataclass, replace
from ginnel.options.model import AddressFamily, ConnectionProfile, LinkOptions, LinkProtocol
from ginnel.shell.addresses import endpoint_of, is_address

RETRY_INTERVAL = 5.0
"""Seconds between two tries of a name that does not resolve."""

MAX_ADDRESSES = 64
"""More addresses than this of one name are not tried."""

MAX_PORT = 0xFFFF

RANDOM_BYTES = 6
"""Of ``remote-random-hostname``, written in hex."""

_FAMILIES = {
    AddressFamily.ANY: socket.AF_UNSPEC,
    AddressFamily.IPV4: socket.AF_INET,
    AddressFamily.IPV6: socket.AF_INET6,
}


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is to be resolved."""

    host: str
    """Empty for a peer that may be anybody."""
    port: str
    """A number or a service name."""
    family: AddressFamily
    kind: socket.SocketKind

    @property
    def is_name(self) -> bool:
        """False for an address, which needs no resolver, and for a peer that may be anybody."""
        return self.host != "" and not is_address(self.host)


def server_of(profile: ConnectionProfile) -> Target:
    """The server itself."""
    datagrams = profile.protocol is LinkProtocol.UDP
    return Target(
        host=profile.host,
        port=profile.port,
        family=profile.family,
        kind=socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM,
    )


def target_of(profile: ConnectionProfile) -> Target:
    """Whom we connect to: the proxy when there is one, else the server."""
    proxy = profile.proxy
    if proxy is None:
        return server_of(profile)
    # The family of a profile is about the server when datagrams are relayed to it.
    relayed = profile.protocol is LinkProtocol.UDP
    return Target(
        host=proxy.host,
        port=proxy.port,
        family=AddressFamily.ANY if relayed else profile.family,
        kind=socket.SOCK_STREAM,
    )


class Resolver:
    """Resolves by the rules of one configuration."""

    def __init__(
        self,
        options: LinkOptions,
        *,
        entropy: Callable[[int], bytes],
        on_failure: Callable[[Target, str], None],
    ) -> None:
        """``on_failure`` is told what was asked for in vain, and why it failed, at each try."""
        self._options = options
        self._entropy = entropy
        self._on_failure = on_failure
        self._kept: dict[Target, tuple[Endpoint, ...]] = {}

    async def resolve(self, target: Target) -> tuple[Endpoint, ...]:
        """Returns the addresses in the resolver's order.

        Raises LinkError when the patience of ``resolv-retry`` ran out.
        """
        if not target.host:
            return (_anybody(target),)
        kept = self._kept.get(target)
        if kept is not None:
            return kept
        return await self._resolve(target, self._options.resolv_retry)

    async def resolve_all(self, targets: Iterable[Target]) -> None:
        """Carries ``preresolve`` out: each name once. One that fails is tried again in its turn."""
        for target in dict.fromkeys(targets):
            if target.is_name:
                with suppress(LinkError):
                    self._kept[target] = await self._resolve(target, 0.0)

    async def _resolve(self, target: Target, patience: float) -> tuple[Endpoint, ...]:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + patience
        while True:
            asked = replace(target, host=self._asked(target))
            try:
                return await _getaddrinfo(asked)
            except OSError as error:
                cause = error.strerror or "unknown resolver error"
                self._on_failure(asked, cause)
                if loop.time() + RETRY_INTERVAL > give_up_at:
                    raise LinkError(f"{asked.host}:{asked.port}", cause) from error
            await asyncio.sleep(RETRY_INTERVAL)

    def _asked(self, target: Target) -> str:
        """The name that the system's resolver is asked for."""
        if not self._options.remote_random_hostname or not target.is_name:
            return target.host
        return f"{self._entropy(RANDOM_BYTES).hex()}.{target.host}"


async def resolve_local(name: str, remote: Endpoint) -> str:
    """The address of a name of this host, in the family of ``remote``. Raises LinkError."""
    family = AddressFamily.IPV4 if remote.address.version == 4 else AddressFamily.IPV6
    target = Target(host=name, port="0", family=family, kind=socket.SOCK_DGRAM)
    try:
        found = await _getaddrinfo(target)
    except OSError as error:
        raise LinkError(name, error.strerror or "unknown resolver error") from error
    return str(found[0].address)


async def resolve_ipv4(name: str) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses of a name; an address stands for itself. Raises OSError."""
    target = Target(host=name, port="0", family=AddressFamily.IPV4, kind=socket.SOCK_DGRAM)
    found = await _getaddrinfo(target)
    return tuple(e.address for e in found if isinstance(e.address, IPv4Address))


def _anybody(target: Target) -> Endpoint:
    """Stands for a peer that will be known when it sends something."""
    any_v4, any_v6 = IPv4Address(0), IPv6Address(0)
    return Endpoint(any_v6 if target.family is AddressFamily.IPV6 else any_v4, 0)


def port_number(profile: ConnectionProfile) -> int:
    """The server's port. Raises OSError for a service name that the system does not know."""
    if profile.port.isascii() and profile.port.isdecimal():
        return int(profile.port)
    protocol = "udp" if profile.protocol is LinkProtocol.UDP else "tcp"
    return socket.getservbyname(profile.port, protocol)


def _given(target: Target) -> Endpoint | None:
    """What an address with a number for its port stands for: nobody has to be asked.

    None for whatever the system may read otherwise, and for another family than is wanted, which it
    refuses in its own words.
    """
    if not (target.port.isascii() and target.port.isdecimal()) or int(target.port) > MAX_PORT:
        return None
    try:
        address = ip_address(target.host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return None
    own = AddressFamily.IPV4 if address.version == 4 else AddressFamily.IPV6
    if target.family not in (AddressFamily.ANY, own):
        return None
    return Endpoint(address, int(target.port))


def _asked_for(host: str) -> str | bytes:
    """A name as bytes where it can be: for text the library first loads its tables of Unicode."""
    return host.encode("ascii") if host.isascii() else host


async def _getaddrinfo(target: Target) -> tuple[Endpoint, ...]:
    """Asks the system's resolver on a daemon thread.

    The loop's own executor would make the exit of the process wait for a resolver that hangs.
    """
    given = _given(target)
    if given is not None:
        return (given,)
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[tuple[Endpoint, ...]] = loop.create_future()

    def settle(found: tuple[Endpoint, ...], error: OSError | None) -> None:
        if answer.done():  # cancelled: nobody waits any more
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(found)

    def work() -> None:
        found: tuple[Endpoint, ...] = ()
        failure: OSError | None = None
        try:
            family = _FAMILIES[target.family]
            host = _asked_for(target.host)
            entries = socket.getaddrinfo(host, target.port, family, target.kind)[:MAX_ADDRESSES]
            found = tuple(dict.fromkeys(endpoint_of(entry[4]) for entry in entries))
        except OSError as error:
            failure = error
        except UnicodeError:
            failure = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, found, failure)

    threading.Thread(target=work, name="resolver", daemon=True).start()
    return await answer
