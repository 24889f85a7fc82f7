"""The server's machine for one client: from its first packet to its end.

Responsible for the order of things: the client's key, TLS, its certificate and login, what it gets,
the data plane, the push, renegotiations, sessions that replace one another, and the end. It does no
I/O and has no clock: inputs are the methods from ``start`` to ``update``, outputs are drained with
the ``poll_`` methods after every input, **actions before packets**: what a packet lets the client
do, an action has made possible. Each part has a file: ``server_sessions`` (beginnings and
failures), ``server_negotiation`` (inside TLS), ``server_login``, ``server_setup``,
``server_messages`` and ``server_reports``, over the state they share in ``server_course``. First
packets of unknown addresses are ``listener``'s business.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from ginnel.core import events
from ginnel.core import server_end as end
from ginnel.core.actions import Done, Failed
from ginnel.core.auth_token import TokenIssuer
from ginnel.core.control_keys import ControlKeys
from ginnel.core.errors import LocalMisuse
from ginnel.core.listener import Admission
from ginnel.core.negotiate import DataCapabilities
from ginnel.core.server_actions import (
    AgreedClient,
    ClientFacts,
    ClientId,
    ServerAction,
    ServerActionResult,
    VerifyClientKey,
)
from ginnel.core.server_course import ServerCourse
from ginnel.core.server_link import Guest, ServerLink
from ginnel.core.server_login import ServerLogin
from ginnel.core.server_messages import ServerMessages
from ginnel.core.server_negotiation import ServerNegotiation
from ginnel.core.server_notices import ServerNotice
from ginnel.core.server_outbox import ServerOutbox
from ginnel.core.server_reports import ServerReports
from ginnel.core.server_sessions import ServerSessions
from ginnel.core.server_setup import ServerSetup
from ginnel.core.server_state import (
    Adding,
    Connecting,
    Deadline,
    Idle,
    InstallingFirst,
    JudgingKey,
    Leaving,
    Negotiating,
)
from ginnel.core.timers import earliest
from ginnel.core.tls import TlsChannel
from ginnel.core.types import ActionId, Endpoint, Instant, PeerId, Transmit, Transport
from ginnel.hints import assert_never
from ginnel.options.server_model import ServerOptions

MAX_WAITING = 8
"""Packets that are kept while the client's key is judged; the client repeats the others."""


