"""What a core machine asks of its shell. Frozen values; each carries the id its answer must quote.

An action is slow or fallible; the shell answers with ``machine.complete(action_id, result, now)``.
``Done`` answers everything that went well and returns nothing; ``Failed`` says why it did not.
"""

from ginnel.core.data_key import DataKey, KeySlot
from ginnel.core.payload import PayloadTerms
from ginnel.core.signing import SignatureRequest
from ginnel.core.types import ActionId, Endpoint, PeerId
from ginnel.dataclass import dataclass
from ginnel.options.model import ClientOptions
from ginnel.options.values import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateInfo:
    """One certificate of the peer's chain as hooks see it."""

    depth: int
    subject: str
    """OpenVPN's one-line form: ``C=GB, O=Example, CN=server``."""
    der: bytes


@dataclass(frozen=True, kw_only=True)
class VerifyCertificates:
    """Run the ``tls-verify`` hook on each, top depth first. Answer: Done or Failed."""

    id: ActionId
    chain: tuple[CertificateInfo, ...]


@dataclass(frozen=True, kw_only=True)
class AskCredentials:
    """Provide user name and password. Answer: Credentials or Failed."""

    id: ActionId


@dataclass(frozen=True, kw_only=True)
class SignData:
    """Have the owner of the private key sign. Answer: Signature or Failed."""

    id: ActionId
    request: SignatureRequest


@dataclass(frozen=True, kw_only=True)
class TunnelConfig:
    """The agreed tunnel: the options after the push, the server's address, and the link's numbers.

    The host layer plans addresses and routes from it, the shell sets up the data plane.
    """

    options: ClientOptions
    remote: Endpoint
    """Unspecified while the peer is not known (``Endpoint.is_anybody``)."""
    peer_id: PeerId
    send_peer_id: PeerId
    tun_mtu: int
    mss_ipv4: int
    mss_ipv6: int
    allow_float: bool
    payload: PayloadTerms = PayloadTerms()
    overhead: int = 0
    """Bytes that a packet of the tunnel grows by inside its datagram."""
    device_items: tuple[str, ...]
    """What was pushed that the device follows from: with equal ones a kept device still fits
    (``persist-tun``)."""


@dataclass(frozen=True, kw_only=True)
class OpenTunnel:
    """Open the device, attach the data plane, add the peer, configure the host.

    The data plane must be attached, with the peer added, before the answer. Answer: Done or Failed.
    """

    id: ActionId
    config: TunnelConfig
    await_peer: bool = False
    """Tell of the first authentic packet: without a control channel nothing else shows the peer."""


@dataclass(frozen=True, kw_only=True)
class UpdateTunnel:
    """Change the open tunnel to this configuration, packets going on. Answer: Done or Failed.

    Several may be under way; they are carried out in order.
    """

    id: ActionId
    config: TunnelConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallKey:
    """Put the key into the slot. Answer: Done or Failed. Comes only after OpenTunnel's."""

    id: ActionId
    peer_id: PeerId
    slot: KeySlot
    key: DataKey


@dataclass(frozen=True, kw_only=True)
class SwapKeys:
    """Exchange primary and secondary. Answer: Done or Failed."""

    id: ActionId
    peer_id: PeerId


@dataclass(frozen=True, kw_only=True)
class DeleteKey:
    """Forget the key in the slot. Answer: Done or Failed."""

    id: ActionId
    peer_id: PeerId
    slot: KeySlot


@dataclass(frozen=True, kw_only=True)
class SendInner:
    """Send an OCC message inside the data channel. Answer: Done."""

    id: ActionId
    peer_id: PeerId
    payload: bytes


@dataclass(frozen=True, kw_only=True)
class FitPath:
    """Send shorter packets to the peer: the path got narrow. Answer: Done or Failed."""

    id: ActionId
    peer_id: PeerId
    mss_ipv4: int
    mss_ipv6: int
    inner_mtu: int | None
    """Longest packet that fits inside; None where all do, or longer ones are cut (``fragment``)."""
    payload: PayloadTerms | None
    """None when nothing of it changes."""


Action = (
    VerifyCertificates
    | AskCredentials
    | SignData
    | OpenTunnel
    | UpdateTunnel
    | InstallKey
    | SwapKeys
    | DeleteKey
    | SendInner
    | FitPath
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """It worked."""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """It did not; ``reason`` is for the log."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Credentials:
    username: str
    password: Secret


@dataclass(frozen=True, kw_only=True)
class Signature:
    signature: bytes


ActionResult = Done | Failed | Credentials | Signature
