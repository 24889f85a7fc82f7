"""The states and deadlines of a server's machine: values only, its parts move between them."""

from ginnel.core.negotiate import Agreement
from ginnel.core.notices import Ended
from ginnel.core.server_actions import AgreedClient
from ginnel.core.types import ActionId, Instant
from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum
from ginnel.options.model import CompressionKind


class Deadline(Enum):
    """What a server's machine waits for."""

    HANDSHAKE = "hand-window"
    """The newest negotiation of the session in use must have come to the key exchange."""
    NEWCOMER = "hand-window of another session"
    """A session beside the one in use must be let in."""
    DECISION = "decision"
    """Whoever judges the login, or settles what the client gets, must have answered."""
    RENEGOTIATE = "reneg-sec"
    SESSION = "session-timeout"
    TOKEN = "auth-token"  # noqa: S105 -- the name of a deadline
    """The client gets a fresh token."""
    FORGET = "forget the negotiation before"
    """The client had time enough to move on; its TLS session takes memory."""
    LEAVE = "scheduled exit"


@dataclass(frozen=True, slots=True)
class Idle:
    """Not started."""


@dataclass(frozen=True, slots=True)
class JudgingKey:
    """The client's tls-crypt-v2 key is judged; the packets wait."""

    action_id: ActionId
    packets: list[bytes]


@dataclass(frozen=True, slots=True)
class Negotiating:
    """No session was let in yet."""


@dataclass(frozen=True, slots=True)
class Connecting:
    """Somebody settles what the client gets."""

    action_id: ActionId
    agreement: Agreement | None
    """By the settings for all; None when there is none, and only the client's own can help."""
    compression: CompressionKind | None
    """The framing that ``compress migrate`` moves the client to."""


@dataclass(frozen=True, slots=True)
class Adding:
    """The data plane gets the client."""

    action_id: ActionId
    agreed: AgreedClient
    compression: CompressionKind | None


@dataclass(frozen=True, slots=True)
class InstallingFirst:
    """The data plane gets the client's first key."""

    action_id: ActionId


@dataclass(frozen=True, slots=True)
class Running:
    """Data flows."""

    pushed_at: Instant | None
    """When the options were last pushed over the session in use."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """The client was told that it is over, or told us; the last words may still be on their way."""

    ended: Ended


@dataclass(frozen=True, slots=True)
class Over:
    """The last notice was given."""


State = (
    Idle
    | JudgingKey
    | Negotiating
    | Connecting
    | Adding
    | InstallingFirst
    | Running
    | Leaving
    | Over
)