class ServerMachine:
    """One client. Transmits go to its address of now, on TCP to nowhere but its stream."""

    def __init__(
        self,
        *,
        options: ServerOptions,
        keys: ControlKeys,
        client_id: ClientId,
        peer_id: PeerId,
        remote: Endpoint,
        local: Endpoint | None,
        transport: Transport,
        admission: Admission | None,
        tls: Callable[[], TlsChannel],
        entropy: Callable[[int], bytes],
        unix_time: int,
        capabilities: DataCapabilities,
        tokens: TokenIssuer | None,
    ) -> None:
        """``keys`` are ``Listener.keys``; ``admission`` is None for a stream.

        ``unix_time`` is the wall clock in seconds at ``start``.
        """
        self._admission = admission
        self._outbox = ServerOutbox()
        self._link = ServerLink(
            options=options,
            keys=keys,
            tls=tls,
            entropy=entropy,
            remote=remote,
            transport=transport,
            outbox=self._outbox,
        )
        self._course = ServerCourse(
            options=options,
            facts=ClientFacts(
                client_id=client_id,
                key_number=0,
                peer_id=peer_id,
                remote=remote,
                transport=transport,
                local=local,
            ),
            link=self._link,
            outbox=self._outbox,
            entropy=entropy,
            unix_time=unix_time,
            capabilities=capabilities,
        )
        login = ServerLogin(self._course, tokens)
        self._sessions = ServerSessions(self._course)
        self._setup = ServerSetup(self._course, login)
        self._messages = ServerMessages(self._course, self._sessions, self._setup)
        self._negotiation = ServerNegotiation(
            self._course,
            login=login,
            sessions=self._sessions,
            setup=self._setup,
            messages=self._messages,
        )
        self._reports = ServerReports(self._course, self._sessions)

    @property
    def facts(self) -> ClientFacts:
        """Who the client is, as far as that is known now."""
        return self._course.facts

    @property
    def agreed(self) -> AgreedClient | None:
        """What was agreed, from when the data plane has the client."""
        return None if self._course.tunnel is None else self._course.tunnel.agreed

    @property
    def is_over(self) -> bool:
        """Whether the last notice was given."""
        return self._course.is_over

    @property
    def drops(self) -> Counter[str]:
        """Packets and messages thrown away, by reason."""
        return self._link.drops

    # --- inputs --------------------------------------------------------------------------------

    def start(self, now: Instant) -> None:
        """Begins, with the packet that the client was let in for, if there is one."""
        course = self._course
        if not isinstance(course.state, Idle):
            raise LocalMisuse("a machine starts once")
        course.start(now)
        course.state = Negotiating()
        course.timers.arm(Deadline.HANDSHAKE, now + course.tls.hand_window)
        admission, self._admission = self._admission, None
        if admission is None:
            return
        if admission.own_session is not None:
            guest = self._link.admit(admission, admission.own_session, now)
            self._sessions.began(guest, now)
            self._judge_key(guest)
        self.receive(admission.packet, None, now)

    def receive(
        self, packet: bytes, source: Endpoint | None, now: Instant, *, more: bool = False
    ) -> None:
        """Takes a packet that is not data. Never raises for what the network sent.

        ``more``: another one follows at once, so that what they lead to is sent after that.
        """
        state = self._course.state
        if isinstance(state, JudgingKey):
            if len(state.packets) < MAX_WAITING:
                state.packets.append(packet)
        elif not self._course.is_over:
            self._take(packet, source, now)
        if not more:
            self._flush(now)

    def handle_timeout(self, now: Instant) -> None:
        """Does what is due; harmless when nothing is."""
        course = self._course
        for name in course.timers.take_due(now):
            if not course.is_over:
                self._handle_deadline(name, now)
        tunnel = course.tunnel
        if tunnel is not None and not course.is_ending and not tunnel.keys.handle_timeout(now):
            course.finish(end.tls_error("the last data key expired"))
        self._flush(now)

    def complete(self, action_id: ActionId, result: ServerActionResult, now: Instant) -> None:
        """Answers an action. An answer that nobody waits for any more is ignored."""
        if not self._course.is_ending:
            self._complete(action_id, result, now)
            self._flush(now)

    def handle_data_plane(self, event: events.DataPlaneEvent, now: Instant) -> None:
        """Takes a report of the data plane or of the link."""
        if not self._course.is_over:
            self._reports.handle(event, now)
            self._flush(now)

    def report_traffic(self, total_bytes: int, total_packets: int, now: Instant) -> None:
        """Takes the counters of the tun side, both directions together."""
        if not self._course.is_ending:
            self._reports.count_traffic(total_bytes, total_packets, now)
            self._flush(now)

    def close(self, reason: str, now: Instant) -> None:
        """Ends at once; the client is not told."""
        self._course.finish(end.terminate(reason))
        self._flush(now)

    def restart_client(self, message: str, now: Instant) -> None:
        """Sends ``RESTART`` or ``HALT`` (the whole message), and ends soon after."""
        self._course.send_away(message, now)
        self._flush(now)

    def refuse(self, reason: str, now: Instant) -> None:
        """Tells the client AUTH_FAILED with the reason, which may be empty, and ends soon after."""
        self._course.refuse(reason, now)
        self._flush(now)

    def pend(self, timeout: int, extra: str, now: Instant) -> bool:
        """Tells the client that its login takes up to ``timeout`` seconds, and ``extra``.

        False when nobody decides about the client, or ``extra`` is too long.
        """
        guest = self._link.judged
        if guest is None and isinstance(self._course.state, Connecting):
            guest = self._link.active
        if guest is None or self._course.is_ending:
            return False
        was_told = self._messages.pend(guest, timeout, extra, now)
        self._flush(now)
        return was_told

    def say(self, text: str, now: Instant) -> bool:
        """Sends a control message; False when there is nothing to send it on."""
        if self._course.is_ending:
            return False
        was_said = self._course.say(text, now)
        self._flush(now)
        return was_said

    def update(self, items: Sequence[str], now: Instant) -> bool:
        """Sends PUSH_UPDATE; False when the client does not know it, or there is no client yet."""
        was_sent = self._setup.update(tuple(items), now)
        self._flush(now)
        return was_sent

    # --- outputs -------------------------------------------------------------------------------

    def poll_transmit(self) -> Transmit | None:
        """The next packet for the link."""
        return self._outbox.transmits.popleft() if self._outbox.transmits else None

    def poll_notice(self) -> ServerNotice | None:
        """The next thing that happened."""
        return self._outbox.notices.popleft() if self._outbox.notices else None

    def poll_action(self) -> ServerAction | None:
        """The next thing to do for this client."""
        return self._outbox.actions.popleft() if self._outbox.actions else None

    def poll_timeout(self) -> Instant | None:
        """When to call ``handle_timeout``; None when there is nothing to wait for."""
        course = self._course
        keys = None
        if course.tunnel is not None and not course.is_ending:
            keys = course.tunnel.keys.next_timeout()
        return earliest(self._link.next_timeout(), course.timers.next(), keys)

    # --- packets -------------------------------------------------------------------------------

    def _judge_key(self, guest: Guest) -> None:
        """Has the client's tls-crypt-v2 key judged where that is wanted: packets wait for it."""
        course = self._course
        v2 = course.options.crypt_v2
        claim = guest.claim
        if claim is None or v2 is None or v2.verify is None:
            return
        facts = course.facts
        action_id = self._outbox.ask(
            lambda new_id: VerifyClientKey(id=new_id, client=facts, claim=claim)
        )
        course.state = JudgingKey(action_id, [])

    def _take(self, packet: bytes, source: Endpoint | None, now: Instant) -> None:
        course = self._course
        may_begin = None if course.is_ending else course.unix_time(now)
        heard = self._link.receive(packet, source, now, may_begin)
        if heard is None or course.is_ending:
            return
        if heard.began:
            self._sessions.began(heard.guest, now)
        if heard.is_first:
            self._judge_key(heard.guest)
        if heard.soft_reset:
            self._sessions.follow_soft_reset(heard.guest, now)
        if heard.said:
            self._negotiation.progress(heard.guest, now)

    # --- answers and deadlines -----------------------------------------------------------------

    def _complete(self, action_id: ActionId, result: ServerActionResult, now: Instant) -> None:
        course = self._course
        if self._messages.take_answer(action_id, result, now):
            return
        match course.state:
            case JudgingKey(action_id=waited, packets=packets) if waited == action_id:
                self._key_judged(packets, result, now)
            case Connecting(action_id=waited) if waited == action_id:
                self._setup.take_terms(course.state, result, now)
            case Adding(action_id=waited) if waited == action_id:
                self._setup.added(course.state, result, now)
            case InstallingFirst(action_id=waited) if waited == action_id and result == Done():
                self._setup.first_key_installed(now)
            case _:
                was_question = self._negotiation.complete(action_id, result, now)
                if isinstance(result, Failed) and not was_question:
                    course.finish(end.tls_error(f"the data plane failed: {result.reason}"))

    def _key_judged(self, packets: list[bytes], result: ServerActionResult, now: Instant) -> None:
        course = self._course
        if result != Done():
            reason = result.reason if isinstance(result, Failed) else "unexpected answer"
            course.outbox.warn(f"TLS CRYPT V2 VERIFY SCRIPT ERROR: {reason}")
            course.finish(end.tls_error("the client's tls-crypt-v2 key was refused"))
            return
        course.state = Negotiating()
        for packet in packets:
            self._take(packet, None, now)

    def _handle_deadline(self, name: Deadline, now: Instant) -> None:
        course = self._course
        match name:
            case Deadline.HANDSHAKE:
                if self._link.active is None:
                    course.finish(end.tls_error("the client said nothing"))
                else:
                    self._sessions.timed_out(self._link.active, now)
            case Deadline.NEWCOMER:
                self._sessions.newcomer_is_late(now)
            case Deadline.DECISION:
                course.outbox.warn("nobody decided about the client in time")
                course.put_off("nobody decided in time", now)
            case Deadline.RENEGOTIATE:
                self._sessions.renegotiate(now)
            case Deadline.SESSION:
                course.finish(end.terminate("session-timeout", "session-timeout is reached"))
            case Deadline.TOKEN:
                self._setup.push_token(now)
            case Deadline.FORGET:
                self._sessions.forget_previous()
            case Deadline.LEAVE:
                if isinstance(course.state, Leaving):
                    course.finish(course.state.ended)
            case _:
                assert_never(name)

    def _flush(self, now: Instant) -> None:
        """Sends what is to be sent; after the end once more, so that an alert still leaves."""
        self._link.flush(now)
        if self._course.is_over:
            self._link.close()
