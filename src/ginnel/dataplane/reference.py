"""The slow, obvious data plane in Python: oracle in tests, engine where none is compiled.

One thread, no queues of its own: ``notifications`` and ``recv_control`` move a bounded number of
packets between TUN and link each time they are called, which the shell does whenever ``fileno`` is
readable. Not responsible for layouts (``formats``), keys (``reference_keys``), one peer's state
(``reference_peer``) or descriptors (``reference_ports``, ``reference_link``).
"""

import errno
import select
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import cache

from ginnel.core.data_key import AEAD_CIPHERS, OLD_CIPHERS, DataFormat, DataKey, KeySlot
from ginnel.core.errors import DataPlaneError, LocalMisuse, Malformed
from ginnel.core.payload import PayloadTerms
from ginnel.core.types import UNDEFINED_PEER_ID, Endpoint, IPNetwork, PeerId, Transmit, Transport
from ginnel.dataclass import replace
from ginnel.dataplane import formats
from ginnel.dataplane.api import (
    Capabilities,
    ControlPacket,
    Keepalive,
    Link,
    Notification,
    NotificationKind,
    PeerConfig,
    PeerStats,
    TunDevice,
)
from ginnel.dataplane.old_formats import is_available
from ginnel.dataplane.open_key import open_key
from ginnel.dataplane.reference_framing import looks_framed
from ginnel.dataplane.reference_inner import RouteTable, clamp_mss, destination
from ginnel.dataplane.reference_keys import Dropped, UsageLimits
from ginnel.dataplane.reference_link import (
    LinkBroken,
    PacketLink,
    SocketAddress,
    endpoint_of,
    open_link,
)
from ginnel.dataplane.reference_payload import Payload
from ginnel.dataplane.reference_peer import ReferencePeer, count
from ginnel.dataplane.reference_ports import TunBroken, TunPort, Waker
from ginnel.dataplane.reference_rules import ETHERNET_HEADER, Direction, ip_offset, no_route

BATCH = 64
"""Packets of each side that one call moves at most."""

MAX_PENDING = 256
"""Reports and control packets that may wait; the link is not read while control is full."""

MAX_CONTROL_LENGTH = 4096
"""A control packet holds at most 2048 bytes of TLS, a wrapped client key of 1024, and headers."""


@cache
def capabilities() -> Capabilities:
    """What this engine can do with the OpenSSL at hand; AEAD is always there."""
    old = (cipher for cipher in OLD_CIPHERS if is_available(cipher))
    return Capabilities(
        name="python",
        ciphers=frozenset((*AEAD_CIPHERS, *old)),
        formats=frozenset(DataFormat),
        transports=frozenset(Transport),
        offloads=frozenset(),
    )


