"""Resolves the names of remotes without blocking the loop, with ``resolv-retry``'s patience."""

import asyncio
import socket
from collections.abc import Callable
from ipaddress import ip_address

from ginnel.core.errors import LinkError
from ginnel.core.types import Endpoint
from ginnel.options.model import AddressFamily, ConnectionProfile, LinkProtocol

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

    ``patience`` is in seconds (``inf`` never gives up); ``on_failure`` is told each failed try.
    Raises LinkError when patience ran out.
    """
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + patience
    while True:
        try:
            return await _lookup(profile)
        except socket.gaierror as error:
            cause = error.strerror or "unknown resolver error"
            on_failure(
                f"RESOLVE: Cannot resolve host address: {profile.host}:{profile.port} ({cause})"
            )
            if loop.time() + RETRY_INTERVAL > give_up_at:
                raise LinkError(f"{profile.host}:{profile.port}", cause) from error
        await asyncio.sleep(RETRY_INTERVAL)


async def _lookup(profile: ConnectionProfile) -> tuple[Endpoint, ...]:
    kind = socket.SOCK_DGRAM if profile.protocol is LinkProtocol.UDP else socket.SOCK_STREAM
    found = await asyncio.get_running_loop().getaddrinfo(
        profile.host, profile.port, family=_FAMILIES[profile.family], type=kind
    )
    endpoints = []
    for _family, _kind, _protocol, _name, address in found[:MAX_ADDRESSES]:
        scope = int(address[3]) if len(address) == 4 else 0
        host = str(address[0]).partition("%")[0]
        endpoints.append(Endpoint(ip_address(host), int(address[1]), scope))
    return tuple(dict.fromkeys(endpoints))
