"""How far a client's negotiations are: TLS, hook, its key exchange, judgement, ours.

Responsible for moving the newest negotiation of each session on, and for letting the client in or
not. When one begins or fails is ``server_sessions``' business, what the client gets
``server_setup``'s, what it says then ``server_messages``'.
"""

from ginnel.core import messages as said
from ginnel.core.actions import Done, Failed, Signature, SignData, VerifyCertificates
from ginnel.core.errors import Malformed
from ginnel.core.key_method import KeyMethodMessage, decode_key_method
from ginnel.core.key_session import Broken, Established
from ginnel.core.negotiation import (
    AwaitClient,
    AwaitHook,
    AwaitTls,
    Exchanged,
    Judging,
    Negotiation,
)
from ginnel.core.notices import CertificateRejected, ControlChannelReady, PeerConnected
from ginnel.core.options_string import OccTerms, parse_options_string
from ginnel.core.peer_info import parse_peer_info
from ginnel.core.server_actions import Admitted, Refused, ServerActionResult
from ginnel.core.server_course import ServerCourse
from ginnel.core.server_exchange import answer, mismatches, server_terms
from ginnel.core.server_link import Guest
from ginnel.core.server_login import Asked, LetIn, ServerLogin, TurnedAway
from ginnel.core.server_messages import ServerMessages
from ginnel.core.server_notices import PeerInfoReceived
from ginnel.core.server_sessions import ServerSessions
from ginnel.core.server_setup import ServerSetup
from ginnel.core.server_state import Deadline, Negotiating
from ginnel.core.tls import TlsFailure, TlsPeer
from ginnel.core.types import ActionId, Instant, Side
from ginnel.dataclass import replace


