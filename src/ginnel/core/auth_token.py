"""Tokens that stand in for passwords (``auth-gen-token``): issues and judges them. Pure.

A token is ``SESS_ID_AT_`` and base64 of session id, initial time, time of issue and an HMAC-SHA256
over the user name and these (protocol-facts 20). It needs no memory on the server: whoever has the
key can judge it, also after a restart with ``auth-gen-token-secret``. Not responsible for when one
is sent, or for what becomes of a client whose token is worthless.
"""

import hmac
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from hashlib import sha256

from ginnel.core.key_files import SERVER_KEY_LENGTH, parse_auth_token_key
from ginnel.core.server_actions import TokenState
from ginnel.dataclass import dataclass
from ginnel.options.server_model import TokenOptions
from ginnel.options.values import Secret

PREFIX = b"SESS_ID_AT_"
SESSION_ID_LENGTH = 12
"""Random bytes that name the session of a user over reconnects."""
EXPIRED_REASON = "SESSION: token expired"
"""Told to a client behind ``AUTH_FAILED,``: it shall ask for the password, and not give up."""

_TIME_LENGTH = 8
_STAMPS_LENGTH = SESSION_ID_LENGTH + 2 * _TIME_LENGTH
_BODY_LENGTH = _STAMPS_LENGTH + sha256().digest_size
_TEXT_LENGTH = len(PREFIX) + _BODY_LENGTH // 3 * 4
_KEY_SLICE = slice(64, 96)
"""Of the key file: as many bytes as SHA256 gives, from the hmac slice of the first key."""
_TIME_LIMIT = 1 << 63


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSession:
    """What all tokens of one session have in common: they are told apart by ``issued`` only."""

    session_id: bytes
    began: int
    """Unix time of the first token: ``lifetime`` counts from here."""
    nobody: bool = False
    """Tokens are made for the empty user name: the name that comes along cannot be trusted."""

    @property
    def text(self) -> str:
        """The value of ``session_id`` in scripts."""
        return b64encode(self.session_id).decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedToken:
    """What a token is worth. ``session`` is None when it is not one of ours."""

    state: TokenState
    session: TokenSession | None = None
    problem: str = ""
    """For the log, when it is not accepted as it stands."""

    @property
    def is_good(self) -> bool:
        """Whether it lets its user in without asking anybody."""
        return self.state is TokenState.AUTHENTICATED

    @property
    def username_is_void(self) -> bool:
        """Whether the name that came with it must be taken for the empty one."""
        return self.session is not None and self.session.nobody


def is_token(password: Secret) -> bool:
    """Whether a password claims to be a token."""
    with password.view() as view:
        return view[: len(PREFIX)] == PREFIX


class TokenIssuer:
    """Makes and judges the tokens of one server process.

    ``process_key`` (128 random bytes) is used when no ``auth-gen-token-secret`` was given.
    Raises ``ConfigError`` for a secret that is not one.
    """

    def __init__(
        self, options: TokenOptions, *, reneg_sec: int, hand_window: int, process_key: Secret
    ) -> None:
        material = process_key if options.secret is None else parse_auth_token_key(options.secret)
        if len(material) != SERVER_KEY_LENGTH:
            raise ValueError(f"a token key has {SERVER_KEY_LENGTH} bytes")
        self._key = Secret(material.reveal()[_KEY_SLICE])
        self.is_external = options.external
        """``external-auth``: the authenticator judges logins with tokens as well."""
        self.lifetime = options.lifetime
        """Seconds since the session began; 0 is without end."""
        # A token must outlive the negotiation that brings the next one.
        self.renewal = max(options.renewal or reneg_sec, 2 * hand_window)
        """Seconds after which a connected client gets a new one; a token lasts for two of these."""

    def begin(self, entropy: bytes, unix_time: int) -> TokenSession:
        """Begins a session. ``entropy``: ``SESSION_ID_LENGTH`` random bytes."""
        if len(entropy) != SESSION_ID_LENGTH:
            raise ValueError(f"a session id has {SESSION_ID_LENGTH} bytes")
        return TokenSession(session_id=entropy, began=unix_time)

    def issue(self, username: str, session: TokenSession, unix_time: int) -> Secret:
        """Makes a token of the session that is valid from now on."""
        stamps = session.session_id + _encode_time(session.began) + _encode_time(unix_time)
        tag = self._tag("" if session.nobody else username, stamps)
        return Secret(PREFIX + b64encode(stamps + tag))

    def judge(
        self, username: str, password: Secret, unix_time: int, known: TokenSession | None = None
    ) -> JudgedToken:
        """Judges a password for which ``is_token`` holds.

        ``known`` is the session of this connection, if there is one already: the token of another
        session is then invalid, even if it is good by itself.
        """
        body = _decode(password)
        if body is None:
            return JudgedToken(state=TokenState.INVALID, problem="it is not a token")
        stamps, tag = body[:_STAMPS_LENGTH], body[_STAMPS_LENGTH:]
        # Both are always computed, so that the time taken does not tell which one it was.
        of_user = hmac.compare_digest(tag, self._tag(username, stamps))
        of_nobody = hmac.compare_digest(tag, self._tag("", stamps))
        if not (of_user or of_nobody):
            return JudgedToken(state=TokenState.INVALID, problem="its HMAC is wrong")
        session = TokenSession(
            session_id=stamps[:SESSION_ID_LENGTH],
            began=_decode_time(stamps[SESSION_ID_LENGTH:-_TIME_LENGTH]),
            nobody=not of_user,
        )
        if known is not None and known.session_id != session.session_id:
            return JudgedToken(state=TokenState.INVALID, problem="it is of another session")
        problem = self._age_problem(session.began, _decode_time(stamps[-_TIME_LENGTH:]), unix_time)
        return JudgedToken(state=_state(problem, session), session=session, problem=problem)

    def _age_problem(self, began: int, issued: int, unix_time: int) -> str:
        """Says what is wrong with the times; empty when the token is good now."""
        if issued > unix_time or issued < began:
            return "its time is in the future; was a clock changed?"
        if unix_time >= issued + 2 * self.renewal:
            return f"it was not renewed for {unix_time - issued} seconds"
        if self.lifetime and unix_time > began + self.lifetime:
            return f"its session is older than {self.lifetime} seconds"
        return ""

    def _tag(self, username: str, stamps: bytes) -> bytes:
        message = username.encode("utf-8", "surrogateescape") + stamps
        return hmac.digest(self._key.reveal(), message, "sha256")


def _state(problem: str, session: TokenSession) -> TokenState:
    if session.nobody:
        return TokenState.EXPIRED_EMPTY_USER if problem else TokenState.EMPTY_USER
    return TokenState.EXPIRED if problem else TokenState.AUTHENTICATED


def _decode(password: Secret) -> bytes | None:
    if len(password) != _TEXT_LENGTH:
        return None
    try:
        return b64decode(password.reveal()[len(PREFIX) :], validate=True)
    except (Base64Error, ValueError):
        return None


def _encode_time(unix_time: int) -> bytes:
    return (unix_time % _TIME_LIMIT).to_bytes(_TIME_LENGTH, "big")


def _decode_time(field: bytes) -> int:
    return int.from_bytes(field, "big")
