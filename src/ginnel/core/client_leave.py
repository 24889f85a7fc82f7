"""How a client tells its server that it goes (protocol-facts 12).

Responsible for saying EXIT on the control channel, or the OCC notice once a second, and for when
that is done. Whether the client leaves, and the last notice, are ``client``'s business.
"""

from ginnel.core.actions import SendInner
from ginnel.core.client_link import ClientLink
from ginnel.core.client_outbox import Outbox
from ginnel.core.client_state import Deadline, Leaving
from ginnel.core.client_tunnel import ClientTunnel
from ginnel.core.occ import exit_payload
from ginnel.core.timers import Timers
from ginnel.core.types import Instant, Transport
from ginnel.options.model import ConnectionProfile

EXIT_INTERVAL = 1.0
"""Seconds between exit notices, and the wait after the last."""


class Farewell:
    """Says goodbye over the link of one machine."""

    def __init__(self, link: ClientLink, outbox: Outbox, timers: Timers[Deadline]) -> None:
        self._link = link
        self._outbox = outbox
        self._timers = timers

    def begin(
        self, tunnel: ClientTunnel | None, profile: ConnectionProfile, now: Instant
    ) -> Leaving | None:
        """Begins to tell the server; None when it is not told at all."""
        if tunnel is None or self._link.transport is not Transport.UDP:
            return None
        pushed = tunnel.config.options.link.explicit_exit_notify
        notices = (profile.explicit_exit_notify if pushed is None else pushed) or 0
        if notices == 0:
            return None
        self._timers.clear()
        key = self._link.say("EXIT", now) if tunnel.agreement.cc_exit else None
        if key is not None:
            self._timers.arm(Deadline.LEAVE, now + notices * EXIT_INTERVAL)
            return Leaving(occ_left=0, said_on=key)
        return self._say_once(tunnel, notices, now)

    def go_on(self, state: Leaving, tunnel: ClientTunnel | None, now: Instant) -> Leaving | None:
        """Takes the next step when the deadline came; None when all is said."""
        if state.occ_left == 0 or tunnel is None:
            return None
        return self._say_once(tunnel, state.occ_left, now)

    def _say_once(self, tunnel: ClientTunnel, notices: int, now: Instant) -> Leaving:
        peer_id = tunnel.config.peer_id
        self._outbox.ask(lambda new: SendInner(id=new, peer_id=peer_id, payload=exit_payload()))
        self._timers.arm(Deadline.LEAVE, now + EXIT_INTERVAL)
        return Leaving(occ_left=notices - 1, said_on=None)
