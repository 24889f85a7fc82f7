"""The one interface of every data plane: the Rust engine, the Python reference, later the kernel.

Calls are synchronous, short, and take effect before they return. Only the core's key ring decides
what is in which slot; a back end obeys and reports. A packet that carries user data never becomes a
Python object on this interface; control packets cross it whole and unparsed.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from ginnel.core.data_key import DataCipher, DataFormat, DataKey, KeySlot
from ginnel.core.payload import PayloadTerms
from ginnel.core.types import Endpoint, IPNetwork, PeerId, Transmit, Transport
from ginnel.dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a back end can do, probed when it is opened."""

    name: str
    """Short name for logs: ``rust``, ``python``, ``kernel``."""
    ciphers: frozenset[DataCipher]
    formats: frozenset[DataFormat]
    transports: frozenset[Transport]
    offloads: frozenset[str]
    """Kernel offloads in use: of ``tun-tso``, ``tun-uso``, ``udp-gso``, ``udp-gro``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TunDevice:
    """An open TUN device. The data plane duplicates ``fd``; the caller keeps and closes its own."""

    fd: int
    name: str
    mtu: int
    vnet_header: bool
    """True when opened with IFF_VNET_HDR and a 10-byte virtio_net_hdr (TUNSETVNETHDRSZ 10)."""
    ethernet: bool = False
    """A tap device: Ethernet frames cross it, all to and from the one peer there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """A SOCKS proxy's end for datagrams: those for ``server`` go there behind a header."""

    address: Endpoint
    server: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An open, non-blocking socket of the link. The data plane duplicates ``fd``.

    A UDP socket is bound but not connected; replies go to the peer's ``remote``.
    """

    fd: int
    transport: Transport
    relay: Relay | None = None
    """Between us and the one peer of a UDP link, whose ``remote`` is the relay's ``server``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keepalive:
    """Limits counted by the data plane, in seconds; 0 switches one off."""

    ping_interval: int = 0
    """Send the ping payload after this long without sending anything to the peer."""
    ping_timeout: int = 0
    """Report SILENT after this long without an authenticated packet from the peer."""
    inactive_seconds: int = 0
    """Report INACTIVE when fewer than ``inactive_bytes`` crossed the tun side within this time."""
    inactive_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerConfig:
    """A peer. Packets for it are found through its iroutes (``add_iroute``)."""

    peer_id: PeerId
    """The handle of every other call; on a server also the peer-id expected in ``P_DATA_V2``."""
    send_peer_id: PeerId
    """The peer-id written into ``P_DATA_V2`` headers we send (``UNDEFINED_PEER_ID`` when none)."""
    remote: Endpoint | None
    """Where its packets go and must come from; on TCP only what ``drop_recursive`` goes by."""
    allow_float: bool = False
    """Accept an authenticated packet from another address, move there, and report FLOATED."""
    mss_ipv4: int = 0
    """Clamp the MSS of IPv4 TCP SYN packets, both ways, to this; 0 leaves them alone."""
    mss_ipv6: int = 0
    replay_window: int = 64
    """Packet-ids below the highest still accepted, once each; 0 accepts only the next one."""
    replay_time: int = 15
    drop_recursive: bool = True
    """Drop packets from tun whose outer destination is ``remote`` itself."""
    payload: PayloadTerms = PayloadTerms()
    """Framing, fragments, address translation and what else is done beside sealing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStats:
    """Counters since ``new_peer``; they survive key changes."""

    tun_read_bytes: int = 0
    tun_read_packets: int = 0
    tun_write_bytes: int = 0
    tun_write_packets: int = 0
    link_read_bytes: int = 0
    link_read_packets: int = 0
    link_write_bytes: int = 0
    link_write_packets: int = 0
    drops: tuple[tuple[str, int], ...] = ()
    """Dropped packets by reason: ``replay``, ``auth``, ``no-key``, ``malformed``, ``source`` ..."""


class NotificationKind(Enum):
    """What a data plane reports of its own accord."""

    SILENT = "silent"
    INACTIVE = "inactive"
    FLOATED = "floated"
    KEY_EXHAUSTED = "key-exhausted"
    """The key ``key_id`` nears its packet-id or usage limit: renegotiate. Reported once a key."""
    DECRYPT_ERROR = "decrypt-error"
    """Only on TCP, where a packet that does not authenticate ends the connection."""
    LINK_LOST = "link-lost"
    """The socket is closed or broken (``errno``); on TCP also end of stream (errno 0)."""
    TUN_LOST = "tun-lost"
    OCC = "occ"
    """An authenticated packet that starts with the OCC magic; ``payload`` is the whole packet."""
    BAD_FRAMING = "bad-framing"
    """The peer's compression framing is not ours, or it compresses; said once a peer.
    ``payload`` is the first byte of such a packet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One report. Fields that do not belong to the kind keep their default."""

    kind: NotificationKind
    peer_id: PeerId
    key_id: int = 0
    remote: Endpoint | None = None
    errno: int = 0
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class ControlPacket:
    """A packet that is not data, whole, as it came from the link. ``source`` is None on TCP."""

    payload: bytes
    source: Endpoint | None


class DataPlane(Protocol):
    """A data plane on one TUN device. Errors of the operating system raise ``DataPlaneError``."""

    capabilities: Capabilities

    def attach(self, link: Link, unread: bytes = b"", unsent: bytes = b"") -> None:
        """Starts reading the link.

        Of a TCP stream, ``unread`` are bytes that the shell already took, and ``unsent`` the rest
        of records that it began to write: they leave before anything else.
        """
        ...

    def new_peer(self, peer: PeerConfig) -> None: ...
    def set_peer(self, peer_id: PeerId, keepalive: Keepalive) -> None:
        """Sets the limits and restarts their timers."""
        ...

    def set_payload(self, peer_id: PeerId, payload: PayloadTerms) -> None:
        """Changes what is done to the peer's payloads, from the next packet on."""
        ...

    def del_peer(self, peer_id: PeerId) -> None: ...
    def new_key(self, peer_id: PeerId, slot: KeySlot, key: DataKey) -> None:
        """Installs a key, replacing (and wiping) what the slot held."""
        ...

    def swap_keys(self, peer_id: PeerId) -> None:
        """Exchanges the two slots: from the return on, packets are sealed with the new primary."""
        ...

    def del_key(self, peer_id: PeerId, slot: KeySlot) -> None: ...
    def add_iroute(self, peer_id: PeerId, prefix: IPNetwork) -> None:
        """Sends packets from tun for ``prefix`` to the peer (longest prefix wins)."""
        ...

    def stats(self, peer_id: PeerId) -> PeerStats: ...
    def fileno(self) -> int:
        """Readable while ``notifications`` or ``recv_control`` have something."""
        ...

    def notifications(self) -> Sequence[Notification]:
        """Drains the reports."""
        ...

    def recv_control(self, limit: int) -> Sequence[ControlPacket]:
        """Drains up to ``limit`` control packets; the eventfd stays readable while more wait."""
        ...

    def send_control(self, packet: Transmit) -> None:
        """Sends a control packet before any queued data; drops it when the link cannot take it."""
        ...

    def send_inner(self, peer_id: PeerId, payload: bytes) -> None:
        """Seals ``payload`` as a data packet with the primary key (OCC); no-op without one."""
        ...

    def close(self) -> None:
        """Stops, wipes keys and closes the duplicated descriptors. Idempotent."""
        ...
