"""When a client's sessions and negotiations begin, and what follows when one fails.

Responsible for starting sessions over, for renegotiations and for the deadlines of a handshake.
What is said inside a negotiation is ``client_negotiation``'s business.
"""

from ginnel.core import client_end as end
from ginnel.core.client_course import ClientCourse
from ginnel.core.client_push import PushImport
from ginnel.core.client_state import AwaitPush, Deadline, Negotiating, Running
from ginnel.core.errors import LocalMisuse
from ginnel.core.negotiation import Settled
from ginnel.core.notices import Advance, Ended, InitialPacket, KeyRenegotiating, ManagementState
from ginnel.core.tls import TlsFailure
from ginnel.core.types import Instant, Transport

PULL_PING_RESTART = 120
"""Seconds of silence a pulling UDP client allows until options arrive (protocol-facts 24)."""


class ClientSessions:
    """Begins and gives up sessions and negotiations."""

    def __init__(self, course: ClientCourse, push: PushImport) -> None:
        self._course = course
        self._push = push
        self._began = Instant(0.0)
        self.heard = False
        """Whether an authentic packet ever came from the server."""

    # --- beginnings ----------------------------------------------------------------------------

    def begin(self, now: Instant) -> None:
        """Starts a session: the first, or another one while an old key still serves."""
        course = self._course
        self._began = now
        course.timers.cancel(Deadline.PUSH_REQUEST)
        course.timers.cancel(Deadline.PUSH_GIVE_UP)
        course.link.begin(now, course.unix_time(now))
        self._push.begin()
        course.state = Negotiating()
        waits = course.link.remote.is_anybody
        if not waits:
            course.timers.arm(Deadline.HANDSHAKE, now + course.options.tls.hand_window)
        if course.tunnel is None:
            course.outbox.enter(ManagementState.WAIT)
            if not waits:
                course.timers.arm(Deadline.CONNECT, now + course.profile.connect_timeout)
            self._arm_silence(now)

    def renegotiate(self, reason: str, now: Instant) -> None:
        """Begins a soft reset of our own, unless one is under way."""
        course = self._course
        if isinstance(course.state, Running) and isinstance(course.link.current.phase, Settled):
            course.link.begin_soft_reset(now)
            self._renegotiation_began(reason, now)

    def follow_soft_reset(self, now: Instant) -> None:
        """The server began a renegotiation."""
        self._course.link.adopt_soft_reset()
        if self._course.tunnel is not None:
            self._course.tunnel.keys.note_peer_reset(now)
        self._renegotiation_began("the server asked for it", now)

    def _renegotiation_began(self, reason: str, now: Instant) -> None:
        course = self._course
        course.timers.cancel(Deadline.RENEGOTIATE)
        course.timers.arm(Deadline.HANDSHAKE, now + course.options.tls.hand_window)
        if course.tunnel is not None:
            course.tunnel.keys.expire_key(now)
        key_id = course.link.current.key.key_id
        course.outbox.tell(KeyRenegotiating(key_id=key_id, reason=reason))

    # --- signs of life -------------------------------------------------------------------------

    def note_alive(self, now: Instant) -> None:
        """An authentic packet came: the remote is there."""
        course = self._course
        if course.timers.deadline(Deadline.SILENCE) is not None:
            self._arm_silence(now)
        peer_id = course.link.session.peer_id
        if self.heard or peer_id is None:
            return
        self.heard = True
        course.timers.cancel(Deadline.CONNECT)
        if course.timers.deadline(Deadline.HANDSHAKE) is None:  # somebody came at last
            course.timers.arm(Deadline.HANDSHAKE, now + course.options.tls.hand_window)
        course.outbox.tell(InitialPacket(source=course.link.remote, session_id=peer_id))
        course.outbox.enter(ManagementState.AUTH)

    def _arm_silence(self, now: Instant) -> None:
        course = self._course
        link = course.options.link
        limit = link.ping_restart or link.ping_exit
        if not limit and course.options.pull and course.link.transport is Transport.UDP:
            limit = PULL_PING_RESTART
        if limit:
            course.timers.arm(Deadline.SILENCE, now + limit)

    def silent(self) -> Ended:
        """How the connection ends when the server is not heard any more."""
        course = self._course
        options = course.options if course.tunnel is None else course.tunnel.config.options
        sentence = f"nothing came from {course.link.remote} for too long"
        if options.link.ping_exit and not options.link.ping_restart:
            return end.terminate("ping-exit", sentence)
        return end.restart("ping-restart", sentence)

    def unanswered(self) -> Ended:
        """How the connection ends when not one good packet came in time."""
        sentence = self._explain_no_answer(self._course.profile.connect_timeout)
        return end.restart("server_poll", sentence)

    # --- failures ------------------------------------------------------------------------------

    def handle_peer_restart(self, now: Instant) -> None:
        """The peer lost our session. A server is believed only when it proved knowledge of a key.

        And at most once in hand-window: all clients of a server may share that key. Of two peers
        without pull either may wait for the other to begin anew, so that they have to believe.
        """
        course = self._course
        running = isinstance(course.state, Running)
        recent = now < self._began + course.options.tls.hand_window
        proved = course.link.session.is_wrapped or not course.options.pull
        if not running or recent or not proved:
            course.link.drops["other-session"] += 1
        elif course.options.tls.single_session:
            course.link.drops["single-session"] += 1
        elif not course.options.pull:
            # A pair has its peer-ids from the session, so that the data plane begins anew as well.
            sentence = "the peer began a new session"
            course.finish(end.restart("tls-error", sentence, Advance.SAME))
        else:
            course.outbox.warn("the server began a new session: negotiating anew")
            self._start_over(now)

    def negotiation_failed(self, failure: TlsFailure, now: Instant) -> None:
        """TLS, or what was said inside it, cannot go on."""
        course = self._course
        course.outbox.warn(f"TLS_ERROR: {failure.reason}")
        course.outbox.warn("TLS Error: TLS handshake failed")
        explanation = f"TLS with {course.link.remote} failed: {failure.reason}"
        if failure.hint:
            explanation = f"{explanation}: {failure.hint}"
        self._give_up_negotiation(explanation, now)

    def handshake_timed_out(self, now: Instant) -> None:
        """A negotiation had no keys within hand-window."""
        course = self._course
        window = course.options.tls.hand_window
        course.outbox.warn(
            f"TLS Error: TLS key negotiation failed to occur within {window} seconds "
            "(check your network connectivity)"
        )
        course.outbox.warn("TLS Error: TLS handshake failed")
        if course.link.session.peer_id is None:
            explanation = self._explain_no_answer(window)
        else:
            explanation = end.explain_stall(course.link.current.key, course.link.remote, window)
        self._give_up_negotiation(explanation, now)

    def _explain_no_answer(self, seconds: int) -> str:
        link = self._course.link
        return end.explain_silence(link.remote, self._course.profile.wrapping, seconds, link.drops)

    def _give_up_negotiation(self, explanation: str, now: Instant) -> None:
        """A failed negotiation starts over while a key still serves; without one it ends it all.

        TLS error policy of protocol-facts 5: on TCP the first failure ends the connection.
        """
        course = self._course
        course.link.flush(now)  # the alert for the peer
        keeps = (
            course.tunnel is not None
            and course.tunnel.keys.is_usable
            and isinstance(course.state, Running | Negotiating | AwaitPush)
            and not course.options.tls.single_session
            and course.link.transport is Transport.UDP
        )
        if not keeps:
            if course.link.transport is Transport.TCP:
                course.outbox.warn("Fatal TLS error (check_tls_errors_co), restarting")
            course.finish(end.tls_error(course.options, explanation))
            return
        course.outbox.warn(f"{explanation}; the key in use serves on while a new session is made")
        self._start_over(now)

    def _start_over(self, now: Instant) -> None:
        """Begins a new session while the key in use serves on until it expires."""
        course = self._course
        if course.tunnel is None:
            raise LocalMisuse("there is no tunnel to keep")
        course.tunnel.keys.expire_key(now)
        course.timers.cancel(Deadline.RENEGOTIATE)
        soonest = self._began + course.options.tls.hand_window
        if soonest <= now:
            self.begin(now)
            return
        # What failed at once will most likely fail at once again.
        course.link.close()
        course.state = Negotiating()
        for name in (Deadline.HANDSHAKE, Deadline.PUSH_REQUEST, Deadline.PUSH_GIVE_UP):
            course.timers.cancel(name)
        course.timers.arm(Deadline.BEGIN, soonest)
