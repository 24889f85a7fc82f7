"""What a management client wants from the program. Frozen values, polled from the session."""

from ginnel.dataclass import dataclass
from ginnel.management.commands import SignalName
from ginnel.management.queries import Query, ReplyToQuery
from ginnel.options.model import AuthRetry
from ginnel.options.values import Secret


@dataclass(frozen=True, kw_only=True)
class Answered:
    """The pending query has its answer."""

    query: Query
    answer: ReplyToQuery


@dataclass(frozen=True, kw_only=True)
class SignalThrown:
    """As if the process had got the signal."""

    signal: SignalName


@dataclass(frozen=True, kw_only=True)
class VerbSet:
    level: int


@dataclass(frozen=True, kw_only=True)
class MuteSet:
    level: int


@dataclass(frozen=True, kw_only=True)
class AuthRetrySet:
    mode: AuthRetry


@dataclass(frozen=True, kw_only=True)
class PasswordsForgotten:
    """Drop every password and token kept."""


@dataclass(frozen=True, kw_only=True)
class ChallengeAnswered:
    """Send CR_RESPONSE with this text, which is base64 already."""

    response: Secret


@dataclass(frozen=True, kw_only=True)
class ClientLeft:
    """An admitted client has gone: what ``management-signal`` and its kin wait for."""


Intent = (
    Answered
    | SignalThrown
    | VerbSet
    | MuteSet
    | AuthRetrySet
    | PasswordsForgotten
    | ChallengeAnswered
    | ClientLeft
)
