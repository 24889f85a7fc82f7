"""Whether a client is let in: by its certificate, by a token of ours, or by what others judge.

Responsible for whom to ask, for the tokens of one client, and for a client to stay who it is over
all its sessions and negotiations. Judging passwords is the shell's business, the bytes of a token
are ``auth_token``'s.
"""

from hashlib import sha256

from ginnel.core.actions import Credentials
from ginnel.core.auth_token import (
    EXPIRED_REASON,
    SESSION_ID_LENGTH,
    TokenIssuer,
    TokenSession,
    is_token,
)
from ginnel.core.key_method import KeyMethodMessage
from ginnel.core.messages import clean_text
from ginnel.core.server_actions import Authenticate, ClientFacts, TokenState
from ginnel.core.server_course import ServerCourse
from ginnel.core.server_push import PushToken
from ginnel.core.tls import TlsPeer
from ginnel.core.types import ActionId, Instant
from ginnel.dataclass import dataclass, replace


@dataclass(frozen=True, slots=True)
class LetIn:
    """Nobody needs to be asked: the client may in, under this user name."""

    username: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody judges the login."""

    action_id: ActionId


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """The client may not in; ``reason`` is told to it, ``warning`` to the log."""

    reason: str
    warning: str


Judgement = LetIn | Asked | TurnedAway

_EXPIRED = (TokenState.EXPIRED, TokenState.EXPIRED_EMPTY_USER)


class ServerLogin:
    """Knows how one client logged in."""

    def __init__(self, course: ServerCourse, tokens: TokenIssuer | None) -> None:
        self._course = course
        self._tokens = tokens
        self._token_session: TokenSession | None = None
        self._certificate: bytes | None = None
        """Digest of the certificate that the client was first let in with; empty without one."""
        self._sent_name: str | None = None
        """The name that the client sent with its first password."""

    @property
    def renewal(self) -> int:
        """Seconds after which the client gets a fresh token; 0 when it has none."""
        return 0 if self._tokens is None or self._token_session is None else self._tokens.renewal

    def judge(
        self, facts: ClientFacts, peer: TlsPeer, message: KeyMethodMessage, now: Instant
    ) -> Judgement:
        """Judges what a client sent, or asks somebody; ``facts`` are what it says it is."""
        access = self._course.options.access
        if not access.asks_password:
            return LetIn("")  # a token would stand in for a password that nobody asks for
        if not (message.username and message.password) and not access.auth_user_pass_optional:
            return TurnedAway("", "TLS Error: Auth Username/Password was not provided by peer")
        if self._tokens is None:
            return self._ask(facts, peer, message, "", None)
        return self._judge_token(self._tokens, facts, peer, message, now)

    def settle(self, facts: ClientFacts, peer: TlsPeer, username: str) -> str | None:
        """The client is let in. Why it may not be after all, for the log; None when it may.

        ``facts`` are who it is; nobody becomes another client at a later negotiation.
        """
        digest = sha256(peer.chain[-1].der).digest() if peer.chain else b""
        named = self._named(facts, peer, username)
        if self._certificate is None:
            self._certificate = digest
            self._course.facts = named
            return None
        if named.common_name != facts.common_name:
            return (
                f"TLS Auth Error: TLS object CN attempted to change from '{facts.common_name}' to "
                f"'{named.common_name}' -- tunnel disabled"
            )
        if named.username != facts.username:
            return (
                f"TLS Auth Error: username attempted to change from '{facts.username}' to "
                f"'{named.username}' -- tunnel disabled"
            )
        if digest != self._certificate:
            return "TLS Auth Error: TLS object certificate attempted to change -- tunnel disabled"
        self._course.facts = named
        return None

    def rename(self, username: str) -> None:
        """Tokens are for another name from now on (``override-username``)."""
        self._course.facts = replace(self._course.facts, username=username)

    def trusted_name(self, username: str) -> str:
        """The name that a client sent, or none if its token does not vouch for names."""
        session = self._token_session
        return "" if session is not None and session.nobody else username

    def fresh_token(self, now: Instant, override: str | None) -> PushToken | None:
        """A token for the client, if it gets any."""
        if self._tokens is None or self._token_session is None:
            return None
        username = self._course.facts.username
        token = self._tokens.issue(username, self._token_session, self._course.unix_time(now))
        if override is None and self._sent_name not in (None, username):
            override = username  # whoever judged renamed the client: the token is of the new name
        return PushToken(token=token, username=override)

    def _judge_token(
        self,
        tokens: TokenIssuer,
        facts: ClientFacts,
        peer: TlsPeer,
        message: KeyMethodMessage,
        now: Instant,
    ) -> Judgement:
        unix_time = self._course.unix_time(now)
        state = TokenState.INITIAL
        if is_token(message.password):
            judged = tokens.judge(
                message.username, message.password, unix_time, self._token_session
            )
            state = judged.state
            if judged.session is not None and state not in _EXPIRED:
                self._token_session = judged.session
            if not tokens.is_external:
                shown = clean_text(message.username)
                if judged.is_good:
                    self._course.outbox.warn(
                        f"TLS: Username/auth-token authentication succeeded for username '{shown}'"
                    )
                    return LetIn(message.username)
                return TurnedAway(
                    EXPIRED_REASON if state in _EXPIRED else "",
                    f"TLS: Username/auth-token authentication failed for username '{shown}': "
                    f"{judged.problem or 'the user name is missing'}",
                )
        if self._token_session is None:
            self._token_session = tokens.begin(self._course.entropy(SESSION_ID_LENGTH), unix_time)
        return self._ask(facts, peer, message, self._token_session.text, state)

    def _ask(
        self,
        facts: ClientFacts,
        peer: TlsPeer,
        message: KeyMethodMessage,
        session_id: str,
        state: TokenState | None,
    ) -> Asked:
        username = self.trusted_name(message.username)
        facts = self._named(facts, peer, username)
        # As long as it was not let in: a second session beside a login that somebody still judges
        # must not pass for the renewal of one that was good.
        is_first = self._certificate is None
        if is_first:
            self._sent_name = username
            facts = replace(facts, common_name=peer.common_name)  # no other name is proved yet
        return Asked(
            self._course.outbox.ask(
                lambda action_id: Authenticate(
                    id=action_id,
                    client=facts,
                    login=Credentials(username=username, password=message.password),
                    is_first=is_first,
                    session_id=session_id,
                    session_state=state,
                )
            )
        )

    def _named(self, facts: ClientFacts, peer: TlsPeer, username: str) -> ClientFacts:
        access = self._course.options.access
        common_name = peer.common_name
        if access.username_as_common_name and username:
            common_name = username
        return replace(facts, common_name=common_name, username=username, chain=peer.chain)
