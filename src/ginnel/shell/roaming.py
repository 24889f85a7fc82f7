"""Follows the network under a connection: changes of it, and sleep of this host.

Notices them (netlink, and two clocks of which one runs while the host sleeps), lets the tunnel
renew its routes, and does what ``core.roaming`` decides. Bursts of events are waited out.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.errors import HostError
from ginnel.core.notices import Outcome
from ginnel.core.roaming import Absence, Footing, Path, Reaction, react
from ginnel.core.types import Endpoint, IPAddress, Transport
from ginnel.dataclass import dataclass
from ginnel.hints import Protocol
from ginnel.host.underlay import UnderlaySnapshot
from ginnel.shell.clock import monotonic_now
from ginnel.shell.link import Link

TICK = 2.0
"""Seconds between two looks at the clocks."""

SETTLE = 0.2
"""Seconds without another event after which a change of network is over."""

LOOKS = 4
"""Looks within that time. A device of ours that comes up is a dozen events in milliseconds, and to
hear each of them would hold up the connection in the making that they are about."""

MAX_LOOKS = 40
"""Looks until it is acted on what there is."""

PACE = 10
"""Times as long as a look took that passes before the next: a router's tables may be large, and
change without end."""

NOTICEABLE_SLEEP = 1.0
"""Seconds that the clocks must differ by: less is no sleep."""


class Changes(Protocol):
    """What tells of changes: ``host.watch.ChangeSocket``."""

    def fileno(self) -> int: ...
    def drain(self) -> bool: ...
    def close(self) -> None: ...


class NetworkWatch:
    """Waits for disturbances. One for the life of the process; used by one waiter at a time."""

    def __init__(
        self,
        changes: Changes,
        *,
        awake: Callable[[], float] = time.monotonic,
        since_boot: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    ) -> None:
        """Owns ``changes``. The clocks are in seconds; ``awake`` stops while the host sleeps."""
        self._changes = changes
        self._awake = awake
        self._since_boot = since_boot
        self._offset = since_boot() - awake()

    async def next(self) -> float:
        """Waits for the next disturbance and its end; returns the seconds slept, 0.0 for none."""
        while True:
            changed = await self._readable(TICK) and self._changes.drain()
            slept = self._slept()
            if changed or slept:
                await self._settle()
                return slept + self._slept()

    def close(self) -> None:
        self._changes.close()

    async def _settle(self) -> None:
        """Waits until nothing is said for a while."""
        quiet = 0
        for _ in range(MAX_LOOKS):
            await asyncio.sleep(SETTLE / LOOKS)
            quiet = 0 if self._changes.drain() else quiet + 1
            if quiet == LOOKS:
                return

    def _slept(self) -> float:
        """Seconds slept since the last call."""
        offset = self._since_boot() - self._awake()
        slept, self._offset = offset - self._offset, offset
        return slept if slept >= NOTICEABLE_SLEEP else 0.0

    async def _readable(self, seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(self._changes.fileno(), ready.set)
        try:
            async with asyncio.timeout(seconds):
                await ready.wait()
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._changes.fileno())
        return True


class Moving(Protocol):
    """The connection that is followed: ``shell.drive.Drive``."""

    @property
    def over(self) -> bool: ...
    @property
    def floats(self) -> bool: ...
    def announce(self) -> None: ...
    def close(self, reason: str, outcome: Outcome) -> None: ...


class Underlay(Protocol):
    """What knows the network: ``host.client.HostClient``."""

    async def underlay(self, server: Endpoint | None) -> UnderlaySnapshot: ...


@dataclass(frozen=True, kw_only=True)
class Followed:
    """One connection, as it began."""

    drive: Moving
    link: Link
    remote: Endpoint
    patience: Callable[[], float]
    """Seconds of silence after which the server gives us up; 0 when nothing tells."""
    bind_dev: str | None = None
    """The device that the link's socket is bound to."""