class PythonDataPlane:
    """A DataPlane on one TUN device, or on none (``dev null``: what arrives is discarded)."""

    capabilities: Capabilities

    def __init__(
        self,
        tun: TunDevice | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        limits: UsageLimits | None = None,
    ) -> None:
        self.capabilities = capabilities()
        self._clock = clock
        self._limits = limits or UsageLimits()
        self._mtu = tun.mtu if tun is not None else 1500
        self._is_ethernet = tun is not None and tun.ethernet
        self._waker = Waker()
        try:
            self._tun = TunPort(tun) if tun is not None else None
        except OSError as bad:
            self._waker.close()
            raise DataPlaneError("open", UNDEFINED_PEER_ID, bad.errno or errno.EIO) from bad
        self._link: PacketLink | None = None
        self._relay: Endpoint | None = None
        """Where all packets really go, when there is a relay between us and the peer."""
        self._peers: dict[PeerId, ReferencePeer] = {}
        self._has_headers = True  # not on a link that carries packets of a static key
        self._routes = RouteTable()
        self._reports: deque[Notification] = deque()
        self._control: deque[ControlPacket] = deque()
        self.unassigned_drops: Counter[str] = Counter()
        """Drops that belong to no peer, by reason."""

    # --- set-up ----------------------------------------------------------------------------

    def attach(self, link: Link, unread: bytes = b"", unsent: bytes = b"") -> None:
        """Starts reading the link, instead of an earlier one."""
        self._require_open("attach")
        if (unread or unsent) and link.transport is Transport.UDP:
            raise LocalMisuse("a UDP link has no bytes of a stream")
        try:
            opened = open_link(link, unread, unsent, self._mtu)
        except OSError as bad:
            raise DataPlaneError("attach", UNDEFINED_PEER_ID, bad.errno or errno.EIO) from bad
        self._detach()
        self._link = opened
        self._relay = None if link.relay is None else link.relay.address
        for peer in self._peers.values():
            self._resolve(peer)
        self._settle()

    def new_peer(self, peer: PeerConfig) -> None:
        """Adds a peer without keys; its packets from tun need an iroute."""
        self._require_open("new_peer", peer.peer_id)
        if peer.peer_id in self._peers:
            raise DataPlaneError("new_peer", peer.peer_id, errno.EEXIST)
        added = ReferencePeer(peer, self._payload(peer.payload), self._clock())
        self._resolve(added)
        self._peers[peer.peer_id] = added

    def set_peer(self, peer_id: PeerId, keepalive: Keepalive) -> None:
        """Sets the limits and restarts their timers."""
        self._peer("set_peer", peer_id).restart_clock(keepalive, self._clock())
        self._settle()

    def set_payload(self, peer_id: PeerId, payload: PayloadTerms) -> None:
        """Changes what is done to the peer's payloads."""
        peer = self._peer("set_payload", peer_id)
        peer.config = replace(peer.config, payload=payload)
        peer.payload = self._payload(payload)
        self._settle()

    def del_peer(self, peer_id: PeerId) -> None:
        """Forgets the peer, its keys and its iroutes."""
        self._peer("del_peer", peer_id)
        del self._peers[peer_id]
        self._has_headers |= not self._peers
        self._routes.remove_peer(peer_id)

    def new_key(self, peer_id: PeerId, slot: KeySlot, key: DataKey) -> None:
        """Installs a key, replacing what the slot held."""
        peer = self._peer("new_key", peer_id)
        try:
            opened = open_key(
                key,
                send_peer_id=peer.config.send_peer_id,
                replay_window=peer.config.replay_window,
                replay_time=peer.config.replay_time,
                limits=self._limits,
            )
        except ValueError as bad:
            raise DataPlaneError("new_key", peer_id, errno.EINVAL) from bad
        peer.install(slot, opened)
        if key.format is DataFormat.STATIC:
            self._has_headers = False

    def swap_keys(self, peer_id: PeerId) -> None:
        """Exchanges the two slots."""
        self._peer("swap_keys", peer_id).swap()

    def del_key(self, peer_id: PeerId, slot: KeySlot) -> None:
        """Empties the slot, which may be empty already."""
        self._peer("del_key", peer_id).slots.pop(slot, None)

    def add_iroute(self, peer_id: PeerId, prefix: IPNetwork) -> None:
        """Sends packets from tun for the prefix to the peer."""
        self._peer("add_iroute", peer_id)
        self._routes.add(prefix, peer_id)

    def stats(self, peer_id: PeerId) -> PeerStats:
        """Counters of data packets since ``new_peer``."""
        return self._peer("stats", peer_id).counters.snapshot()

    # --- the shell's side ------------------------------------------------------------------

    def fileno(self) -> int:
        """An epoll descriptor; readable while a call of the two below has something to do."""
        return self._waker.fd

    def notifications(self) -> Sequence[Notification]:
        """Moves packets, then drains the reports."""
        self._pump()
        drained = list(self._reports)
        self._reports.clear()
        self._settle()
        return drained

    def recv_control(self, limit: int) -> Sequence[ControlPacket]:
        """Moves packets, then drains up to ``limit`` control packets."""
        self._pump()
        drained = [self._control.popleft() for _ in range(min(limit, len(self._control)))]
        self._settle()
        return drained

    def send_control(self, packet: Transmit) -> None:
        """Sends at once, or drops and counts; the reliability layer sends again."""
        self._require_open("send_control")
        link = self._link
        if link is None:
            self.unassigned_drops["no-link"] += 1
            return
        target = None
        if packet.destination is not None:
            target = link.to_socket_address(packet.destination)
        try:
            refused = link.send_control(packet.payload, target)
        except LinkBroken as broken:
            self._lose_link(broken)
            return
        if refused is not None:
            self.unassigned_drops[refused] += 1
            return
        now = self._clock()
        for peer in self._peers.values():
            if peer.address == target:
                peer.clock.sent(now)
        self._settle()

    def send_inner(self, peer_id: PeerId, payload: bytes) -> None:
        """Seals the payload with the primary key; no-op without one."""
        self._send_data(self._peer("send_inner", peer_id), payload, self._clock())
        self._settle()

    def close(self) -> None:
        """Forgets keys and peers and closes every descriptor of ours. Idempotent."""
        self._peers.clear()
        self._detach()
        self._close_tun()
        self._waker.close()

    # --- moving packets --------------------------------------------------------------------

    def _pump(self) -> None:
        if self._waker.fd < 0:
            return
        self._waker.acknowledge()
        now = self._clock()
        self._pump_link(now)
        self._pump_tun(now)
        for peer in self._peers.values():
            if peer.clock.ping_is_due(now):
                self._send_data(peer, formats.PING, now)
                peer.clock.sent(now)  # also when it could not be sent: not again at once
            for kind in peer.clock.expired(now):
                self._report(Notification(kind=kind, peer_id=peer.peer_id))
            for report in peer.worn_keys():
                self._report(report)

    def _pump_link(self, now: float) -> None:
        if self._link is None:
            return
        try:
            self._link.flush()
            room = MAX_PENDING - len(self._control)
            packets = self._link.receive(min(BATCH, room)) if room > 0 else []
        except LinkBroken as broken:
            self._lose_link(broken)
            return
        for packet, source in packets:
            if not packet:
                self.unassigned_drops["malformed"] += 1
            elif not self._has_headers or formats.opcode_of(packet) in formats.DATA_OPCODES:
                self._receive_data(packet, source, now)
            elif len(packet) > MAX_CONTROL_LENGTH:
                self.unassigned_drops["malformed"] += 1
            else:
                endpoint = endpoint_of(source) if source is not None else None
                self._control.append(ControlPacket(packet, endpoint))

    def _receive_data(self, packet: bytes, source: SocketAddress | None, now: float) -> None:
        try:
            header = formats.decode_header(packet) if self._has_headers else formats.NO_HEADER
        except Malformed as bad:
            self.unassigned_drops[bad.reason] += 1
            return
        peer = self._find_sender(header.peer_id, source)
        if peer is None:
            self.unassigned_drops["no-peer"] += 1
            return
        moved = source is not None and source != peer.address
        may_move = peer.config.allow_float and self._relay is None
        if moved and not (may_move and self._is_free(source)):
            peer.counters.drops["source"] += 1
            return
        try:
            plaintext = peer.open(header, packet, now)
        except Dropped as bad:
            if source is None and bad.reason in ("auth", "malformed", "replay"):
                self._report(
                    Notification(
                        kind=NotificationKind.DECRYPT_ERROR,
                        peer_id=peer.peer_id,
                        key_id=header.key_id,
                    )
                )
            return
        peer.clock.received(now)
        count(peer.counters.link_read, len(packet))
        if moved and source is not None:
            self._float(peer, source)
        try:
            payload = peer.unwrap(plaintext, now)
        except Dropped as bad:
            if bad.reason in ("framing", "compressed") and peer.payload is not None:
                self._report_all(peer.framing_report(peer.payload.refused))
            return
        if payload is not None:
            self._deliver(peer, payload, now)

    def _deliver(self, peer: ReferencePeer, plaintext: bytes, now: float) -> None:
        if plaintext == formats.PING:
            return
        if plaintext.startswith(formats.OCC_MAGIC):
            self._report(
                Notification(kind=NotificationKind.OCC, peer_id=peer.peer_id, payload=plaintext)
            )
            return
        if not self._is_packet(plaintext):
            peer.counters.drops["not-ip"] += 1
            if looks_framed(plaintext):
                self._report_all(peer.framing_report(plaintext[0]))
            return
        if self._tun is not None:
            inner = self._clamped(peer, plaintext)
            if peer.payload is not None:
                inner = peer.payload.translate(inner, Direction.IN)
            try:
                refused = self._tun.write(inner)
            except TunBroken as broken:
                self._lose_tun(broken)
                return
            if refused is not None:
                peer.counters.drops[refused] += 1
                return
        count(peer.counters.tun_write, len(plaintext))
        peer.clock.crossed_tun(len(plaintext), now)

    def _pump_tun(self, now: float) -> None:
        for _ in range(BATCH):
            if self._tun is None or (self._link is not None and self._link.is_congested()):
                return
            if self._shaped_until() > now:
                return
            try:
                inner = self._tun.read()
            except TunBroken as broken:
                self._lose_tun(broken)
                return
            if inner is None:
                return
            self._forward(inner, now)

    def _forward(self, inner: bytes, now: float) -> None:
        """Takes a packet from tun to the peer whose iroute matches its destination."""
        if not self._is_packet(inner):
            self.unassigned_drops["malformed" if self._is_ethernet else "not-ip"] += 1
            return
        start = ip_offset(inner) if self._is_ethernet else 0
        address = None if start is None else destination(inner[start:])
        peer = self._find_receiver(address)
        if peer is None:
            self.unassigned_drops["no-route"] += 1
            return
        count(peer.counters.tun_read, len(inner))
        remote = peer.remote if self._relay is None else self._relay
        if peer.config.drop_recursive and remote and remote.address.packed == address:
            peer.counters.drops["recursive"] += 1
            return
        blocked = peer.config.payload.block_ipv6
        if blocked is not None and start is not None and _is_ipv6(inner[start:]):
            peer.counters.drops["blocked-ipv6"] += 1
            error = no_route(inner[start:], blocked)
            if error is not None and self._tun is not None:
                # On tap back to where the frame came from, as if from where it was going.
                back = inner[6:12] + inner[:6] + inner[12:start] if start else b""
                self._tun.write(back + error)
            return
        peer.clock.crossed_tun(len(inner), now)
        tos = peer.payload.tos_of(inner) if peer.payload is not None else 0
        self._send_data(peer, self._clamped(peer, inner), now, tos)

    def _is_packet(self, inner: bytes) -> bool:
        if self._is_ethernet:
            return len(inner) >= ETHERNET_HEADER
        return destination(inner) is not None

    def _clamped(self, peer: ReferencePeer, inner: bytes) -> bytes:
        """Lowers the MSS of a SYN, in a packet or in a frame."""
        start = ip_offset(inner) if self._is_ethernet else 0
        if start is None:
            return inner
        config = peer.config
        return inner[:start] + clamp_mss(inner[start:], config.mss_ipv4, config.mss_ipv6)

    def _find_receiver(self, address: bytes | None) -> ReferencePeer | None:
        """The peer that a packet from tun is for; on a tap device the only one."""
        if self._is_ethernet:
            return next(iter(self._peers.values())) if len(self._peers) == 1 else None
        peer_id = None if address is None else self._routes.find(address)
        return None if peer_id is None else self._peers[peer_id]

    def _send_data(self, peer: ReferencePeer, payload: bytes, now: float, tos: int = 0) -> None:
        if self._link is None or not payload:
            return
        for part in peer.wrap(payload):
            packet = peer.seal(part)
            if packet is None:
                return
            if peer.payload is not None:
                peer.payload.charge(len(packet), now)
            self._send_sealed(peer, packet, now, tos)

    def _send_sealed(self, peer: ReferencePeer, packet: bytes, now: float, tos: int) -> None:
        link = self._link
        if link is None:
            return
        try:
            refused = link.send(packet, peer.address, tos)
        except LinkBroken as broken:
            self._lose_link(broken)
            return
        if refused is not None:
            peer.counters.drops[refused] += 1
            return
        count(peer.counters.link_write, len(packet))
        peer.clock.sent(now)

    def _payload(self, terms: PayloadTerms) -> Payload | None:
        if terms == PayloadTerms():
            return None
        return Payload(terms, mtu=self._mtu, is_ethernet=self._is_ethernet)

    # --- peers and addresses ---------------------------------------------------------------

    def _peer(self, operation: str, peer_id: PeerId) -> ReferencePeer:
        self._require_open(operation, peer_id)
        peer = self._peers.get(peer_id)
        if peer is None:
            raise DataPlaneError(operation, peer_id, errno.ENOENT)
        return peer

    def _require_open(self, operation: str, peer_id: PeerId = UNDEFINED_PEER_ID) -> None:
        if self._waker.fd < 0:
            raise DataPlaneError(operation, peer_id, errno.EBADF)

    def _find_sender(
        self, peer_id: int | None, source: SocketAddress | None
    ) -> ReferencePeer | None:
        """By peer-id; a lone peer (a client's server) is meant whatever the packet says."""
        if len(self._peers) == 1:
            return next(iter(self._peers.values()))
        if peer_id is not None:
            return self._peers.get(PeerId(peer_id))
        for peer in self._peers.values():
            if source is not None and peer.address == source:
                return peer
        return None

    def _resolve(self, peer: ReferencePeer) -> None:
        """Works out the form of the peer's remote that this link's socket uses."""
        peer.address = None
        if self._link is not None and peer.remote is not None:
            peer.address = self._link.to_socket_address(peer.remote)

    def _is_free(self, source: SocketAddress | None) -> bool:
        return all(peer.address != source for peer in self._peers.values())

    def _float(self, peer: ReferencePeer, source: SocketAddress) -> None:
        peer.address = source
        peer.remote = endpoint_of(source)
        self._report(
            Notification(kind=NotificationKind.FLOATED, peer_id=peer.peer_id, remote=peer.remote)
        )

    # --- reports and descriptors -----------------------------------------------------------

    def _report(self, notification: Notification) -> None:
        """Queues a report; OCC messages, which a peer can send at will, must leave room."""
        room = MAX_PENDING if notification.kind is not NotificationKind.OCC else MAX_PENDING // 2
        if len(self._reports) < room:
            self._reports.append(notification)
        else:
            self.unassigned_drops["report"] += 1

    def _report_all(self, notifications: Sequence[Notification]) -> None:
        for notification in notifications:
            self._report(notification)

    def _shaped_until(self) -> float:
        """The instant from which the limits of all peers let more be sent."""
        return max(
            (peer.payload.ready_at for peer in self._peers.values() if peer.payload), default=0
        )

    def _lone_peer_id(self) -> PeerId:
        return next(iter(self._peers)) if len(self._peers) == 1 else UNDEFINED_PEER_ID

    def _lose_link(self, broken: LinkBroken) -> None:
        self._detach()
        self._report(
            Notification(
                kind=NotificationKind.LINK_LOST,
                peer_id=self._lone_peer_id(),
                errno=broken.errno,
            )
        )
        self._settle()

    def _lose_tun(self, broken: TunBroken) -> None:
        self._close_tun()
        self._report(
            Notification(
                kind=NotificationKind.TUN_LOST, peer_id=self._lone_peer_id(), errno=broken.errno
            )
        )
        self._settle()

    def _detach(self) -> None:
        if self._link is not None:
            self._waker.forget(self._link.fd)
            self._link.close()
            self._link = None

    def _close_tun(self) -> None:
        if self._tun is not None:
            self._waker.forget(self._tun.fd)
            self._tun.close()
            self._tun = None

    def _settle(self) -> None:
        """Makes ``fileno`` readable exactly when there is something to do."""
        if self._waker.fd < 0:
            return
        link, tun = self._link, self._tun
        congested = link is not None and link.is_congested()
        now = self._clock()
        shaped = self._shaped_until()
        is_shaped = shaped > now
        if link is not None:
            wanted = select.EPOLLOUT if congested else 0
            if len(self._control) < MAX_PENDING:
                wanted |= select.EPOLLIN
            self._waker.watch(link.fd, wanted)
        if tun is not None:
            self._waker.watch(tun.fd, 0 if congested or is_shaped else select.EPOLLIN)
        waiting = bool(self._reports or self._control)
        deadlines = [peer.clock.next_deadline() for peer in self._peers.values()]
        self._waker.settle(
            has_work=waiting or (link is not None and link.has_records()),
            deadline=min([*deadlines, shaped if is_shaped else float("inf")]),
            now=now,
        )


def _is_ipv6(packet: bytes) -> bool:
    return bool(packet) and packet[0] >> 4 == 6
