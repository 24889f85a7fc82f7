"""Which remote and which of its addresses is tried next, and after what pause.

Responsible for the walk over connection profiles and resolved addresses, ``remote-random``, the
back-off and ``connect-retry-max`` (protocol-facts 25, in the documented form). Names are resolved
by the shell, which hands the addresses in; the shuffle is injected too.
"""

from collections.abc import Callable, Sequence

from ginnel.core.client_end import TOLD_TO_RECONNECT
from ginnel.core.errors import LocalMisuse
from ginnel.core.notices import Advance, Ended
from ginnel.core.roaming import NETWORK_CHANGED, RESUMED
from ginnel.core.types import Endpoint
from ginnel.dataclass import dataclass
from ginnel.hints import assert_never
from ginnel.options.model import AuthRetry, ClientOptions, ConnectionProfile

TRIES_BEFORE_BACK_OFF = 5
"""Tries of each remote with the plain pause; after that it doubles each time."""

MAX_DOUBLINGS = 15
NOINTERACT_PAUSE = 10.0
"""First pause with ``auth-retry nointeract``, so that a wrong password is not hammered."""

NO_PAUSE_SIGNALS = frozenset({"server_poll", NETWORK_CHANGED, RESUMED})
"""Ends that are followed by the next attempt at once."""


@dataclass(frozen=True)
class Pause:
    """Try again after this many seconds, at what the cursor now points to."""

    seconds: float


@dataclass(frozen=True)
class GiveUp:
    """Every remote was tried ``connect-retry-max`` times."""

    explanation: str


class RemoteCursor:
    """Points to one address of one profile; ``after`` moves it on.

    Use: while ``needs_addresses``, resolve ``profile`` and call ``resolved`` or ``unresolvable``;
    then ``begin`` an attempt at ``address``, and report ``connected`` and finally ``after``.
    """

    def __init__(
        self,
        options: ClientOptions,
        *,
        shuffle: Callable[[Sequence[ConnectionProfile]], Sequence[ConnectionProfile]],
    ) -> None:
        """``shuffle`` returns the profiles in random order; asked once, with remote-random."""
        if not options.profiles:
            raise LocalMisuse("a client has at least one remote")
        profiles = options.profiles
        if options.link.remote_random:
            profiles = tuple(shuffle(profiles))
        self._options = options
        self._profiles = tuple(profiles)
        self._count = sum(profile.enabled for profile in profiles)
        if self._count == 0:
            raise LocalMisuse("a client has a remote that is not ruled out")
        self._index = -1
        self._addresses: tuple[Endpoint, ...] = ()
        self._position = 0
        self._attempts = 0
        self._next_profile()

    @property
    def number(self) -> int:
        """The place of the profile in turn, counted from 1."""
        return self._index + 1

    @property
    def profile(self) -> ConnectionProfile:
        """The profile in turn."""
        return self._profiles[self._index]

    @property
    def profiles(self) -> tuple[ConnectionProfile, ...]:
        """All profiles in the order they are tried."""
        return self._profiles

    @property
    def needs_addresses(self) -> bool:
        """Whether the profile's name must be resolved before an attempt."""
        return not self._addresses

    @property
    def address(self) -> Endpoint:
        """The address in turn."""
        if not self._addresses:
            raise LocalMisuse("the remote is not resolved")
        return self._addresses[self._position]

    @property
    def addresses(self) -> tuple[Endpoint, ...]:
        """All addresses of the profile in turn; empty before it is resolved."""
        return self._addresses

    def resolved(self, addresses: Sequence[Endpoint]) -> None:
        """Takes the addresses of the profile in turn."""
        if not addresses:
            raise LocalMisuse("a resolved name has addresses")
        self._addresses = tuple(addresses)
        self._position = 0

    def begin(self) -> GiveUp | None:
        """Counts an attempt. GiveUp instead when connect-retry-max is used up."""
        exhausted = self._exhausted()
        if exhausted is None:
            self._attempts += 1
        return exhausted

    def connected(self) -> None:
        """An attempt succeeded: counters and back-off start anew."""
        self._attempts = 0

    def unresolvable(self) -> Pause | GiveUp:
        """The name in turn does not resolve: on to the next profile; that counts as an attempt."""
        gave_up = self.begin()
        if gave_up is not None:
            return gave_up
        pause = self._pause(None)
        self._next_profile()
        return Pause(pause)

    def after(self, ended: Ended) -> Pause | GiveUp:
        """Moves on after an attempt ended and says how long to wait.

        A server that answered and keeps its client counts as no failure, as in OpenVPN: there the
        remote stays, and neither back-off nor connect-retry-max goes on.
        """
        if ended.advance is Advance.SAME and _answered(ended):
            self._attempts -= 1
        exhausted = self._exhausted()
        if exhausted is not None:
            return exhausted
        pause = 0.0 if ended.signal_text in NO_PAUSE_SIGNALS else self._pause(ended.backoff)
        match ended.advance:
            case Advance.SAME:
                pass
            case Advance.NEXT_ADDRESS:
                self._next_address()
            case Advance.NEXT_REMOTE:
                self._next_profile()
            case _:
                assert_never(ended.advance)
        return Pause(pause)

    def _exhausted(self) -> GiveUp | None:
        limit = self._options.link.connect_retry_max
        if limit == 0 or self._attempts < limit * self._count:
            return None
        return GiveUp(
            f"All connections have been connect-retry-max ({limit}) times unsuccessful, exiting"
        )

    def _pause(self, asked: float | None) -> float:
        profile = self.profile
        seconds = float(profile.connect_retry)
        if self._options.login.auth_retry is AuthRetry.NOINTERACT:
            seconds = max(seconds, NOINTERACT_PAUSE)
        doublings = self._attempts // self._count - (TRIES_BEFORE_BACK_OFF - 1)
        if doublings > 0:
            seconds = max(seconds, 1.0) * 2 ** min(doublings, MAX_DOUBLINGS)
        if asked is not None:
            seconds = max(seconds, asked)
        return min(seconds, float(max(profile.connect_retry_max_delay, profile.connect_retry)))

    def _next_address(self) -> None:
        self._position += 1
        if self._position >= len(self._addresses):
            self._next_profile()

    def _next_profile(self) -> None:
        self._index = (self._index + 1) % len(self._profiles)
        while not self.profile.enabled:
            self._index = (self._index + 1) % len(self._profiles)
        self._addresses = ()
        self._position = 0


def _answered(ended: Ended) -> bool:
    return ended.auth_failed is not None or ended.signal_text == TOLD_TO_RECONNECT
