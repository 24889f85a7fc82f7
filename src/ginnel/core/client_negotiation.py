"""How far a client's negotiations are: TLS, hook, login, key exchange, then messages.

Responsible for moving the newest negotiation on and for reading what came inside TLS. When one
begins or fails is ``client_sessions``' business, what we say first ``client_talk``'s.
"""

from ginnel.core import client_end as end
from ginnel.core import messages as said
from ginnel.core.actions import ActionResult, Failed, Signature, SignData
from ginnel.core.client_course import ClientCourse
from ginnel.core.client_exchange import peer_variables
from ginnel.core.client_messages import ClientMessages
from ginnel.core.client_sessions import ClientSessions
from ginnel.core.client_setup import ClientSetup
from ginnel.core.client_state import Deadline
from ginnel.core.client_talk import ClientTalk
from ginnel.core.errors import Malformed, PeerIncompatible
from ginnel.core.key_method import KeyMethodMessage
from ginnel.core.key_session import Broken, Established
from ginnel.core.negotiate import DataCapabilities, agree_as_peers
from ginnel.core.negotiation import AwaitHook, AwaitLogin, AwaitPeer, AwaitTls, Negotiation
from ginnel.core.notices import PeerConnected
from ginnel.core.options_string import (
    client_terms,
    compare,
    expected_from_peer,
    parse_options_string,
    peer_cipher,
)
from ginnel.core.tls import TlsFailure
from ginnel.core.types import ActionId, Instant, Side


class ClientNegotiation:
    """Carries the conversation inside TLS through its phases."""

    def __init__(
        self,
        course: ClientCourse,
        *,
        talk: ClientTalk,
        sessions: ClientSessions,
        setup: ClientSetup,
        messages: ClientMessages,
        capabilities: DataCapabilities,
    ) -> None:
        self._course = course
        self._talk = talk
        self._sessions = sessions
        self._setup = setup
        self._messages = messages
        self._capabilities = capabilities

    def progress(self, now: Instant) -> None:
        """Moves the newest negotiation on as far as it goes, and reads what came in both."""
        course = self._course
        current = course.link.current
        for verdict in current.key.tls.take_verdicts():
            course.outbox.tell(verdict)
        request = current.key.tls.take_request()
        if request is not None:
            current.signing = course.outbox.ask(
                lambda action_id: SignData(id=action_id, request=request)
            )
        if isinstance(current.key.state, Established) and isinstance(current.phase, AwaitTls):
            if course.tunnel is not None:
                course.tunnel.keys.listen_ahead(current)
            course.finish_if(self._talk.tls_established(current, now))
        for negotiation in course.link.negotiations:
            # What is read may end the connection, or the session that it was read in.
            if not course.is_over and course.link.is_newest(current):
                self._read(negotiation, now)
        broken = current.key.state
        over = course.is_over or not course.link.is_newest(current)
        if isinstance(broken, Broken) and not over:
            self._sessions.negotiation_failed(broken.failure, now)

    def complete(self, action_id: ActionId, result: ActionResult, now: Instant) -> None:
        """Takes the answer to a question of the newest negotiation, if that waits for it.

        Any other answer is ignored.
        """
        course = self._course
        current = course.link.current if course.link.is_open else None
        phase = None if current is None else current.phase
        if current is not None and current.signing == action_id:
            self._signed(current, result, now)
        elif current is not None and phase == AwaitHook(action_id):
            if not self._talk.hook_allows(result):
                refused = TlsFailure("certificate verify failed", "the tls-verify hook refused it")
                self._sessions.negotiation_failed(refused, now)
            elif not course.finish_if(self._talk.log_in(current, now)):
                self.progress(now)
        elif current is not None and phase == AwaitLogin(action_id):
            ended = self._talk.take_login(result) or self._talk.log_in(current, now)
            if not course.finish_if(ended):
                self.progress(now)

    def _signed(self, negotiation: Negotiation, result: ActionResult, now: Instant) -> None:
        """Goes on with the handshake; without a signature it fails in the library's way."""
        negotiation.signing = None
        if isinstance(result, Failed):
            self._course.outbox.warn(f"no signature with the private key: {result.reason}")
        signature = result.signature if isinstance(result, Signature) else None
        negotiation.key.sign(signature, now)
        self.progress(now)

    def _read(self, negotiation: Negotiation, now: Instant) -> None:
        """Reads the records of a negotiation; early ones wait in the key session."""
        if not negotiation.is_open and not isinstance(negotiation.phase, AwaitPeer):
            return
        for record in negotiation.key.take_records():
            if self._course.is_over:
                return
            try:
                if isinstance(negotiation.phase, AwaitPeer):
                    self._key_exchanged(negotiation, negotiation.accept(record), now)
                    continue
                texts = negotiation.splitter.feed(record)
            except Malformed as bad:
                nonsense = TlsFailure(f"nonsense inside TLS ({bad.reason})")
                self._sessions.negotiation_failed(nonsense, now)
                return
            for text in texts:
                if not self._course.is_over:
                    self._messages.handle(said.parse_message(text), now)

    def _key_exchanged(
        self, negotiation: Negotiation, message: KeyMethodMessage, now: Instant
    ) -> None:
        """Both key method messages are known: on to the push, or to the new data key."""
        course = self._course
        if negotiation is not course.link.current:
            return
        course.timers.cancel(Deadline.HANDSHAKE)
        if course.tunnel is not None and negotiation.key.key_id != 0:
            self._setup.settle(negotiation, course.tunnel, now)
            return
        self._read_peer_options(message)
        if course.tunnel is None:
            course.outbox.tell(
                PeerConnected(common_name=self._talk.common_name, remote=course.link.remote)
            )
        if not course.options.pull:
            self._agree_without_push(negotiation, message, now)
            return
        if course.tunnel is not None:
            # A server that still has our instance moves to the new session's key at once, under
            # the terms it knows, and answers push requests only every 30 s (seen with 2.6).
            self._setup.settle(negotiation, course.tunnel, now)
        self._messages.await_push(now)

    def _read_peer_options(self, message: KeyMethodMessage) -> None:
        course = self._course
        items = parse_options_string(message.options_string)
        self._messages.peer_cipher = peer_cipher(items)
        self._messages.peer_auth = items.get("auth")
        expected = expected_from_peer(client_terms(course.options, course.profile))
        for mismatch in compare(expected, items):
            if mismatch.serious:
                course.outbox.warn(f"WARNING: {mismatch}")

    def _agree_without_push(
        self, negotiation: Negotiation, message: KeyMethodMessage, now: Instant
    ) -> None:
        options = self._course.options
        try:
            agreement = agree_as_peers(
                options.data,
                peer_info=peer_variables(message),
                capabilities=self._capabilities,
                derive_peer_id=negotiation.exported_peer_id,
                we_are_server=negotiation.side is Side.SERVER,
            )
        except PeerIncompatible as mismatch:
            self._course.finish(end.tls_error(options, mismatch.reason))
            return
        self._setup.open(options, agreement, (), now)
