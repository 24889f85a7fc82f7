"""What the machine of one client says happened, beyond what a client's own machine says."""

from ginnel.core.notices import (
    CertificateAccepted,
    CertificateRejected,
    ControlChannelReady,
    ControlMessage,
    DataChannelReady,
    Ended,
    InitialPacket,
    KeyRenegotiating,
    PathNarrowed,
    PeerConnected,
    Warned,
)
from ginnel.core.server_actions import AgreedClient
from ginnel.core.types import Endpoint
from ginnel.dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerInfoReceived:
    """``peer info: IV_VER=…``, one line for each. Once a session."""

    variables: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConnected:
    """The client has its key: data flows. Once a client."""

    agreed: AgreedClient


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSent:
    """``SENT CONTROL [CN]: '…' (status=1)``: a push, a refusal, a
    message of somebody's; secrets are blanked."""

    common_name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientMoved:
    """The client is at another address from now on (float)."""

    remote: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationFailed:
    """The client is not let in, and is told so; ``reason`` may be empty."""

    reason: str
    by_login: bool = False
    """Because of its user name and password; otherwise another notice says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitScheduled:
    """``Delayed exit in N seconds``."""

    seconds: float


ServerNotice = (
    InitialPacket
    | CertificateAccepted
    | CertificateRejected
    | ControlChannelReady
    | PeerInfoReceived
    | PeerConnected
    | KeyRenegotiating
    | ControlMessage
    | ClientConnected
    | DataChannelReady
    | PushSent
    | ClientMoved
    | AuthenticationFailed
    | ExitScheduled
    | PathNarrowed
    | Warned
    | Ended
)
