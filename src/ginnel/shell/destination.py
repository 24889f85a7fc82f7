"""Where the next attempt goes: the remote in turn, what a frontend makes of it, and its addresses.

Responsible for the questions about remotes and proxies and for names. The order of remotes is
``core.remotes``', opening the link ``shell.connect``'s.
"""

from collections.abc import Callable, Sequence

from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.errors import LinkError
from ginnel.core.types import Endpoint
from ginnel.dataclass import replace
from ginnel.options.model import ConnectionProfile, LinkOptions
from ginnel.shell.frontend import Frontend
from ginnel.shell.link import LinkUnavailable
from ginnel.shell.resolve import Resolver, Target, server_of, target_of

RESOLVE_FAILURE = "socks-resolve-failure"
"""The signal's text when only the proxy could be resolved."""


class Destinations:
    """Answers for one lifecycle."""

    def __init__(
        self,
        options: LinkOptions,
        *,
        frontend: Frontend,
        log: Callable[[LogLine], None],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._options = options
        self._frontend = frontend
        self._log = log
        self._resolver = Resolver(options, entropy=entropy, on_failure=self._failed)

    async def prepare(self, profiles: Sequence[ConnectionProfile]) -> None:
        """Resolves everything at once, where ``preresolve`` asks for that."""
        if self._options.preresolve:
            enabled = [profile for profile in profiles if profile.enabled]
            await self._resolver.resolve_all(
                target for profile in enabled for target in (target_of(profile), server_of(profile))
            )

    async def choose(self, profile: ConnectionProfile, number: int) -> ConnectionProfile | None:
        """Asks the frontend, where it wants to be asked. None goes on to the next remote."""
        if self._frontend.asks_remotes:
            chosen = await self._frontend.remote(profile)
            if chosen is None:
                return None
            profile = replace(profile, host=chosen[0], port=chosen[1])
        if self._frontend.asks_proxies:
            proxy = await self._frontend.proxy(profile, number)
            if proxy is not None:
                profile = replace(profile, proxy=proxy)
        return profile

    async def addresses(self, profile: ConnectionProfile) -> tuple[Endpoint, ...]:
        """Addresses to connect to: the proxy's when there is one. Raises LinkError."""
        return await self._resolve(target_of(profile))

    async def server(self, profile: ConnectionProfile) -> Endpoint:
        """The server's own address, for a proxy that takes no names. Raises LinkUnavailable."""
        target = server_of(profile)
        try:
            return (await self._resolve(target))[0]
        except LinkError as unknown:
            raise LinkUnavailable(
                target.host, unknown.cause, reason=RESOLVE_FAILURE, told=True
            ) from unknown

    async def _resolve(self, target: Target) -> tuple[Endpoint, ...]:
        if target.is_name:
            self._frontend.state("RESOLVE")
        return await self._resolver.resolve(target)

    def _failed(self, target: Target, cause: str) -> None:
        retries = self._options.resolv_retry > 0
        self._log(shell_lines.cannot_resolve(target.host, target.port, cause, retries=retries))
