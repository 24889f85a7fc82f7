"""Whom a packet is for in the reference engine: routes on tun, learnt addresses and VLANs on tap.

Facts: OpenVPN's manual on ``client-to-client``, ``vlan-tagging`` and ``vlan-accept``. A frame for
an address that nobody was heard from goes to nobody, as there. Not responsible for moving packets.
"""

from collections.abc import Iterable

from ginnel.core.types import PeerId
from ginnel.dataclass import dataclass
from ginnel.dataplane.api import Learned, Notification, NotificationKind, ServingRules
from ginnel.dataplane.reference_inner import RouteTable, destination, source
from ginnel.dataplane.reference_keys import Dropped
from ginnel.dataplane.reference_peer import ReferencePeer
from ginnel.dataplane.reference_rules import ETHERNET_HEADER
from ginnel.options.server_model import VlanAccept, VlanOptions

_ETHER_VLAN = b"\x81\x00"
_TAG = 4
_LEAST_STAY = 1.0
"""Seconds that an address stays where it is: two peers that fight for one cost nothing."""
_BROADCAST_BIT = 0x01


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Where a packet goes."""

    packet: bytes
    peer: PeerId | None = None
    to_all: bool = False
    """To every peer of ``vlan`` but the one it came from."""
    to_device: bytes | None = None
    """What is written to the device."""
    vlan: int = 0


@dataclass(slots=True)
class _Entry:
    peer_id: PeerId
    moved_at: float
    seen_at: float


class AddressTable:
    """Hardware addresses with their VLAN, and whose they are; bounded for each peer."""

    def __init__(self) -> None:
        self._entries: dict[tuple[bytes, int], _Entry] = {}
        self._of_peer: dict[PeerId, set[tuple[bytes, int]]] = {}

    def learn(
        self, peer: ReferencePeer, address: bytes, vlan: int, now: float, *, may_learn: bool
    ) -> NotificationKind | None:
        """Takes note of a sender; tells what is new. Raises Dropped for one that may not be."""
        key = (address, vlan)
        if address[0] & _BROADCAST_BIT or not any(address):
            raise Dropped("source-address")
        entry = self._entries.get(key)
        if entry is not None and entry.peer_id == peer.peer_id:
            entry.seen_at = now
            return None
        own = self._of_peer.setdefault(peer.peer_id, set())
        is_settled = entry is not None and now < entry.moved_at + _LEAST_STAY
        if not may_learn or is_settled or len(own) >= peer.config.max_learned:
            raise Dropped("source-address")
        if entry is not None:
            self._of_peer[entry.peer_id].discard(key)
        own.add(key)
        self._entries[key] = _Entry(peer.peer_id, now, now)
        return NotificationKind.LEARNED if entry is None else NotificationKind.RELEARNED

    def find(self, address: bytes, vlan: int) -> PeerId | None:
        entry = self._entries.get((address, vlan))
        return None if entry is None else entry.peer_id

    def remove_peer(self, peer_id: PeerId) -> None:
        for key in self._of_peer.pop(peer_id, set()):
            del self._entries[key]

    def forget_stale(self, age: float, now: float, room: int) -> list[Notification]:
        """Drops what was not heard for so long, and reports it: not more than there is room for."""
        reports = []
        stale = [key for key, entry in self._entries.items() if now >= entry.seen_at + age]
        for key in stale[:room]:
            peer_id = self._entries.pop(key).peer_id
            self._of_peer[peer_id].discard(key)
            kind = NotificationKind.FORGOTTEN
            reports.append(Notification(kind=kind, peer_id=peer_id, payload=key[0], vlan=key[1]))
        return reports

    def all(self, now: float) -> list[Learned]:
        return [
            Learned(address=mac, vlan=vlan, peer_id=entry.peer_id, age=int(now - entry.seen_at))
            for (mac, vlan), entry in self._entries.items()
        ]


class Switch:
    """Decides about packets of a server's device."""

    def __init__(self, rules: ServingRules, routes: RouteTable, *, is_ethernet: bool) -> None:
        self.rules = rules
        self.learned = AddressTable()
        self._routes = routes
        self._is_ethernet = is_ethernet

    def from_device(self, packet: bytes) -> Verdict:
        """A packet of the host; raises Dropped with the reason."""
        if self._is_ethernet:
            return self._frame_from_device(packet)
        address = destination(packet)
        if address is None:
            raise Dropped("not-ip")
        if _is_multicast(address):
            return Verdict(packet=packet, to_all=True)
        peer_id = self._routes.find(address)
        if peer_id is None:
            raise Dropped("no-route")
        return Verdict(packet=packet, peer=peer_id)

    def from_peer(self, peer: ReferencePeer, packet: bytes) -> Verdict:
        """A packet of a peer, whose source was checked or learnt; raises Dropped."""
        vlan = 0
        if self._is_ethernet:
            vlan = peer.config.vlan if self.rules.vlan is not None else 0
            to_all = bool(packet[0] & _BROADCAST_BIT)
            to = None if to_all else self.learned.find(packet[:6], vlan)
        else:
            address = destination(packet)
            if address is None:
                raise Dropped("not-ip")
            to_all = _is_multicast(address)
            to = None if to_all else self._routes.find(address)
        if self.rules.client_to_client and to is not None:
            return Verdict(packet=packet, peer=to, vlan=vlan)
        to_device: bytes | None = packet
        if self.rules.vlan is not None and self._is_ethernet:
            to_device = tag(packet, self.rules.vlan, vlan)
        to_all &= self.rules.client_to_client
        return Verdict(packet=packet, to_all=to_all, to_device=to_device, vlan=vlan)

    def check_source(
        self, peer: ReferencePeer, packet: bytes, now: float, *, may_learn: bool
    ) -> list[Notification]:
        """Learns the sender of a frame, where that ``may`` be reported.

        Raises Dropped for a source that is not the peer's.
        """
        if not self._is_ethernet:
            address = source(packet)
            if address is None or self._routes.find(address) != peer.peer_id:
                raise Dropped("source-address")
            return []
        tagging = self.rules.vlan is not None
        if tagging and tag_of(packet):
            raise Dropped("vlan")
        vlan = peer.config.vlan if tagging else 0
        kind = self.learned.learn(peer, packet[6:12], vlan, now, may_learn=may_learn)
        if kind is None:
            return []
        return [Notification(kind=kind, peer_id=peer.peer_id, payload=packet[6:12], vlan=vlan)]

    def members(
        self, verdict: Verdict, peers: Iterable[ReferencePeer], sender: PeerId | None
    ) -> list[ReferencePeer]:
        """Who gets a packet for all."""
        tagging = self._is_ethernet and self.rules.vlan is not None
        return [
            peer
            for peer in peers
            if peer.peer_id != sender and (not tagging or peer.config.vlan == verdict.vlan)
        ]

    def source_of(self, packet: bytes) -> bytes:
        """What a report on a bad source says."""
        return packet[6:12] if self._is_ethernet else source(packet) or b""

    def _frame_from_device(self, frame: bytes) -> Verdict:
        vlan = 0
        if len(frame) < ETHERNET_HEADER:
            raise Dropped("malformed")
        if self.rules.vlan is not None:
            frame, vlan = untag(frame, self.rules.vlan)
        if frame[0] & _BROADCAST_BIT:
            return Verdict(packet=frame, to_all=True, vlan=vlan)
        peer_id = self.learned.find(frame[:6], vlan)
        if peer_id is None:
            raise Dropped("no-route")
        return Verdict(packet=frame, peer=peer_id, vlan=vlan)


