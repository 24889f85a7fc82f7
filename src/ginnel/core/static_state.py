"""Where a static-key machine stands and what it waits for: values only."""

from ginnel.core.actions import TunnelConfig
from ginnel.core.negotiate import Agreement
from ginnel.core.types import ActionId
from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum


class Deadline(Enum):
    """What a static-key machine waits for."""

    OCC_REQUEST = "occ request"
    SESSION = "session-timeout"
    LEAVE = "exit notify"


@dataclass(frozen=True)
class Idle:
    """Not started."""


@dataclass(frozen=True)
class Opening:
    """The shell opens the tunnel."""

    action_id: ActionId
    config: TunnelConfig
    agreement: Agreement


@dataclass(frozen=True)
class Installing:
    """The data plane gets the key."""

    action_id: ActionId
    config: TunnelConfig
    agreement: Agreement


@dataclass(frozen=True)
class Waiting:
    """The tunnel is open; the other peer was not heard yet."""

    config: TunnelConfig
    agreement: Agreement


@dataclass(frozen=True)
class Running:
    """The other peer is there."""

    config: TunnelConfig


@dataclass(frozen=True)
class Leaving:
    """The other peer is being told that we go."""

    config: TunnelConfig
    notices_left: int


@dataclass(frozen=True)
class Over:
    """The last notice was given."""


State = Idle | Opening | Installing | Waiting | Running | Leaving | Over