class ServerNegotiation:
    """Carries the conversation inside TLS through its phases."""

    def __init__(
        self,
        course: ServerCourse,
        *,
        login: ServerLogin,
        sessions: ServerSessions,
        setup: ServerSetup,
        messages: ServerMessages,
    ) -> None:
        self._course = course
        self._login = login
        self._sessions = sessions
        self._setup = setup
        self._messages = messages

    def progress(self, guest: Guest, now: Instant) -> None:
        """Moves the session's newest negotiation on as far as it goes, and reads what came."""
        course = self._course
        current = guest.talk.current
        for verdict in current.key.tls.take_verdicts():
            course.outbox.tell(verdict)
        request = current.key.tls.take_request()
        if request is not None:
            current.signing = course.outbox.ask(
                lambda action_id: SignData(id=action_id, request=request)
            )
        if isinstance(current.key.state, Established) and isinstance(current.phase, AwaitTls):
            self._tls_established(guest, current)
        for negotiation in guest.talk.negotiations:
            # What is read may end the client, or the session that it was read in.
            if not course.is_ending and guest in course.link.guests and not guest.is_refused:
                self._read(guest, negotiation, now)
        broken = current.key.state
        if isinstance(broken, Broken) and not course.is_ending and guest in course.link.guests:
            self._sessions.failed(guest, broken.failure, now)

    def complete(self, action_id: ActionId, result: ServerActionResult, now: Instant) -> bool:
        """Takes the answer to a question about a negotiation; whether it was one, even if late."""
        for guest in self._course.link.guests:
            current = guest.talk.current
            if guest.is_refused:
                continue
            if current.signing == action_id:
                self._signed(guest, current, result, now)
            elif current.phase == AwaitHook(action_id):
                self._hook_answered(guest, current, result, now)
            elif isinstance(current.phase, Judging) and current.phase.action_id == action_id:
                self._judged(guest, current, current.phase, result, now)
        return self._course.outbox.take_question(action_id)

    # --- certificates --------------------------------------------------------------------------

    def _tls_established(self, guest: Guest, negotiation: Negotiation) -> None:
        course = self._course
        peer = negotiation.key.tls.peer()
        guest.peer = peer
        tls = course.options.tls
        if not peer.chain or (tls.tls_verify is None and tls.tls_export_cert is None):
            negotiation.phase = AwaitClient()
            return
        negotiation.phase = AwaitHook(
            course.outbox.ask(lambda new_id: VerifyCertificates(id=new_id, chain=peer.chain))
        )

    def _hook_answered(
        self, guest: Guest, negotiation: Negotiation, result: ServerActionResult, now: Instant
    ) -> None:
        if isinstance(result, Done):
            negotiation.phase = AwaitClient()
            self.progress(guest, now)
            return
        hint = result.reason if isinstance(result, Failed) else "unexpected answer"
        self._course.outbox.tell(
            CertificateRejected(certificate=None, error="tls-verify script failed", hint=hint)
        )
        refused = TlsFailure("certificate verify failed", "the tls-verify hook refused it")
        self._sessions.failed(guest, refused, now)

    def _signed(
        self, guest: Guest, negotiation: Negotiation, result: ServerActionResult, now: Instant
    ) -> None:
        """Goes on with the handshake; without a signature it fails in the library's way."""
        negotiation.signing = None
        if isinstance(result, Failed):
            self._course.outbox.warn(f"no signature with the private key: {result.reason}")
        signature = result.signature if isinstance(result, Signature) else None
        negotiation.key.sign(signature, now)
        self.progress(guest, now)

    # --- what the client says ------------------------------------------------------------------

    def _read(self, guest: Guest, negotiation: Negotiation, now: Instant) -> None:
        """Reads the records of a negotiation; early ones wait in the key session."""
        if not negotiation.is_open and not isinstance(negotiation.phase, AwaitClient):
            return
        for record in negotiation.key.take_records():
            if self._course.is_ending or guest.is_refused:
                return
            try:
                if isinstance(negotiation.phase, AwaitClient):
                    message = decode_key_method(record, Side.CLIENT)
                    # Whoever judges and whoever is told later must see one and the same name.
                    username = said.without_controls(message.username)
                    message = replace(message, username=username)
                    self._key_method_came(guest, negotiation, message, now)
                    continue
                texts = negotiation.splitter.feed(record)
            except Malformed as bad:
                nonsense = TlsFailure(f"nonsense inside TLS ({bad.reason})")
                self._sessions.failed(guest, nonsense, now)
                return
            for text in texts:
                if not self._course.is_ending:
                    self._messages.handle(guest, said.parse_message(text), now)

    def _key_method_came(
        self, guest: Guest, negotiation: Negotiation, message: KeyMethodMessage, now: Instant
    ) -> None:
        """Answers the client's key method message, and has it judged.

        Our message does not wait for the judgement, so that the client knows that it is heard; the
        data key and the push do. Without a delay the key is in place before our message leaves, for
        actions come before packets.
        """
        course = self._course
        peer = guest.peer
        if peer is None or not guest.talk.is_newest(negotiation):
            return
        self._sessions.exchanged(guest)
        self._take_in(guest, negotiation, message)
        terms = server_terms(course.options, course.facts.transport, guest.items)
        is_consistent = self._compare(terms, guest)
        course.outbox.tell(
            ControlChannelReady(
                tls_version=peer.tls_version,
                cipher=peer.cipher,
                peer_certificate=peer.certificate,
            )
        )
        source, reply = answer(terms, course.entropy)
        judgement = self._login.judge(course.facts_of(guest), peer, message, now)
        if not is_consistent:
            judgement = TurnedAway(
                "", "Option inconsistency warnings triggering disconnect due to --opt-verify"
            )
        negotiation.phase = Exchanged(source, message)
        negotiation.key.write(reply, now)
        match judgement:
            case LetIn(username=username):
                self._let_in(guest, peer, username, now)
            case Asked(action_id=action_id):
                negotiation.phase = Judging(source, message, action_id)
                course.timers.arm(self._deadline(guest), now + self._setup.decision_time())
            case TurnedAway(reason=reason, warning=warning):
                course.outbox.warn(warning)
                self._sessions.turn_away(guest, reason, now, by_login=is_consistent)

    def _take_in(self, guest: Guest, negotiation: Negotiation, message: KeyMethodMessage) -> None:
        """Notes what the client says of itself."""
        course = self._course
        guest.items = parse_options_string(message.options_string)
        if negotiation.key.key_id == 0:
            guest.peer_info = parse_peer_info(message.peer_info)
            course.outbox.tell(PeerInfoReceived(variables=tuple(guest.peer_info.items())))
        course.introduced(guest)

    def _compare(self, terms: OccTerms, guest: Guest) -> bool:
        """Tells of other options than ours; False when ``opt-verify`` does not let them pass."""
        course = self._course
        found = mismatches(terms, guest.items)
        for mismatch in found:
            if mismatch.serious or course.options.opt_verify:
                course.outbox.warn(f"WARNING: {mismatch}")
        return not (found and course.options.opt_verify)

    # --- the judgement -------------------------------------------------------------------------

    def _deadline(self, guest: Guest) -> Deadline:
        return Deadline.DECISION if guest is self._course.link.active else Deadline.NEWCOMER

    def _judged(
        self,
        guest: Guest,
        negotiation: Negotiation,
        judging: Judging,
        result: ServerActionResult,
        now: Instant,
    ) -> None:
        course = self._course
        course.timers.cancel(self._deadline(guest))
        negotiation.phase = Exchanged(judging.source, judging.peer)
        if isinstance(result, Admitted) and guest.peer is not None:
            username = result.username or self._login.trusted_name(judging.peer.username)
            self._let_in(guest, guest.peer, username, now)
            return
        if isinstance(result, Failed):
            course.outbox.warn(f"the login could not be judged: {result.reason}")
        reason = result.reason if isinstance(result, Refused) else ""
        self._sessions.turn_away(guest, reason, now, by_login=True)

    def _let_in(self, guest: Guest, peer: TlsPeer, username: str, now: Instant) -> None:
        """The client may in: for the first time, over another session, or still.

        But not as somebody else than before.
        """
        course = self._course
        is_other = guest is not course.link.active
        problem = self._login.settle(course.facts_of(guest), peer, username)
        if problem is not None:
            course.outbox.warn(problem)
            self._sessions.turn_away(guest, "", now)
            return
        guest.peer = None
        if guest.talk.current.key.key_id == 0:
            course.outbox.tell(
                PeerConnected(common_name=course.facts.common_name, remote=course.link.remote)
            )
        if is_other:
            self._sessions.promote(guest)
        if isinstance(course.state, Negotiating):
            self._setup.connect(guest, now)
        elif course.tunnel is not None and guest.talk.current.key.key_id != 0:
            self._setup.settle(guest, course.tunnel, now)
            self._setup.push_token(now)
        else:
            self._setup.go_on(guest, now)
