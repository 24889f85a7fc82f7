"""Resolves the names of remotes without blocking the loop, with ``resolv-retry``'s patience."""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

from ginnel.core.errors import LinkError
from ginnel.core.types import Endpoint
from ginnel.options.model import AddressFamily, ConnectionProfile, LinkProtocol
from ginnel.shell.addresses import endpoint_of

RETRY_INTERVAL = 5.0
"""Seconds between two tries of a name that does not resolve."""

MAX_ADDRESSES = 64
"""More addresses than this of one name are not tried."""

_FAMILIES = {
    AddressFamily.ANY: socket.AF_UNSPEC,
    AddressFamily.IPV4: socket.AF_INET,
    AddressFamily.IPV6: socket.AF_INET6,
}


async def resolve_profile(
    profile: ConnectionProfile, patience: float, on_failure: Callable[[str], None]
) -> tuple[Endpoint, ...]:
    """Returns the addresses of the profile's remote, in the resolver's order.

    ``patience`` is in seconds (``inf`` never gives up); ``on_failure`` is told the cause of each
    failed try.
    Raises LinkError when patience ran out.
    """
    if not profile.host:
        return (_anybody(profile),)
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + patience
    while True:
        try:
            return await _lookup(profile)
        except OSError as error:
            cause = error.strerror or "unknown resolver error"
            on_failure(cause)
            if loop.time() + RETRY_INTERVAL > give_up_at:
                raise LinkError(f"{profile.host}:{profile.port}", cause) from error
        await asyncio.sleep(RETRY_INTERVAL)


async def resolve_local(name: str, remote: Endpoint) -> str:
    """The address of a name of this host, in the family of ``remote``. Raises LinkError."""
    family = socket.AF_INET if remote.address.version == 4 else socket.AF_INET6
    try:
        found = await _getaddrinfo(name, "0", family, socket.SOCK_DGRAM)
    except OSError as error:
        raise LinkError(name, error.strerror or "unknown resolver error") from error
    return str(found[0].address)


async def resolve_ipv4(name: str) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses of a name; an address stands for itself. Raises OSError."""
    found = await _getaddrinfo(name, "0", socket.AF_INET, socket.SOCK_DGRAM)
    return tuple(e.address for e in found if isinstance(e.address, IPv4Address))


def _anybody(profile: ConnectionProfile) -> Endpoint:
    """Stands for a peer that will be known when it sends something."""
    any_v4, any_v6 = IPv4Address(0), IPv6Address(0)
    return Endpoint(any_v6 if profile.family is AddressFamily.IPV6 else any_v4, 0)


async def _lookup(profile: ConnectionProfile) -> tuple[Endpoint, ...]:
    kind = socket.SOCK_DGRAM if profile.protocol is LinkProtocol.UDP else socket.SOCK_STREAM
    return await _getaddrinfo(profile.host, profile.port, _FAMILIES[profile.family], kind)


async def _getaddrinfo(
    host: str, port: str, family: socket.AddressFamily, kind: socket.SocketKind
) -> tuple[Endpoint, ...]:
    """Asks the system's resolver on a daemon thread.

    The loop's own executor would make the exit of the process wait for a resolver that hangs.
    """
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
            entries = socket.getaddrinfo(host, port, family, kind)[:MAX_ADDRESSES]
            found = tuple(dict.fromkeys(endpoint_of(entry[4]) for entry in entries))
        except OSError as error:
            failure = error
        except UnicodeError:
            failure = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, found, failure)

    threading.Thread(target=work, name="resolver", daemon=True).start()
    return await answer