class Roaming:
    """See the module."""

    def __init__(
        self,
        *,
        watch: NetworkWatch,
        host: Underlay,
        renew: Callable[[], Awaitable[None]],
        log: Callable[[LogLine], None],
    ) -> None:
        """``renew`` leads the tunnel's routes around it by the way to the server that there is."""
        self._watch = watch
        self._host = host
        self._renew = renew
        self._log = log
        self._path: Path | None = None
        self._gone_since: float | None = None

    async def follow(self, followed: Followed) -> None:
        """Runs beside a connection until it is over."""
        drive, link = followed.drive, followed.link
        bound_to = _index_of(followed.bind_dev)
        self._path = await self._look(followed.remote)
        while True:
            slept = await self._watch.next()
            began = monotonic_now()
            with self._telling():
                await self._renew()
            before, self._path = self._path, await self._look(followed.remote)
            if drive.over:
                return
            footing = Footing(
                # A relay knows us by the connection to the proxy that asked for it.
                transport=link.transport if link.relay is None else Transport.TCP,
                own_address=_address(link.own_address()),
                bound_to=bound_to,
                floats=drive.floats,
                patience=followed.patience(),
            )
            absence = Absence(asleep=slept, offline=self._offline())
            reaction, signal = react(before, self._path, footing, absence)
            self._tell(before, slept)
            if reaction is Reaction.ANNOUNCE:
                drive.announce()
            elif reaction is Reaction.RESTART:
                drive.close(signal, Outcome.RESTART)
                return
            await asyncio.sleep(PACE * (monotonic_now() - began))

    async def moved(self, remote: Endpoint) -> None:
        """Returns when the way to a server that was not reached has changed, or after sleep."""
        before = await self._look(remote)
        while True:
            slept = await self._watch.next()
            now = await self._look(remote)
            if now is not None and (now != before or slept):
                self._path = now
                self._log(shell_lines.note("the network changed: trying again at once"))
                return
            before = now

    def _offline(self) -> float:
        """Seconds for which there was no way to the server, once there is one again."""
        since = self._gone_since
        if self._path is None:
            self._gone_since = monotonic_now() if since is None else since
            return 0.0
        self._gone_since = None
        return 0.0 if since is None else monotonic_now() - since

    def _tell(self, before: Path | None, slept: float) -> None:
        if slept:
            self._log(shell_lines.note(f"this host slept for {slept:.0f} seconds"))
        after = self._path
        if after == before:
            return
        if after is None:
            self._log(shell_lines.note("the network is gone: waiting for another"))
            return
        way = after.device if after.gateway is None else f"{after.gateway} ({after.device})"
        names = ", ".join(sorted(map(str, after.addresses)))
        self._log(shell_lines.note(f"the server is reached by {way} now, from {names}"))

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """A host that does not say or do what is asked of it ends no connection."""
        try:
            yield
        except HostError as error:
            self._log(shell_lines.warning(f"cannot follow the change of network: {error}"))

    async def _look(self, remote: Endpoint) -> Path | None:
        snapshot = UnderlaySnapshot()
        with self._telling():
            snapshot = await self._host.underlay(remote)
        way, server = snapshot.server, remote.address
        named = [
            network
            for network in snapshot.networks
            if network.interface.version == server.version
            and (server.is_link_local or not network.interface.ip.is_link_local)
        ]
        if way is None or not named:  # else packets would leave under the tunnel's own address
            return None
        addresses = frozenset(n.interface.ip for n in named if n.device == way.device)
        return Path(device=way.device, index=way.index, gateway=way.address, addresses=addresses)


def _index_of(device: str | None) -> tuple[str, int] | None:
    """A device by name and number: one that comes again has another number."""
    if device is None:
        return None
    try:
        return device, socket.if_nametoindex(device)
    except OSError:
        return None


def _address(endpoint: Endpoint | None) -> IPAddress | None:
    return None if endpoint is None else endpoint.address
