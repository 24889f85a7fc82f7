"""Where one connection is: what the parts of a client machine share.

Responsible for the state, the deadlines and the last notice. What leads from one state to the next
is the business of the parts: sessions, key exchange, messages, set-up and reports.
"""

from ginnel.core import client_end as end
from ginnel.core.client_link import ClientLink
from ginnel.core.client_outbox import Outbox
from ginnel.core.client_state import Deadline, Idle, Leaving, Over, State
from ginnel.core.client_tunnel import ClientTunnel
from ginnel.core.notices import Ended
from ginnel.core.timers import Timers
from ginnel.core.types import Instant
from ginnel.options.model import ClientOptions, ConnectionProfile


class ClientCourse:
    """One connection from its start to its end."""

    def __init__(
        self,
        *,
        options: ClientOptions,
        profile: ConnectionProfile,
        link: ClientLink,
        outbox: Outbox,
        unix_time: int,
    ) -> None:
        """``unix_time`` is the wall clock in seconds at the start."""
        self.options = options
        self.profile = profile
        self.link = link
        self.outbox = outbox
        self.timers: Timers[Deadline] = Timers()
        self.state: State = Idle()
        self.tunnel: ClientTunnel | None = None
        """From when it is open to the end."""
        self._unix_time = unix_time
        self._started = Instant(0.0)

    def start(self, now: Instant) -> None:
        """Notes when the connection began."""
        self._started = now

    def unix_time(self, now: Instant) -> int:
        """The wall clock in seconds."""
        return self._unix_time + int(now - self._started)

    @property
    def is_over(self) -> bool:
        """Whether the last notice was given."""
        return isinstance(self.state, Over)

    def finish(self, ended: Ended) -> None:
        """Gives the last notice; later inputs do nothing."""
        if self.is_over:
            return
        if isinstance(self.state, Leaving):
            ended = end.terminate("exit-with-notification", "")
        self.state = Over()
        self.timers.clear()
        self.outbox.actions.clear()
        self.outbox.tell(ended)

    def finish_if(self, ended: Ended | None) -> bool:
        """Ends the connection if there is a reason to; whether there was."""
        if ended is not None:
            self.finish(ended)
        return ended is not None
