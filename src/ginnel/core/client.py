"""The client machine: one connection to one address of one remote, from reset to end.

Responsible for the order of things: login, TLS, key exchange, push, tunnel, data keys,
renegotiation, control messages and the end. It does no I/O and has no clock: inputs are
``start``, ``receive``, ``handle_timeout``, ``complete``, ``handle_data_plane``, ``report_traffic``
and ``close``; outputs are drained with the ``poll_`` methods after every input. Each part has a
file: ``client_sessions`` (beginnings and failures), ``client_negotiation`` (inside TLS),
``client_messages``, ``client_setup`` (the tunnel), ``client_reports`` and ``client_leave``, over
the state they share in ``client_course``. Which remote is tried next is ``remotes``' business,
addresses and routes are the host layer's.
"""

from collections import Counter
from collections.abc import Callable

from ginnel.core import client_end as end
from ginnel.core import events
from ginnel.core.actions import Action, ActionResult, Credentials, Done, Failed
from ginnel.core.client_course import ClientCourse
from ginnel.core.client_exchange import introduce
from ginnel.core.client_leave import Farewell
from ginnel.core.client_link import ClientLink
from ginnel.core.client_messages import ClientMessages
from ginnel.core.client_mtu_test import MtuTest
from ginnel.core.client_negotiation import ClientNegotiation
from ginnel.core.client_outbox import Outbox
from ginnel.core.client_push import PushImport
from ginnel.core.client_reports import ClientReports
from ginnel.core.client_sessions import ClientSessions
from ginnel.core.client_setup import ClientSetup
from ginnel.core.client_state import (
    AskingLogin,
    Deadline,
    Idle,
    InstallingFirst,
    Leaving,
    Opening,
    Over,
)
from ginnel.core.client_talk import ClientTalk
from ginnel.core.errors import LocalMisuse
from ginnel.core.negotiate import DataCapabilities
from ginnel.core.notices import Advance, Ended, Notice, Outcome
from ginnel.core.peer_info import LocalFacts
from ginnel.core.session import PeerRestarted, SoftResetByPeer
from ginnel.core.timers import earliest
from ginnel.core.tls import TlsChannel
from ginnel.core.types import ActionId, Endpoint, Instant, Transmit
from ginnel.core.wrap.api import SivMaker, library_siv
from ginnel.hints import assert_never
from ginnel.options.model import ClientOptions, ConnectionProfile


