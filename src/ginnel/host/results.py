"""What became of the changes that the helper was asked for."""

from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum


class Outcome(Enum):
    """What became of one change that was asked for."""

    APPLIED = "applied"
    PRESENT = "present"
    """The host already was as wanted; nothing of ours to undo."""
    REVERTED = "reverted"
    GONE = "gone"
    CHANGED = "changed"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class ChangeResult:
    """The result of one change; ``errno`` and ``detail`` tell a failure."""

    outcome: Outcome
    what: str
    """The change in the words of ``ip``, e.g. ``route 10.0.0.0/8 via 10.8.0.1 dev tun0``."""
    errno: int = 0
    detail: str = ""
