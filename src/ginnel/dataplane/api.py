"""The one interface of every data plane: the Rust engine, the Python reference, later the kernel.

Calls are synchronous, short, and take effect before they return. Only the core's key ring decides
what is in which slot; a back end obeys and reports. A packet that carries user data never becomes a
Python object on this interface; control packets cross it whole and unparsed.
"""

from collections.abc import Mapping, Sequence

from ginnel.core.data_key import DataCipher, DataFormat, DataKey, KeySlot
from ginnel.core.payload import PayloadTerms
from ginnel.core.types import Endpoint, IPAddress, IPNetwork, PeerId, Transmit, Transport
from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum
from ginnel.hints import TYPE_CHECKING, NewType, Protocol

if TYPE_CHECKING:
    from ginnel.options.server_model import VlanOptions

PING = bytes.fromhex("2a187bf3641eb4cb07ed2d0a981fc748")
"""Payload of a keepalive packet (protocol-facts 12); never given to tun."""

LinkId = NewType("LinkId", int)
"""One socket of a data plane; the number of one that is gone is not used again."""

FIRST_LINK = LinkId(0)
"""The link of ``attach``: the only one of a client."""

MAX_RESETS = (100, 10)
"""Hard resets, seconds: how many pass unless ``limit_resets`` says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a back end can do, probed when it is opened."""

    name: str
    """Short name for logs: ``rust``, ``python``, ``kernel``."""
    ciphers: frozenset[DataCipher]
    formats: frozenset[DataFormat]
    transports: frozenset[Transport]
    offloads: frozenset[str]
    """Kernel offloads in use: of ``tun-tso``, ``tun-uso``, ``udp-gso``, ``udp-gro``,
    and ``tun-join`` of an engine whose device takes super-packets but gives none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TunDevice:
    """An open TUN device. The data plane duplicates ``fd``; the caller keeps and closes its own."""

    fd: int
    name: str
    mtu: int
    vnet_header: bool
    """True when opened with IFF_VNET_HDR and a 10-byte virtio_net_hdr (TUNSETVNETHDRSZ 10)."""
    ethernet: bool = False
    """A tap device: Ethernet frames cross it. Without ``serve`` all are the one peer's."""


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
    multihome: bool = False
    """On UDP: tell which of our addresses a packet came to, and send from the one that is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingRules:
    """How a server's data plane treats its peers."""

    client_to_client: bool = False
    """Packets of one peer for another do not pass tun; otherwise the kernel's routes decide."""
    tcp_queue_limit: int = 64
    """Data packets that wait for one slow stream; more are dropped (``link-full``)."""
    broadcast_limit: int = 50_000
    """Copies a second that are made of what peers send to all; beyond it nobody gets one
    (``broadcast-flood``). One peer's packet costs as many copies as there are others."""
    vlan: "VlanOptions | None" = None
    """On tap: peers live in VLANs, whose tags are seen on the device only."""
    stale_age: int = 0
    """Seconds after which a learnt address that sends nothing is forgotten; 0 keeps it."""
    stale_interval: int = 0
    """Seconds between looks for such addresses; 0 is ``stale_age``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """A hardware address that a peer sent from."""

    address: bytes
    """Six bytes."""
    vlan: int
    """0 without ``ServingRules.vlan``."""
    peer_id: PeerId
    age: int
    """Seconds since it was last seen."""


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
    link: LinkId = FIRST_LINK
    """Where it came from. A peer of a TCP stream has it to itself; one that may float moves
    between UDP links as well."""
    local: IPAddress | None = None
    """Which of our addresses its packets are sent from, on a ``multihome`` link."""
    max_learned: int = 256
    """Hardware addresses that are learnt from it at most."""
    vlan: int = 1
    """Its VLAN with ``ServingRules.vlan``."""


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
    BAD_SOURCE = "bad-source"
    """A packet of the peer had an inner source that is not its own (``payload``, packed) and was
    dropped; at most once a second and peer."""
    LEARNED = "learned"
    """``payload`` is a hardware address, in ``vlan``, that is the peer's from now on."""
    RELEARNED = "relearned"
    """As LEARNED, of an address that another peer had."""
    FORGOTTEN = "forgotten"
    """A learnt address went stale. Those of a peer that is deleted go without a report."""
    TOO_LONG = "too-long"
    """The system refused a datagram: the path to ``remote`` (the relay, where there is one) takes
    only shorter ones; at most once a second and peer. How long they may be, the system tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One report. Fields that do not belong to the kind keep their default."""

    kind: NotificationKind
    peer_id: PeerId
    key_id: int = 0
    remote: Endpoint | None = None
    errno: int = 0
    payload: bytes = b""
    link: LinkId = FIRST_LINK
    """Of LINK_LOST the link that is gone, with ``peer_id`` where one peer had it to itself; of
    FLOATED and TOO_LONG the one that the peer is on now."""
    vlan: int = 0
    local: IPAddress | None = None
    """Of FLOATED: which of our addresses the peer sends to, on a ``multihome`` link; of TOO_LONG
    where its packets leave from."""


