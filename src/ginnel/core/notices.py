"""What a core machine says happened. Frozen values; ``compat.log_lines`` renders them.

A notice never asks for anything; that is what actions are for.
"""

from ginnel.core.actions import CertificateInfo
from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.digests import Digest
from ginnel.core.messages import DynamicChallenge
from ginnel.core.types import Endpoint, KeyId, SessionId
from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum
from ginnel.options.model import ClientOptions, CompressionKind


class ManagementState(Enum):
    """State names of the management interface that the client machine passes through."""

    WAIT = "WAIT"
    AUTH = "AUTH"
    GET_CONFIG = "GET_CONFIG"
    ASSIGN_IP = "ASSIGN_IP"
    ADD_ROUTES = "ADD_ROUTES"
    CONNECTED = "CONNECTED"
    AUTH_PENDING = "AUTH_PENDING"


@dataclass(frozen=True, kw_only=True)
class StateEntered:
    state: ManagementState
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialPacket:
    """First authentic packet of a session: ``TLS: Initial packet from …, sid=…``."""

    source: Endpoint
    session_id: SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateAccepted:
    """``VERIFY OK: depth=N, SUBJECT``; ``checks`` are the extra lines such as ``VERIFY KU OK``."""

    certificate: CertificateInfo
    checks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CertificateRejected:
    """``VERIFY ERROR: depth=N, error=…`` with the cause in plain words and a hint at the fix."""

    certificate: CertificateInfo | None
    error: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlChannelReady:
    """``Control Channel: TLSv1.3, cipher …, peer certificate: …``."""

    tls_version: str
    cipher: str
    peer_certificate: str
    """For example ``256 bits ECprime256v1, signature: ecdsa-with-SHA256``; empty without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerConnected:
    """``[CN] Peer Connection Initiated with …``. Once a session."""

    common_name: str
    remote: Endpoint


@dataclass(frozen=True, kw_only=True)
class LoginSent:
    """User name and password, or the token in their place, are on their way."""


@dataclass(frozen=True, kw_only=True)
class LoginPending:
    """The server wants more time or proof before it lets us in (AUTH_PENDING)."""

    window: int
    """Seconds that a push is usually waited for."""
    timeout: int
    """Seconds that it is waited for now."""


@dataclass(frozen=True, kw_only=True)
class PushRequested:
    common_name: str


@dataclass(frozen=True, kw_only=True)
class PushReceived:
    """The push as received (secrets such as auth-token already blanked), and what it changed."""

    text: str


@dataclass(frozen=True, kw_only=True)
class OptionsImported:
    options: ClientOptions
    groups: tuple[str, ...]
    """Which groups changed, in OpenVPN's words: ``timers and/or timeouts``, ``route options`` …"""
    is_update: bool = False
    """True for a change while the tunnel is up."""


@dataclass(frozen=True, kw_only=True)
class PushOptionRefused:
    """A pushed option that was ignored, and why."""

    option: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class PushOptionFiltered:
    """A pushed option that ``pull-filter ignore`` removed."""

    option: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataChannelReady:
    """``Data Channel: cipher 'X', auth 'Y', peer-id: N`` and the timers in force."""

    cipher: DataCipher
    format: DataFormat
    peer_id: int | None
    ping: int
    ping_restart: int
    protocol_flags: tuple[str, ...]
    digest: Digest | None = None
    """Of the HMAC; None with AEAD ciphers, and with ``auth none``."""
    key_bits: int | None = None
    """None is the cipher's own."""
    limits_bytes: bool = False
    """``reneg-bytes`` was set because of the cipher."""
    compression: CompressionKind | None = None
    ping_exit: int = 0
    inactive: int = 0
    session_timeout: int = 0


@dataclass(frozen=True, kw_only=True)
class KeyRenegotiating:
    """``TLS: soft reset …``: which side began and why."""

    key_id: KeyId
    reason: str


@dataclass(frozen=True, kw_only=True)
class Connected:
    """The tunnel carries data: the shell finishes start-up and prints the greppable line."""


@dataclass(frozen=True, kw_only=True)
class ControlMessage:
    """INFO, INFO_PRE, AUTH_PENDING, RESTART, HALT, EXIT, unknown: text for log and management."""

    keyword: str
    text: str


@dataclass(frozen=True, kw_only=True)
class PathNarrowed:
    """``Note adjusting 'mssfix 1492 mtu' to 'mssfix 1300 mtu' according to …``."""

    option: str
    before: str
    mtu: int
    """What the path takes, outer headers included."""


@dataclass(frozen=True, kw_only=True)
class Warned:
    """Something a human should know: already in plain words."""

    text: str


class Outcome(Enum):
    """What should follow the end of a machine, as OpenVPN's soft signals say it."""

    RESTART = "SIGUSR1"
    RELOAD = "SIGHUP"
    TERMINATE = "SIGTERM"


class Advance(Enum):
    """Where the next attempt goes."""

    NEXT_REMOTE = "next-remote"
    NEXT_ADDRESS = "next-address"
    SAME = "same"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Last notice of a machine. ``signal_text`` is OpenVPN's soft-signal name."""

    outcome: Outcome
    signal_text: str
    advance: Advance
    explanation: str
    """One plain sentence: the cause and, where there is one, the fix. Empty for a wanted end."""
    auth_failed: str | None = None
    """All that came with AUTH_FAILED (empty string when nothing), else None."""
    challenge: DynamicChallenge | None = None
    """The question that the next login has to answer."""
    backoff: float | None = None
    forget_credentials: bool = False
    hard_error: bool = False
    """True when exit status 1 must follow a TERMINATE."""


Notice = (
    StateEntered
    | InitialPacket
    | CertificateAccepted
    | CertificateRejected
    | ControlChannelReady
    | PeerConnected
    | LoginSent
    | LoginPending
    | PushRequested
    | PushReceived
    | OptionsImported
    | PushOptionRefused
    | PushOptionFiltered
    | DataChannelReady
    | KeyRenegotiating
    | Connected
    | ControlMessage
    | PathNarrowed
    | Warned
    | Ended
)
