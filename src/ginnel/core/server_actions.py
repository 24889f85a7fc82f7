"""What the machine of one client asks of the server's shell, beyond what a client's own asks.

Frozen values; each action carries the id that its answer must quote (``complete``). ``Done``
answers what went well and returns nothing, ``Failed`` says why something did not.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Interface

from ginnel.core.actions import (
    CertificateInfo,
    Credentials,
    DeleteKey,
    Done,
    Failed,
    FitPath,
    InstallKey,
    SendInner,
    Signature,
    SignData,
    SwapKeys,
    VerifyCertificates,
)
from ginnel.core.control_keys import ClientKeyClaim
from ginnel.core.negotiate import Agreement
from ginnel.core.payload import PayloadTerms
from ginnel.core.types import ActionId, Endpoint, PeerId, Transport
from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum
from ginnel.hints import NewType
from ginnel.options.server_model import ClientConfig

ClientId = NewType("ClientId", int)
"""Number of a client over the life of the process (``CID``); never used again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFacts:
    """Who a client is, as far as its machine knows."""

    client_id: ClientId
    key_number: int
    """Counts the negotiations of a client (``KID``)."""
    peer_id: PeerId
    remote: Endpoint
    transport: Transport
    local: Endpoint | None = None
    """The address of ours that it came to, where that is known."""
    common_name: str = ""
    """Of the certificate, or the user name with ``username-as-common-name``; empty before."""
    username: str = ""
    chain: tuple[CertificateInfo, ...] = ()
    """Verified, top depth first; empty without a certificate."""
    peer_info: tuple[tuple[str, str], ...] = ()
    """``IV_`` and ``UV_`` variables, cleaned, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyClientKey:
    """Judge what a tls-crypt-v2 key says (``tls-crypt-v2-verify``), before anything else.

    Answer: Done or Failed.
    """

    id: ActionId
    client: ClientFacts
    claim: ClientKeyClaim


class TokenState(Enum):
    """Words for what a token is worth: the value of ``session_state`` in scripts."""

    INITIAL = "Initial"
    """The session just began; no token came."""
    AUTHENTICATED = "Authenticated"
    EXPIRED = "Expired"
    INVALID = "Invalid"
    EMPTY_USER = "AuthenticatedEmptyUser"
    EXPIRED_EMPTY_USER = "ExpiredEmptyUser"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticate:
    """Judge user name and password. Answer: Admitted, Refused or Failed, as late as it takes.

    Not asked when a token of ours settled it already, or when nothing judges passwords.
    """

    id: ActionId
    client: ClientFacts
    login: Credentials
    is_first: bool
    """False at a renegotiation."""
    session_id: str = ""
    """Of the token, for scripts (``session_id``); empty without ``auth-gen-token``."""
    session_state: TokenState | None = None
    """None without ``auth-gen-token``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectClient:
    """Settle what the client gets: address pool, its file, scripts, management.

    Answer: ClientTerms, Refused or Failed, as late as it takes. Once a client.
    """

    id: ActionId
    client: ClientFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedClient:
    """A client with all that was agreed: what the data plane and the routing tables need."""

    client: ClientFacts
    terms: "ClientTerms"
    agreement: Agreement
    send_peer_id: PeerId
    ping_interval: int
    ping_timeout: int
    inactive: int
    inactive_bytes: int
    mss_ipv4: int
    mss_ipv6: int
    payload: PayloadTerms
    allow_float: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AddClient:
    """Add the peer to the data plane, with its addresses and iroutes. Answer: Done or Failed.

    Its first key follows with InstallKey, and the push only after that.
    """

    id: ActionId
    agreed: AgreedClient


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerChallenge:
    """The client answered (``CR_RESPONSE``, base64): tell who asked. Answer: Done or Failed."""

    id: ActionId
    client: ClientFacts
    response: str


ServerAction = (
    VerifyClientKey
    | VerifyCertificates
    | SignData
    | Authenticate
    | ConnectClient
    | AddClient
    | AnswerChallenge
    | InstallKey
    | SwapKeys
    | DeleteKey
    | SendInner
    | FitPath
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """The login is good. ``username`` replaces the name that was sent, if it is not empty."""

    username: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The client may not in: ``reason`` is told to it behind ``AUTH_FAILED,`` (may be empty)."""

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTerms:
    """What a client gets: everything but what is negotiated."""

    config: ClientConfig
    ifconfig: tuple[IPv4Address, IPv4Address] | None = None
    """Pushed: its address and netmask, or its address and ours (topology)."""
    ifconfig_ipv6: tuple[IPv6Interface, IPv6Address] | None = None
    """Pushed: its address with the prefix length, and ours."""
    push: tuple[str, ...] = ()
    """Everything else to push, in order: the options for all, filtered, and its own."""


ServerActionResult = Done | Failed | Signature | Admitted | Refused | ClientTerms
