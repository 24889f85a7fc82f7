"""The states and deadlines of a client machine, and what it keeps while a tunnel is up."""

from dataclasses import dataclass
from enum import Enum

from ginnel.core.actions import TunnelConfig
from ginnel.core.key_ring import KeyRing
from ginnel.core.key_session import KeySession
from ginnel.core.negotiate import Agreement
from ginnel.core.types import ActionId, Instant
from ginnel.options.model import TlsOptions


class Deadline(Enum):
    """What a client machine waits for."""

    CONNECT = "connect-timeout"
    """Not one good packet came."""
    SILENCE = "ping-restart"
    """Nothing came for long, before the data plane watches."""
    HANDSHAKE = "hand-window"
    """The newest negotiation must have its keys."""
    PUSH_REQUEST = "push request"
    PUSH_GIVE_UP = "push give up"
    RENEGOTIATE = "reneg-sec"
    SESSION = "session-timeout"
    LEAVE = "exit notify"


@dataclass(frozen=True, slots=True)
class Idle:
    """Not started."""


@dataclass(frozen=True, slots=True)
class AskingLogin:
    """User name and password are asked for before the first packet."""

    action_id: ActionId


@dataclass(frozen=True, slots=True)
class Negotiating:
    """The first negotiation of a session is under way."""


@dataclass(frozen=True, slots=True)
class AwaitPush:
    """The key exchange is done; options are to come."""


@dataclass(frozen=True, slots=True)
class Opening:
    """The shell opens the tunnel."""

    action_id: ActionId
    config: TunnelConfig
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class InstallingFirst:
    """The data plane gets its first key."""

    action_id: ActionId


@dataclass(frozen=True, slots=True)
class Running:
    """The tunnel carries data."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """The server is being told that we go."""

    occ_left: int
    """OCC notices still to be sent inside the data channel."""
    said_on: KeySession | None
    """The key session that carries the control message EXIT instead."""


@dataclass(frozen=True, slots=True)
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


@dataclass(slots=True, kw_only=True)
class OpenTunnelState:
    """What lasts as long as the tunnel, over sessions that fail and begin anew."""

    config: TunnelConfig
    agreement: Agreement
    ring: KeyRing
    key_since: Instant
    """When the newest key was agreed on."""
    peer_interval: float | None = None
    """Seconds between that and a soft reset of the server: how often it renegotiates."""
    bytes_now: int = 0
    packets_now: int = 0
    bytes_at_key: int = 0
    packets_at_key: int = 0

    def fits(self, config: TunnelConfig, agreement: Agreement) -> bool:
        """Whether a session that replaced a failed one agreed on the very same terms."""
        return (
            config.pulled_digest == self.config.pulled_digest
            and config.send_peer_id == self.config.send_peer_id
            and agreement == self.agreement
        )

    def switch_delay(self, tls: TlsOptions) -> float:
        """Seconds from the start of a negotiation until sending moves to its key.

        As protocol-facts 11: half the renegotiation interval, at most hand-window. The server's
        interval is not told, so the observed one counts as well: a server drops the key before the
        last as soon as it begins anew, and what we send with that key until then would be lost.
        """
        limits = [float(tls.hand_window)]
        if tls.reneg_sec:
            limits.append(tls.reneg_sec / 2)
        if self.peer_interval is not None:
            limits.append(self.peer_interval / 2)
        return min(limits)

    def count_key(self, now: Instant) -> None:
        """A new key was agreed on: its share of the traffic starts at zero."""
        self.key_since = now
        self.bytes_at_key, self.packets_at_key = self.bytes_now, self.packets_now

    def is_used_up(self, tls: TlsOptions) -> str | None:
        """Why reneg-bytes or reneg-pkts ask for a new key; None when they do not."""
        used_bytes = self.bytes_now - self.bytes_at_key
        used_packets = self.packets_now - self.packets_at_key
        if 0 < tls.reneg_bytes <= used_bytes or 0 < tls.reneg_pkts <= used_packets:
            return f"bytes={used_bytes} pkts={used_packets}"
        return None
