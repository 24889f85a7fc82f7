"""Where one client of a server is: what the parts of its machine share.

Responsible for the state, the deadlines, who the client is, and the last notice. What leads from
one state to the next is the business of the parts.
"""

from collections.abc import Callable, Mapping
from itertools import count

from ginnel.core import server_end as end
from ginnel.core.messages import clean_text
from ginnel.core.negotiate import DataCapabilities
from ginnel.core.notices import Ended
from ginnel.core.peer_info import ProtocolFlag, protocol_flags
from ginnel.core.server_actions import AgreedClient, ClientFacts
from ginnel.core.server_link import Guest, ServerLink
from ginnel.core.server_notices import AuthenticationFailed, ExitScheduled, PushSent
from ginnel.core.server_outbox import ServerOutbox
from ginnel.core.server_state import Deadline, Idle, Leaving, Over, State
from ginnel.core.timers import Timers
from ginnel.core.tunnel_keys import TunnelKeys
from ginnel.core.types import Instant
from ginnel.dataclass import dataclass, replace
from ginnel.options.model import CompressionKind
from ginnel.options.server_model import ServerOptions

_ENDING = (Leaving, Over)


@dataclass(slots=True, kw_only=True)
class ServerTunnel:
    """A client that the data plane knows."""

    agreed: AgreedClient
    compression: CompressionKind | None
    """The framing that ``compress migrate`` moves the client to."""
    keys: TunnelKeys
    is_told: bool = False
    """Whether its data channel was described for the log."""


class ServerCourse:
    """One client from its start to its end."""

    def __init__(
        self,
        *,
        options: ServerOptions,
        facts: ClientFacts,
        link: ServerLink,
        outbox: ServerOutbox,
        entropy: Callable[[int], bytes],
        unix_time: int,
        capabilities: DataCapabilities,
    ) -> None:
        """``unix_time`` is the wall clock in seconds at the start."""
        self.options = options
        self.tls = options.tls
        self.reneg_sec = _own_interval(options, entropy)
        """Seconds between two renegotiations of this one client."""
        self.facts = facts
        self.link = link
        self.outbox = outbox
        self.entropy = entropy
        self.capabilities = capabilities
        self.timers: Timers[Deadline] = Timers()
        self.state: State = Idle()
        self.tunnel: ServerTunnel | None = None
        """From when the data plane has the client."""
        self._key_numbers = count(1)
        self._unix_time = unix_time
        self._started = Instant(0.0)

    def start(self, now: Instant) -> None:
        """Notes when the client came."""
        self._started = now

    def unix_time(self, now: Instant) -> int:
        """The wall clock in seconds."""
        return self._unix_time + int(now - self._started)

    def introduced(self, guest: Guest) -> None:
        """A session said who it is: of the client that holds only once it was let in."""
        guest.key_number = next(self._key_numbers)
        if guest is self.link.active:
            self.facts = self.facts_of(guest)

    def facts_of(self, guest: Guest) -> ClientFacts:
        """Who the client is, with what it says over this session."""
        if guest.key_number == self.facts.key_number:  # a number is given once
            return self.facts
        variables = tuple(guest.peer_info.items())
        return replace(self.facts, key_number=guest.key_number, peer_info=variables)

    @property
    def is_over(self) -> bool:
        """Whether the last notice was given."""
        return isinstance(self.state, Over)

    @property
    def is_ending(self) -> bool:
        """Whether nothing new is begun any more."""
        return isinstance(self.state, _ENDING)

    def finish(self, ended: Ended) -> None:
        """Gives the last notice; later inputs do nothing."""
        if self.is_over:
            return
        self.state = Over()
        self.timers.clear()
        self.outbox.actions.clear()
        self.outbox.tell(ended)

    def leave(self, ended: Ended, delay: float, now: Instant) -> None:
        """Ends after so many seconds, and does nothing more until then than to repeat itself."""
        if self.is_ending:
            return
        self.state = Leaving(ended)
        self.timers.clear()
        self.timers.arm(Deadline.LEAVE, now + delay)
        self.outbox.tell(ExitScheduled(seconds=delay))

    def refuse(self, reason: str, now: Instant, *, by_login: bool = False) -> None:
        """Tells the client that it may not in, over every session of it, and leaves."""
        if self.is_ending:
            return
        self.outbox.tell(AuthenticationFailed(reason=reason, by_login=by_login))
        self.leave(end.delayed(), end.EXIT_DELAY, now)
        for guest in self.link.guests:
            self.tell_refusal(guest, reason, now)

    def send_away(self, message: str, now: Instant) -> None:
        """Says ``RESTART`` or ``HALT``, the whole message, and leaves."""
        if not self.is_ending:
            self.say(message, now)
            self.leave(end.delayed(), end.RESTART_DELAY, now)

    def put_off(self, reason: str, now: Instant) -> None:
        """Nobody said no, it is not the client's fault: it shall come again.

        A client that knows no temporary refusals would take one for good: it is told to restart,
        and keeps its password.
        """
        guest = self.link.active
        info = {} if guest is None else guest.peer_info
        if ProtocolFlag.AUTH_FAIL_TEMP in protocol_flags(info):
            self.refuse(f"TEMP:{reason}", now)
        else:
            self.send_away("RESTART,[P]", now)

    def say(self, text: str, now: Instant) -> bool:
        """Sends a message over the session in use; False when that cannot carry it."""
        cleaned = clean_text(text)
        if self.link.say(cleaned, now) is None:
            return False
        self.outbox.tell(PushSent(common_name=self.facts.common_name, text=cleaned))
        return True

    def tell_refusal(self, guest: Guest, reason: str, now: Instant) -> None:
        """Says AUTH_FAILED over a session, if it can carry that."""
        text = auth_failed(reason, guest.peer_info)
        if guest.talk.say(text, now) is not None:
            self.outbox.tell(PushSent(common_name=self.facts.common_name, text=text))


def auth_failed(reason: str, peer_info: Mapping[str, str]) -> str:
    """The message that lets nobody in.

    A client that does not know temporary refusals is told the reason alone.
    """
    if reason.startswith("TEMP") and ProtocolFlag.AUTH_FAIL_TEMP not in protocol_flags(peer_info):
        _, _, reason = reason.partition(":")
    return f"AUTH_FAILED,{clean_text(reason)}" if reason else "AUTH_FAILED"


def _own_interval(options: ServerOptions, entropy: Callable[[int], bytes]) -> int:
    """Draws ``reneg-sec`` between its bounds, lest all clients come at once for ever.

    Without a lower bound that is nine tenths of the upper one, as in OpenVPN.
    """
    tls = options.tls
    lowest, highest = options.limits.reneg_sec_range or (tls.reneg_sec * 9 // 10, tls.reneg_sec)
    if lowest >= highest:
        return highest
    drawn = int.from_bytes(entropy(4), "big") % (highest - lowest + 1)
    return lowest + drawn