class ClientMachine:
    """See the module. One object lives for one attempt; a retry is a new one."""

    def __init__(
        self,
        *,
        options: ClientOptions,
        profile: ConnectionProfile,
        remote: Endpoint,
        tls: Callable[[], TlsChannel],
        entropy: Callable[[int], bytes],
        unix_time: int,
        capabilities: DataCapabilities,
        facts: LocalFacts,
        credentials: Credentials | None = None,
        token: Credentials | None = None,
        siv: SivMaker = library_siv,
    ) -> None:
        """``unix_time`` is the wall clock in seconds at ``start``; the server is told ``facts``.

        ``token`` is what the machine before this one had in ``token``; ``siv`` makes the keys of
        control packets.
        """
        self._outbox = Outbox()
        self._link = ClientLink(
            options=options,
            profile=profile,
            remote=remote,
            tls=tls,
            entropy=entropy,
            outbox=self._outbox,
            siv=siv,
        )
        self._course = ClientCourse(
            options=options,
            profile=profile,
            link=self._link,
            outbox=self._outbox,
            unix_time=unix_time,
        )
        self._talk = ClientTalk(
            options=options,
            introduction=introduce(options, profile, capabilities, facts),
            entropy=entropy,
            login=credentials,
            token=token,
            outbox=self._outbox,
        )
        push = PushImport(options, capabilities, self._outbox)
        self._sessions = ClientSessions(self._course, push)
        mtu_test = MtuTest(self._course)
        self._mtu_test = mtu_test
        self._setup = ClientSetup(self._course, mtu_test)
        self._messages = ClientMessages(self._course, self._talk, push, self._setup)
        self._negotiation = ClientNegotiation(
            self._course,
            talk=self._talk,
            sessions=self._sessions,
            setup=self._setup,
            messages=self._messages,
            capabilities=capabilities,
        )
        self._reports = ClientReports(self._course, self._sessions, mtu_test)
        self._farewell = Farewell(self._link, self._outbox, self._course.timers)

    @property
    def drops(self) -> Counter[str]:
        """Packets thrown away, by reason."""
        return self._link.drops

    @property
    def token(self) -> Credentials | None:
        """The auth-token that the server pushed, for the next connection; None when it has none.

        It outlives a connection as in OpenVPN, so that a one-time password serves more than once.
        """
        return self._talk.token

    # --- inputs --------------------------------------------------------------------------------

    def start(self, now: Instant) -> None:
        """Begins: asks for the login if one is needed, else sends the first packet."""
        course = self._course
        if not isinstance(course.state, Idle):
            raise LocalMisuse("a machine starts once")
        course.start(now)
        if self._talk.needs_login:
            course.state = AskingLogin(self._talk.ask_login())
            return
        self._sessions.begin(now)
        self._flush(now)

    def receive(
        self, packet: bytes, source: Endpoint | None, now: Instant, *, more: bool = False
    ) -> None:
        """Takes a packet that is not data. Never raises for what the network sent.

        ``more``: another packet, or ``handle_timeout``, follows at once, so that what they lead to
        is sent after that: packets that arrive together are acknowledged once. The last words are
        sent at once.
        """
        received = self._link.receive(packet, source, now)
        if isinstance(received, PeerRestarted):
            self._sessions.handle_peer_restart(now)
        elif received is not None:
            self._sessions.note_alive(now)
            if isinstance(received, SoftResetByPeer):
                self._sessions.follow_soft_reset(now)
            self._negotiation.progress(now)
        if not more or self._course.is_over:
            self._flush(now)

    def handle_timeout(self, now: Instant) -> None:
        """Does what is due; harmless when nothing is."""
        course = self._course
        for name in course.timers.take_due(now):
            if not course.is_over:
                self._handle_deadline(name, now)
        tunnel = course.tunnel
        if tunnel is not None and not course.is_over and not tunnel.keys.handle_timeout(now):
            course.finish(end.tls_error(course.options, "the last data key expired"))
        self._flush(now)

    def complete(self, action_id: ActionId, result: ActionResult, now: Instant) -> None:
        """Answers an action. An answer that nobody waits for any more is ignored."""
        if not self._course.is_over:
            self._complete(action_id, result, now)
            self._flush(now)

    def handle_data_plane(self, event: events.DataPlaneEvent, now: Instant) -> None:
        """Takes a report of the data plane or of the link."""
        if not self._course.is_over:
            self._reports.handle(event, now)
            self._flush(now)

    def report_traffic(self, total_bytes: int, total_packets: int, now: Instant) -> None:
        """Takes the counters of the tun side since the tunnel opened, both directions together."""
        if not self._course.is_over:
            self._reports.count_traffic(total_bytes, total_packets, now)
            self._flush(now)

    def close(self, reason: str, now: Instant, *, outcome: Outcome = Outcome.TERMINATE) -> None:
        """Ends the connection. On TERMINATE the server is told where that is configured.

        ``reason`` becomes the signal text when nobody is told.
        """
        course = self._course
        if isinstance(course.state, Over | Leaving):
            return
        leaving = None
        if outcome is Outcome.TERMINATE:
            leaving = self._farewell.begin(course.tunnel, course.profile, now)
        if leaving is None:
            course.finish(
                Ended(outcome=outcome, signal_text=reason, advance=Advance.SAME, explanation="")
            )
        else:
            course.state = leaving
        self._flush(now)

    def forget_login(self) -> None:
        """Drops the password; the next negotiation asks for it, if there is no token."""
        self._talk.forget_login()

    def respond(self, response: str, now: Instant) -> bool:
        """Answers a question of the server while it decides about the login (CR_TEXT).

        ``response`` is base64. False when there is nothing to send it on now.
        """
        key = None if self._course.is_over else self._link.say(f"CR_RESPONSE,{response}", now)
        self._flush(now)
        return key is not None

    # --- outputs -------------------------------------------------------------------------------

    def poll_transmit(self) -> Transmit | None:
        """The next packet for the link."""
        return self._outbox.transmits.popleft() if self._outbox.transmits else None

    def poll_notice(self) -> Notice | None:
        """The next thing that happened."""
        return self._outbox.notices.popleft() if self._outbox.notices else None

    def poll_action(self) -> Action | None:
        """The next thing to do for this machine."""
        return self._outbox.actions.popleft() if self._outbox.actions else None

    def poll_timeout(self) -> Instant | None:
        """When to call ``handle_timeout``; None when there is nothing to wait for."""
        course = self._course
        keys = None
        if course.tunnel is not None and not course.is_over:
            keys = course.tunnel.keys.next_timeout()
        return earliest(self._link.next_timeout(), course.timers.next(), keys)

    # --- answers and deadlines -----------------------------------------------------------------

    def _complete(self, action_id: ActionId, result: ActionResult, now: Instant) -> None:
        course = self._course
        if self._setup.take_update(action_id, result):
            return
        question = self._outbox.take_question(action_id)
        match course.state:
            case AskingLogin(action_id=waited) if waited == action_id:
                if not course.finish_if(self._talk.take_login(result)):
                    self._sessions.begin(now)
            case Opening(action_id=waited) if waited == action_id:
                self._setup.opened(course.state, result, now)
            case InstallingFirst(action_id=waited) if waited == action_id and result == Done():
                self._setup.first_key_installed(now)
            case _:
                self._negotiation.complete(action_id, result, now)
                # A late "no" to a question of an earlier session means nothing.
                if isinstance(result, Failed) and not question:
                    reason = f"the data plane failed: {result.reason}"
                    course.finish(end.restart("tls-error", reason))

    def _handle_deadline(self, name: Deadline, now: Instant) -> None:
        course = self._course
        match name:
            case Deadline.CONNECT:
                course.finish(self._sessions.unanswered())
            case Deadline.SILENCE:
                course.finish(self._sessions.silent())
            case Deadline.BEGIN:
                self._sessions.begin(now)
            case Deadline.HANDSHAKE:
                self._sessions.handshake_timed_out(now)
            case Deadline.PUSH_REQUEST:
                self._messages.request_push(now)
            case Deadline.PUSH_GIVE_UP:
                sentence = "No reply from server to push requests"
                course.finish(end.restart("no-push-reply", sentence))
            case Deadline.RENEGOTIATE:
                self._sessions.renegotiate(f"sec={course.options.tls.reneg_sec}", now)
            case Deadline.SESSION:
                course.finish(end.terminate("session-timeout", "session-timeout is reached"))
            case Deadline.MTU_TEST:
                self._mtu_test.step(now)
            case Deadline.LEAVE:
                self._leave_step(now)
            case _:
                assert_never(name)

    # --- the end -------------------------------------------------------------------------------

    def _leave_step(self, now: Instant) -> None:
        course = self._course
        if not isinstance(course.state, Leaving):
            return
        going_on = self._farewell.go_on(course.state, course.tunnel, now)
        if going_on is None:
            course.finish(end.terminate("exit-with-notification", ""))
        else:
            course.state = going_on

    def _flush(self, now: Instant) -> None:
        """Sends what is to be sent; after the end once more, so that an alert still leaves."""
        self._link.flush(now)
        state = self._course.state
        key = state.said_on if isinstance(state, Leaving) else None
        if key is not None and key.all_acknowledged:
            self._leave_step(now)
        if self._course.is_over:
            self._link.close()
