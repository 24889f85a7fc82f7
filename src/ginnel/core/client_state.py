"""The states and deadlines of a client machine: values only, ``client`` moves between them."""

from ginnel.core.actions import TunnelConfig
from ginnel.core.key_session import KeySession
from ginnel.core.negotiate import Agreement
from ginnel.core.types import ActionId, Instant
from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum


class Deadline(Enum):
    """What a client machine waits for."""

    CONNECT = "connect-timeout"
    """Not one good packet came."""
    SILENCE = "ping-restart"
    """Nothing came for long, before the data plane watches."""
    BEGIN = "begin anew"
    """The next session may begin, after one that failed at once."""
    HANDSHAKE = "hand-window"
    """The newest negotiation must have its keys."""
    PUSH_REQUEST = "push request"
    PUSH_GIVE_UP = "push give up"
    RENEGOTIATE = "reneg-sec"
    SESSION = "session-timeout"
    LEAVE = "exit notify"
    MTU_TEST = "mtu-test"


@dataclass(frozen=True)
class Idle:
    """Not started."""


@dataclass(frozen=True)
class AskingLogin:
    """User name and password are asked for before the first packet."""

    action_id: ActionId


@dataclass(frozen=True)
class Negotiating:
    """The first negotiation of a session is under way."""


@dataclass(frozen=True)
class AwaitPush:
    """The key exchange is done; options are to come."""

    since: Instant


@dataclass(frozen=True)
class Opening:
    """The shell opens the tunnel."""

    action_id: ActionId
    config: TunnelConfig
    agreement: Agreement


@dataclass(frozen=True)
class InstallingFirst:
    """The data plane gets its first key."""

    action_id: ActionId


@dataclass(frozen=True)
class Running:
    """The tunnel carries data."""


@dataclass(frozen=True)
class Leaving:
    """The server is being told that we go."""

    occ_left: int
    """OCC notices still to be sent inside the data channel."""
    said_on: KeySession | None
    """The key session that carries the control message EXIT instead."""


@dataclass(frozen=True)
class Over:
    """The last notice was given."""


State = (
    Idle
    | AskingLogin
    | Negotiating
    | AwaitPush
    | Opening
    | InstallingFirst
    | Running
    | Leaving
    | Over
)