@dataclass(frozen=True, slots=True)
class ControlPacket:
    """A packet that is not data, whole, as it came from the link. ``source`` is None on TCP."""

    payload: bytes
    source: Endpoint | None
    link: LinkId = FIRST_LINK
    local: IPAddress | None = None
    """Which of our addresses it came to, on a ``multihome`` link."""


class DataPlane(Protocol):
    """A data plane on one TUN device. Errors of the operating system raise ``DataPlaneError``."""

    capabilities: Capabilities

    def attach(self, link: Link, unread: bytes = b"", unsent: bytes = b"") -> None:
        """Starts reading the first link, instead of an earlier one.

        Of a TCP stream, ``unread`` are bytes that the shell already took, and ``unsent`` the rest
        of records that it began to write: they leave before anything else.
        """
        ...

    def serve(self, rules: ServingRules) -> None:
        """Makes this a server's data plane; before the first peer.

        From then on, a packet whose inner source is not an iroute of its peer is dropped
        (``source-address``), packets for all go to all, and a slow stream holds up nobody else.
        """
        ...

    def add_link(self, link: Link, unread: bytes = b"", unsent: bytes = b"") -> LinkId:
        """Starts reading one more link; as ``attach``, only with ``serve`` and without a relay."""
        ...

    def remove_link(self, link_id: LinkId) -> None:
        """Stops reading a link. What waits in it is lost; its peers stay, unreachable."""
        ...

    def limit_resets(self, count: int, seconds: int) -> None:
        """Lets so many hard resets of UDP pass in so many seconds (``MAX_RESETS``)."""
        ...

    def credit_resets(self, count: int) -> None:
        """Gives back what was taken for resets that turned out genuine, or not worth an answer."""
        ...

    def new_peer(self, peer: PeerConfig) -> None: ...
    def set_peer(self, peer_id: PeerId, keepalive: Keepalive) -> None:
        """Sets the limits and restarts their timers."""
        ...

    def set_payload(self, peer_id: PeerId, payload: PayloadTerms) -> None:
        """Changes what is done to the peer's payloads, from the next packet on."""
        ...

    def set_path(self, peer_id: PeerId, mss: tuple[int, int], inner_mtu: int | None) -> None:
        """Changes the MSS limits of IPv4 and IPv6, from the next packet on.

        A packet of the device, or of another peer, that is longer than ``inner_mtu`` is cut if
        routers may cut it; else dropped (``link-emsgsize``), and answered with how long it may be.
        """
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

    def del_iroute(self, peer_id: PeerId, prefix: IPNetwork) -> None:
        """Takes a prefix from the peer; nothing happens when it is not the peer's."""
        ...

    def learned(self) -> Sequence[Learned]:
        """Every address learnt on tap, in no order."""
        ...

    def stats(self, peer_id: PeerId) -> PeerStats: ...
    def unassigned_drops(self) -> Mapping[str, int]:
        """Drops that belong to no peer, by reason: ``hard-reset-flood``, ``no-peer`` ..."""
        ...

    def fileno(self) -> int:
        """Readable while ``notifications`` or ``recv_control`` have something."""
        ...

    def notifications(self) -> Sequence[Notification]:
        """Drains the reports."""
        ...

    def recv_control(self, limit: int) -> Sequence[ControlPacket]:
        """Drains up to ``limit`` control packets; the eventfd stays readable while more wait."""
        ...

    def send_control(
        self, packet: Transmit, link: LinkId = FIRST_LINK, local: IPAddress | None = None
    ) -> None:
        """Sends a control packet before any queued data; drops it when the link cannot take it.

        ``local`` is the address it is sent from, on a ``multihome`` link.
        """
        ...

    def send_inner(self, peer_id: PeerId, payload: bytes) -> None:
        """Seals ``payload`` as a data packet with the primary key (OCC); no-op without one."""
        ...

    def close(self) -> None:
        """Stops, wipes keys and closes the duplicated descriptors. Idempotent."""
        ...