def tag_of(frame: bytes) -> int | None:
    """VLAN in the tag of a frame, 0 for a tag with a priority only; None without a tag."""
    if frame[12:14] != _ETHER_VLAN or len(frame) < ETHERNET_HEADER + _TAG:
        return None
    return int.from_bytes(frame[14:16], "big") & 0x0FFF


def untag(frame: bytes, rules: VlanOptions) -> tuple[bytes, int]:
    """A frame of the device without its tag, and its VLAN; raises Dropped.

    A tag with a priority only stays.
    """
    found = tag_of(frame)
    if frame[12:14] == _ETHER_VLAN and found is None:
        raise Dropped("malformed")
    if not found:
        if rules.accept is VlanAccept.TAGGED:
            raise Dropped("vlan")
        return frame, rules.pvid
    if rules.accept is VlanAccept.UNTAGGED:
        raise Dropped("vlan")
    return frame[:12] + frame[16:], found


def tag(frame: bytes, rules: VlanOptions, vlan: int) -> bytes | None:
    """A frame of a VLAN as the device gets it; None when the device gets none of that VLAN."""
    if vlan == rules.pvid and rules.accept is not VlanAccept.TAGGED:
        return frame
    if rules.accept is VlanAccept.UNTAGGED:
        return None
    if tag_of(frame) == 0:
        # It has a tag for its priority, which gets the number as well.
        number = int.from_bytes(frame[14:16], "big") | vlan
        return frame[:14] + number.to_bytes(2, "big") + frame[16:]
    return frame[:12] + _ETHER_VLAN + vlan.to_bytes(2, "big") + frame[12:]


def _is_multicast(address: bytes) -> bool:
    return address[0] >> 4 == 0xE if len(address) == 4 else address[0] == 0xFF
