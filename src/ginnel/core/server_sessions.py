"""When a client's sessions and negotiations begin, and what follows when one fails.

Responsible for renegotiations, for the deadlines of handshakes, and for a second session that takes
the place of the one in use. What is said inside a negotiation is ``server_negotiation``'s business.
"""

from ginnel.core import server_end as end
from ginnel.core.negotiation import Settled
from ginnel.core.notices import InitialPacket, KeyRenegotiating
from ginnel.core.server_course import ServerCourse
from ginnel.core.server_link import Guest
from ginnel.core.server_notices import AuthenticationFailed
from ginnel.core.server_state import Connecting, Deadline, Running
from ginnel.core.tls import TlsFailure
from ginnel.core.types import Instant, Transport


class ServerSessions:
    """Begins and gives up sessions and negotiations."""

    def __init__(self, course: ServerCourse) -> None:
        self._course = course

    # --- beginnings ----------------------------------------------------------------------------

    def began(self, guest: Guest, now: Instant) -> None:
        """The client's first packet of a session was taken in."""
        course = self._course
        session_id = guest.talk.session.peer_id
        if session_id is not None:
            course.outbox.tell(InitialPacket(source=course.link.remote, session_id=session_id))
        is_other = guest is not course.link.active
        deadline = Deadline.NEWCOMER if is_other else Deadline.HANDSHAKE
        course.timers.arm(deadline, now + course.tls.hand_window)

    def renegotiate(self, now: Instant) -> None:
        """Begins a soft reset of our own, unless one is under way."""
        course = self._course
        active, tunnel = course.link.active, course.tunnel
        if not isinstance(course.state, Running) or active is None or tunnel is None:
            return
        if isinstance(active.talk.current.phase, Settled):
            active.talk.begin_soft_reset(now)
            self._renegotiation_began(active, tunnel.keys.describe_use(now), now)

    def follow_soft_reset(self, guest: Guest, now: Instant) -> None:
        """The client began a renegotiation."""
        if self._course.tunnel is not None:
            self._course.tunnel.keys.note_peer_reset(now)
        self._renegotiation_began(guest, "the client asked for it", now)

    def _renegotiation_began(self, guest: Guest, reason: str, now: Instant) -> None:
        course = self._course
        course.timers.cancel(Deadline.RENEGOTIATE)
        course.timers.arm(Deadline.HANDSHAKE, now + course.tls.hand_window)
        if course.tunnel is not None:
            course.tunnel.keys.expire_key(now)
        key_id = guest.talk.current.key.key_id
        course.outbox.tell(KeyRenegotiating(key_id=key_id, reason=reason))

    def forget_previous(self) -> None:
        """Frees the TLS session before the one in use, unless that is not done yet."""
        active = self._course.link.active
        if active is not None and isinstance(active.talk.current.phase, Settled):
            active.talk.forget_previous()

    def exchanged(self, guest: Guest) -> None:
        """The client's key method message came: its handshake was in time."""
        if guest is self._course.link.active:
            self._course.timers.cancel(Deadline.HANDSHAKE)

    def promote(self, guest: Guest) -> None:
        """A second session was let in: the one before it is over."""
        course = self._course
        course.timers.cancel(Deadline.NEWCOMER)
        course.timers.cancel(Deadline.HANDSHAKE)
        if not isinstance(course.state, Connecting):  # else somebody still decides about it
            course.timers.cancel(Deadline.DECISION)
        course.link.promote(guest)

    # --- failures ------------------------------------------------------------------------------

    def failed(self, guest: Guest, failure: TlsFailure, now: Instant) -> None:
        """TLS, or what was said inside it, cannot go on."""
        course = self._course
        course.outbox.warn(f"TLS_ERROR: {failure.reason}")
        explanation = failure.reason if not failure.hint else f"{failure.reason}: {failure.hint}"
        self._give_up(guest, f"TLS with the client failed: {explanation}", now)

    def timed_out(self, guest: Guest | None, now: Instant) -> None:
        """A negotiation did not come to its key exchange within hand-window."""
        course = self._course
        window = course.tls.hand_window
        course.outbox.warn(
            f"TLS Error: TLS key negotiation failed to occur within {window} seconds "
            "(check your network connectivity)"
        )
        if guest is not None:
            self._give_up(guest, f"the handshake took more than {window} seconds", now)

    def turn_away(self, guest: Guest, reason: str, now: Instant, *, by_login: bool = False) -> None:
        """Lets a session not in: that is the end of the client, unless it is another one beside."""
        course = self._course
        if guest is course.link.active:
            course.refuse(reason, now, by_login=by_login)
            return
        course.outbox.tell(AuthenticationFailed(reason=reason, by_login=by_login))
        course.tell_refusal(guest, reason, now)
        guest.is_refused = True
        course.timers.arm(Deadline.NEWCOMER, now + end.EXIT_DELAY)

    def newcomer_is_late(self, now: Instant) -> None:
        """The time of the session beside the one in use is over."""
        guest = self._course.link.newcomer
        if guest is not None and guest.is_refused:
            self._course.link.dismiss(guest)
        else:
            self.timed_out(guest, now)

    def _give_up(self, guest: Guest, explanation: str, now: Instant) -> None:
        """Without a live key it is over; with one, the client may come with a new session.

        On TCP the first failure ends the client (TLS error policy of protocol-facts 5).
        """
        course = self._course
        course.outbox.warn("TLS Error: TLS handshake failed")
        course.link.flush(now)  # the alert for the client
        is_other = guest is not course.link.active
        if is_other:
            course.timers.cancel(Deadline.NEWCOMER)
        if not is_other and not self._has_live_key:
            if course.link.transport is Transport.TCP:
                course.outbox.warn("Fatal TLS error (check_tls_errors_co), restarting")
            course.finish(end.tls_error(explanation))
            return
        course.link.dismiss(guest)
        if not is_other:
            course.timers.cancel(Deadline.HANDSHAKE)
            course.outbox.warn(f"{explanation}; the key in use serves on")

    @property
    def _has_live_key(self) -> bool:
        course = self._course
        return (
            course.tunnel is not None
            and course.tunnel.keys.is_usable
            and isinstance(course.state, Running)
            and course.link.transport is Transport.UDP
            and not course.options.tls.tls_exit
        )
