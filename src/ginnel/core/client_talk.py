"""The conversation of a client in a fresh TLS session, up to its key method message.

Responsible for asking the tls-verify hook and for the login, and for sending what introduces us.
It answers with an ``Ended`` when the connection cannot go on; doing that is ``client``'s business.
"""

from collections.abc import Callable

from ginnel.core import client_end as end
from ginnel.core.actions import (
    ActionResult,
    AskCredentials,
    Credentials,
    Done,
    Failed,
    VerifyCertificates,
)
from ginnel.core.client_exchange import Introduction
from ginnel.core.client_outbox import Outbox
from ginnel.core.negotiation import AwaitHook, AwaitLogin, AwaitPeer, Negotiation
from ginnel.core.notices import CertificateRejected, ControlChannelReady, Ended, LoginSent
from ginnel.core.types import ActionId, Instant
from ginnel.options.model import ClientOptions


class ClientTalk:
    """Keeps the login over the negotiations of one connection."""

    def __init__(
        self,
        *,
        options: ClientOptions,
        introduction: Introduction,
        entropy: Callable[[int], bytes],
        login: Credentials | None,
        token: Credentials | None = None,
        outbox: Outbox,
    ) -> None:
        self._options = options
        self._introduction = introduction
        self._entropy = entropy
        self._login = login
        self._username = "" if login is None else login.username
        self._token = token
        self._outbox = outbox
        self.common_name = ""
        """Of the peer's certificate, once a handshake was finished."""

    @property
    def needs_login(self) -> bool:
        """Whether user name and password are wanted and not known."""
        known = self._token or self._login
        return self._options.login.auth_user_pass and known is None

    @property
    def token(self) -> Credentials | None:
        """What the server pushed to stand in for the password."""
        return self._token

    def drop_token(self) -> None:
        """The server refused it, or wants the password again."""
        self._token = None

    def forget_login(self) -> None:
        """Nobody wants the password to be remembered: the next key asks for it again."""
        self._login = None

    def ask_login(self) -> ActionId:
        """Asks for user name and password."""
        return self._outbox.ask(lambda action_id: AskCredentials(id=action_id))

    def take_login(self, result: ActionResult) -> Ended | None:
        """Takes the answer to ``ask_login``; Ended when there is none."""
        if isinstance(result, Credentials):
            self._login = result
            self._username = result.username
            return None
        reason = failure_of(result)
        return end.terminate(
            "auth-failure", f"no user name and password: {reason}", hard_error=True
        )

    def take_token(self, options: ClientOptions) -> None:
        """A pushed token takes the password's place at the next login."""
        login = options.login
        if login.auth_token is None or login.auth_token is self._options.login.auth_token:
            return  # not pushed: at most the configuration's own
        username = login.auth_token_user or self._username
        self._token = Credentials(username=username, password=login.auth_token)

    def tls_established(self, negotiation: Negotiation, now: Instant) -> Ended | None:
        """The TLS handshake is done: on to the hook, or to the login."""
        peer = negotiation.key.tls.peer()
        self.common_name = peer.common_name
        self._outbox.tell(
            ControlChannelReady(
                tls_version=peer.tls_version,
                cipher=peer.cipher,
                peer_certificate=peer.certificate,
            )
        )
        tls = self._options.tls
        if tls.tls_verify is None and tls.tls_export_cert is None:
            return self.log_in(negotiation, now)
        negotiation.phase = AwaitHook(
            self._outbox.ask(lambda action_id: VerifyCertificates(id=action_id, chain=peer.chain))
        )
        return None

    def hook_allows(self, result: ActionResult) -> bool:
        """Reads the hook's answer; a refusal is told."""
        if isinstance(result, Done):
            return True
        self._outbox.tell(
            CertificateRejected(
                certificate=None, error="tls-verify script failed", hint=failure_of(result)
            )
        )
        return False

    def log_in(self, negotiation: Negotiation, now: Instant) -> Ended | None:
        """Sends our key method message, or asks for the login first."""
        if self.needs_login:
            negotiation.phase = AwaitLogin(self.ask_login())
            return None
        try:
            source, message = self._introduction.message(self._entropy, self._token or self._login)
        except ValueError:
            return end.terminate(
                "auth-failure",
                "user name or password is too long, or holds a character that cannot be sent",
                hard_error=True,
            )
        negotiation.phase = AwaitPeer(source)
        negotiation.key.write(message, now)
        message[:] = bytes(len(message))
        if self._options.login.auth_user_pass or self._token is not None:
            self._outbox.tell(LoginSent())
        if self._options.login.auth_nocache:
            self._login = None
        return None


def failure_of(result: ActionResult) -> str:
    """Why an action did not succeed."""
    return result.reason if isinstance(result, Failed) else "unexpected answer"
