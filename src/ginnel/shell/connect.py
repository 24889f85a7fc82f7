"""Opens the link of one attempt: chooses the transport that its profile names."""

from ginnel.dataclass import replace
from ginnel.hints import assert_never
from ginnel.options.model import LinkProtocol
from ginnel.shell.addresses import is_address
from ginnel.shell.link import Attempt, Link, LinkUnavailable
from ginnel.shell.resolve import resolve_local
from ginnel.shell.udp import open_udp


async def open_link(attempt: Attempt) -> Link:
    """Opens the link, which on TCP takes until the server accepts.

    Raises LinkUnavailable when another address or remote may do; LinkError when none would, as for
    a local address that this host does not have.
    """
    local = attempt.profile.local
    if local is not None and not is_address(local):
        numeric = await resolve_local(local, attempt.remote)
        attempt = replace(attempt, profile=replace(attempt.profile, local=numeric))
    proxy = attempt.profile.proxy
    if proxy is not None:
        from ginnel.shell.proxy import open_through_proxy

        return await open_through_proxy(attempt, proxy)
    match attempt.profile.protocol:
        case LinkProtocol.UDP:
            return open_udp(attempt)
        case LinkProtocol.TCP_CLIENT:
            from ginnel.shell.tcp import connect_tcp

            return await connect_tcp(attempt)
        case LinkProtocol.TCP_SERVER:
            raise LinkUnavailable(str(attempt.remote), "a client does not wait for connections")
        case other:
            assert_never(other)
