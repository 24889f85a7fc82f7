"""What a data plane tells a core machine, in the core's own words.

The shell translates from ``dataplane.api``; the core never imports that layer.
"""

from ginnel.core.types import Endpoint, KeyId
from ginnel.dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerHeard:
    """The first authentic packet came from the peer; told when ``OpenTunnel`` asked for it."""


@dataclass(frozen=True, kw_only=True)
class PeerSilent:
    """Nothing authentic came from the peer for ``ping-restart`` or ``ping-exit`` seconds."""


@dataclass(frozen=True, kw_only=True)
class Inactive:
    """Fewer bytes than ``inactive`` demands crossed the tunnel."""


@dataclass(frozen=True, kw_only=True)
class KeyExhausted:
    """The key nears its packet-id or usage limit."""

    key_id: KeyId


@dataclass(frozen=True, kw_only=True)
class OccReceived:
    """An authentic data packet that starts with the OCC magic; ``payload`` is all of it."""

    payload: bytes


@dataclass(frozen=True, kw_only=True)
class LinkLost:
    """The socket failed (``errno``); on TCP 0 means that the peer closed the stream."""

    errno: int
    bad_length: tuple[int, int] | None = None
    """With EBADMSG, where it is known: the impossible length of a record, and the largest one."""


@dataclass(frozen=True, kw_only=True)
class TunLost:
    """The TUN device failed or was removed."""

    errno: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DecryptFailed:
    """A data packet on a TCP link did not authenticate."""


@dataclass(frozen=True, kw_only=True)
class Floated:
    """An authentic packet came from another address, and the peer is there now."""

    remote: Endpoint


@dataclass(frozen=True, kw_only=True)
class FramingMismatch:
    """The server's compression framing is not ours, or it compresses; comes once a connection.

    ``first`` is the first byte of such a payload.
    """

    first: int


@dataclass(frozen=True, kw_only=True)
class PathMtuFound:
    """A packet was too long for the path, which takes ``mtu`` bytes, outer headers included.

    Routers on the way say so, or who pretends to be one.
    """

    mtu: int


DataPlaneEvent = (
    PeerHeard
    | PeerSilent
    | Inactive
    | KeyExhausted
    | OccReceived
    | LinkLost
    | TunLost
    | DecryptFailed
    | Floated
    | FramingMismatch
    | PathMtuFound
)
