"""What a client does when the network under its tunnel changes, or when its host has slept.

Pure: from the way to the server before and after to a reaction. Noticing is the shell's business,
routes are the host layer's.
"""

from ginnel.core.types import IPAddress, Transport
from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum

ABSENCE_LIMIT = 60.0
"""Seconds after which a server is taken to have given us up, where no timer tells."""

NETWORK_CHANGED = "network-changed"
RESUMED = "resumed"


@dataclass(frozen=True, kw_only=True)
class Path:
    """How the server is reached, outside the tunnel."""

    device: str
    index: int
    gateway: IPAddress | None
    """None when the server is on the device's own network."""
    addresses: frozenset[IPAddress]
    """What this host is called on that device, in the server's family."""


class Reaction(Enum):
    """What to do."""

    NOTHING = "nothing"
    ANNOUNCE = "announce"
    """Send something authentic at once: the server learns our new address from it."""
    RESTART = "restart"


@dataclass(frozen=True, kw_only=True)
class Footing:
    """What a connection stands on."""

    transport: Transport
    own_address: IPAddress | None
    """What its packets come from; None while the system chooses for each packet."""
    bound_to: tuple[str, int] | None
    """Name and number of the device that the socket is bound to."""
    floats: bool
    """Whether the server knows us by a peer-id and a key, and not by our address."""
    patience: float
    """Seconds of silence after which the server gives us up; 0 when nothing tells."""


@dataclass(frozen=True, kw_only=True)
class Absence:
    """How long nothing could be sent, in seconds."""

    asleep: float = 0.0
    """While the host slept."""
    offline: float = 0.0
    """While there was no way to the server."""


def react(
    before: Path | None, after: Path | None, footing: Footing, absence: Absence
) -> tuple[Reaction, str]:
    """Decides, and names the signal of a restart.

    While there is no way to the server nothing is done: a cable that is plugged in again soon finds
    the connection as it was.
    """
    if after is None:
        return Reaction.NOTHING, ""
    limit = footing.patience or ABSENCE_LIMIT
    if absence.asleep >= limit:
        return Reaction.RESTART, RESUMED
    device, index = footing.bound_to or (after.device, after.index)
    if device == after.device and index != after.index:
        return Reaction.RESTART, NETWORK_CHANGED  # the device that it was bound to is no more
    if absence.asleep + absence.offline >= limit:
        return Reaction.RESTART, NETWORK_CHANGED
    if footing.transport is Transport.TCP:
        own = footing.own_address
        lost = own is not None and not own.is_loopback and own not in after.addresses
        return (Reaction.RESTART, NETWORK_CHANGED) if lost and after != before else _NOTHING
    if footing.floats:
        return Reaction.ANNOUNCE, ""
    return (Reaction.RESTART, NETWORK_CHANGED) if _moved(before, after) else _NOTHING


_NOTHING = (Reaction.NOTHING, "")


def _moved(before: Path | None, after: Path) -> bool:
    """Whether packets may come from elsewhere now. An address that is added changes nothing."""
    if before is None or (before.device, before.gateway) != (after.device, after.gateway):
        return True
    return not before.addresses <= after.addresses
