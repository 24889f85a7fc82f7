"""The slow, obvious data plane in Python: oracle in tests, engine where none is compiled.

One thread, no queues of its own: ``notifications`` and ``recv_control`` move a bounded number of
packets between TUN and links each time they are called, which the shell does whenever ``fileno`` is
readable. Not responsible for layouts (``formats``), keys (``reference_keys``), one peer's state
(``reference_peer``), whom a server's packet is for (``reference_switch``) or descriptors
(``reference_ports``, ``reference_links``).
"""

import errno
import select
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import groupby
from operator import itemgetter

from ginnel.core.data_key import AEAD_CIPHERS, OLD_CIPHERS, DataFormat, DataKey, KeySlot
from ginnel.core.errors import DataPlaneError, LocalMisuse, Malformed
from ginnel.core.payload import PayloadTerms
from ginnel.core.types import (
    UNDEFINED_PEER_ID,
    Endpoint,
    IPAddress,
    IPNetwork,
    PeerId,
    Transmit,
    Transport,
)
from ginnel.core.wire import is_hard_reset
from ginnel.dataclass import replace
from ginnel.dataplane import formats
from ginnel.dataplane.api import (
    FIRST_LINK,
    PING,
    Capabilities,
    ControlPacket,
    Keepalive,
    Learned,
    Link,
    LinkId,
    Notification,
    NotificationKind,
    PeerConfig,
    PeerStats,
    ServingRules,
    TunDevice,
)
from ginnel.dataplane.old_formats import is_available
from ginnel.dataplane.open_key import open_key
from ginnel.dataplane.reference_bucket import Bucket
from ginnel.dataplane.reference_framing import looks_framed
from ginnel.dataplane.reference_inner import RouteTable, destination
from ginnel.dataplane.reference_keys import Dropped, UsageLimits
from ginnel.dataplane.reference_layer import Layer
from ginnel.dataplane.reference_link import (
    Arrived,
    LinkBroken,
    SocketAddress,
    TcpLink,
    Way,
    endpoint_of,
    probe_offloads,
)
from ginnel.dataplane.reference_links import Links
from ginnel.dataplane.reference_outbox import Outbox
from ginnel.dataplane.reference_payload import Payload
from ginnel.dataplane.reference_peer import NEVER, ReferencePeer
from ginnel.dataplane.reference_peers import Peers
from ginnel.dataplane.reference_ports import TunBroken, TunPort, Waker
from ginnel.dataplane.reference_rules import Direction
from ginnel.dataplane.reference_switch import Switch, Verdict

BATCH = 64
"""Packets of each side after which one call reads no more; the last read may hold as many."""

MAX_CONTROL_LENGTH = 4096
"""A control packet holds at most 2048 bytes of TLS, a wrapped client key of 1024, and headers."""


@cache
def capabilities() -> Capabilities:
    """What this engine can do with the OpenSSL and kernel at hand; AEAD is always there."""
    old = (cipher for cipher in OLD_CIPHERS if is_available(cipher))
    return Capabilities(
        name="python",
        ciphers=frozenset((*AEAD_CIPHERS, *old)),
        formats=frozenset(DataFormat),
        transports=frozenset(Transport),
        offloads=probe_offloads(),
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
        self._layer = Layer(is_ethernet=tun is not None and tun.ethernet)
        self._waker = Waker()
        try:
            self._tun = TunPort(tun) if tun is not None else None
        except OSError as bad:
            self._waker.close()
            raise DataPlaneError("open", UNDEFINED_PEER_ID, bad.errno or errno.EIO) from bad
        if self._tun is not None and self._tun.joins:
            offloads = self.capabilities.offloads | {"tun-join"}
            self.capabilities = replace(self.capabilities, offloads=offloads)
        self._links = Links(self._waker, self._mtu)
        self._relay: Endpoint | None = None
        """Where all packets really go, when there is a relay between us and the peer."""
        self._peers = Peers()
        self._switch: Switch | None = None
        """Of a server."""
        self._stale_at = NEVER
        self._resets = Bucket(clock())
        self._broadcasts = Bucket(clock())
        """Copies of what a server's peers send to all."""
        self._has_headers = True  # not on a link that carries packets of a static key
        self._routes = RouteTable()
        self._unassigned: Counter[str] = Counter()
        self._outbox = Outbox(self._unassigned)
        self._waiting: list[tuple[ReferencePeer, Sequence[bytes]]] = []
        """Packets for the device of those that a link gave at once."""

    # --- set-up ----------------------------------------------------------------------------

    def attach(self, link: Link, unread: bytes = b"", unsent: bytes = b"") -> None:
        """Starts reading the first link, instead of an earlier one."""
        self._require_open("attach")
        self._require_stream(link, unread, unsent)
        self._links.put("attach", FIRST_LINK, link, unread, unsent)
        self._relay = None if link.relay is None else link.relay.address
        for peer in list(self._peers):
            if peer.link == FIRST_LINK:
                self._place(peer)
        self._settle()

    def serve(self, rules: ServingRules) -> None:
        """Makes this a server's data plane."""
        self._require_open("serve")
        if len(self._peers):
            raise LocalMisuse("a data plane that has peers cannot become a server's")
        self._switch = Switch(rules, self._routes, is_ethernet=self._layer.is_ethernet)
        self._broadcasts = Bucket(self._clock(), rules.broadcast_limit, 1)
        self._schedule_ageing(self._clock())

    def add_link(self, link: Link, unread: bytes = b"", unsent: bytes = b"") -> LinkId:
        """Starts reading one more link of a server."""
        self._require_open("add_link")
        self._require_stream(link, unread, unsent)
        if self._switch is None or link.relay is not None:
            raise LocalMisuse("only a server has several links, none of them through a relay")
        added = self._links.add("add_link", link, unread, unsent)
        self._settle()
        return added

    def remove_link(self, link_id: LinkId) -> None:
        """Stops reading a link; its peers are deleted by the caller."""
        self._require_open("remove_link")
        if not self._links.remove(link_id):
            raise DataPlaneError("remove_link", UNDEFINED_PEER_ID, errno.ENOENT)
        self._settle()

    def limit_resets(self, count: int, seconds: int) -> None:
        """Lets so many hard resets pass in so many seconds."""
        self._resets = Bucket(self._clock(), count, seconds)

    def credit_resets(self, count: int) -> None:
        """Gives back what was taken for resets: genuine ones, and those that get no answer."""
        self._resets.give(count)

    def new_peer(self, peer: PeerConfig) -> None:
        """Adds a peer without keys; its packets from tun need an iroute."""
        self._require_open("new_peer", peer.peer_id)
        if self._switch is not None and self._links.get(peer.link) is None:
            raise DataPlaneError("new_peer", peer.peer_id, errno.ENOTCONN)
        added = ReferencePeer(peer, self._payload(peer.payload), self._clock())
        self._peers.add(added)
        self._place(added)

    def set_peer(self, peer_id: PeerId, keepalive: Keepalive) -> None:
        """Sets the limits and restarts their timers."""
        peer = self._peer("set_peer", peer_id)
        peer.restart_clock(keepalive, self._clock())
        self._peers.schedule(peer)
        self._settle()

    def set_payload(self, peer_id: PeerId, payload: PayloadTerms) -> None:
        """Changes what is done to the peer's payloads."""
        peer = self._peer("set_payload", peer_id)
        peer.config = replace(peer.config, payload=payload)
        peer.payload = self._payload(payload)
        self._settle()

    def set_path(self, peer_id: PeerId, mss: tuple[int, int], inner_mtu: int | None) -> None:
        """Changes the MSS limits, and how long packets for the peer may be."""
        peer = self._peer("set_path", peer_id)
        peer.config = replace(peer.config, mss_ipv4=mss[0], mss_ipv6=mss[1])
        peer.inner_mtu = inner_mtu

    def del_peer(self, peer_id: PeerId) -> None:
        """Forgets the peer, its keys and its iroutes."""
        self._peer("del_peer", peer_id)
        self._peers.remove(peer_id)
        self._has_headers |= not len(self._peers)
        self._routes.remove_peer(peer_id)
        if self._switch is not None:
            self._switch.learned.remove_peer(peer_id)

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

    def del_iroute(self, peer_id: PeerId, prefix: IPNetwork) -> None:
        """Takes a prefix from the peer, if it has it."""
        self._peer("del_iroute", peer_id)
        self._routes.remove(prefix, peer_id)

    def learned(self) -> Sequence[Learned]:
        """Every address learnt on tap."""
        return [] if self._switch is None else self._switch.learned.all(self._clock())

    def stats(self, peer_id: PeerId) -> PeerStats:
        """Counters of data packets since ``new_peer``."""
        return self._peer("stats", peer_id).counters.snapshot()

    def unassigned_drops(self) -> Mapping[str, int]:
        """Drops that belong to no peer, by reason."""
        return dict(self._unassigned)

    # --- the shell's side ------------------------------------------------------------------

    def fileno(self) -> int:
        """An epoll descriptor; readable while a call of the two below has something to do."""
        return self._waker.fd

    def notifications(self) -> Sequence[Notification]:
        """Moves packets, then drains the reports."""
        self._pump()
        drained = self._outbox.take_reports()
        self._settle()
        return drained

    def recv_control(self, limit: int) -> Sequence[ControlPacket]:
        """Moves packets, then drains up to ``limit`` control packets."""
        self._pump()
        drained = self._outbox.take_control(limit)
        self._settle()
        return drained

    def send_control(
        self, packet: Transmit, link: LinkId = FIRST_LINK, local: IPAddress | None = None
    ) -> None:
        """Sends at once, or drops and counts; the reliability layer sends again."""
        self._require_open("send_control")
        opened = self._links.get(link)
        if opened is None:
            self._unassigned["no-link"] += 1
            return
        target = None
        if packet.destination is not None:
            target = opened.to_socket_address(packet.destination)
        try:
            refused = opened.send_control(packet.payload, Way(target, local=local))
        except LinkBroken as broken:
            self._lose_link(link, broken)
            return
        if refused is not None:
            self._unassigned[refused] += 1
            return
        peer = self._peers.at(link, None if isinstance(opened, TcpLink) else target)
        if peer is not None:
            peer.clock.sent(self._clock())
        self._links.note(link)
        self._settle()

    def send_inner(self, peer_id: PeerId, payload: bytes) -> None:
        """Seals the payload with the primary key; no-op without one."""
        self._send_data(self._peer("send_inner", peer_id), [payload], self._clock())
        self._settle()

    def close(self) -> None:
        """Forgets keys and peers and closes every descriptor of ours. Idempotent."""
        self._peers.clear()
        self._links.close()
        self._close_tun()
        self._waker.close()

    # --- moving packets --------------------------------------------------------------------

    def _pump(self) -> None:
        if self._waker.fd < 0:
            return
        now = self._clock()
        ready = self._waker.ready()
        for link_id in self._links.ready(ready):
            self._pump_link(link_id, now)
        if self._tun is not None and self._tun.fd in ready:
            self._pump_tun(now)
        for peer in self._peers.take_due(now):
            self._look_at_clock(peer, now)
        self._forget_stale(now)

    def _look_at_clock(self, peer: ReferencePeer, now: float) -> None:
        if peer.clock.ping_is_due(now):
            self._send_data(peer, [PING], now)
            peer.clock.sent(now)  # also when it could not be sent: not again at once
        for kind in peer.clock.expired(now):
            self._outbox.report(Notification(kind=kind, peer_id=peer.peer_id))
        self._peers.schedule(peer)

    def _pump_link(self, link_id: LinkId, now: float) -> None:
        link = self._links.get(link_id)
        if link is None:
            return
        try:
            link.flush()
            room = BATCH if self._switch is not None else self._outbox.control_room
            arrived = link.receive(min(BATCH, room)) if room > 0 else []
        except LinkBroken as broken:
            self._lose_link(link_id, broken)
            return
        for one in arrived:
            self._take(link_id, one, now)
        self._write_waiting(now)
        self._links.note(link_id)

    def _take(self, link_id: LinkId, arrived: Arrived, now: float) -> None:
        """Takes packets from one source: those with one header together."""
        for header, group in groupby(arrived.packets, key=formats.header_of):
            packets = list(group)
            if not header:
                self._unassigned["malformed"] += len(packets)
            elif not self._has_headers or formats.opcode_of(header) in formats.DATA_OPCODES:
                self._receive_data(link_id, arrived._replace(packets=packets), now)
            else:
                for packet in packets:
                    self._receive_control(link_id, packet, arrived, now)

    def _receive_control(
        self, link_id: LinkId, packet: bytes, arrived: Arrived, now: float
    ) -> None:
        source = arrived.source
        if len(packet) > MAX_CONTROL_LENGTH:
            self._unassigned["malformed"] += 1
        elif source is not None and is_hard_reset(packet) and not self._resets.take(now):
            self._unassigned["hard-reset-flood"] += 1
        else:
            is_stranger = (
                self._switch is not None
                and source is not None
                and self._peers.at(link_id, source) is None
            )
            endpoint = endpoint_of(source) if source is not None else None
            control = ControlPacket(packet, endpoint, link_id, arrived.local)
            if not self._outbox.control(control, is_stranger=is_stranger) and is_hard_reset(packet):
                self._resets.give(1)

    def _receive_data(self, link_id: LinkId, arrived: Arrived, now: float) -> None:
        """Takes packets with one header from one source."""
        packets, source, local = arrived
        try:
            header = formats.decode_header(packets[0]) if self._has_headers else formats.NO_HEADER
        except Malformed as bad:
            self._unassigned[bad.reason] += len(packets)
            return
        peer = self._find_sender(header.peer_id, link_id, source)
        if peer is None:
            self._unassigned["no-peer"] += len(packets)
            return
        moved = source is not None and (link_id, source) != (peer.link, peer.address)
        if moved and not self._may_move(peer, link_id, source):
            peer.counters.drops["source"] += len(packets)
            return
        opened, refusals = peer.open(header, packets, now)
        self._outbox.report_all(peer.worn_keys())
        if source is None and refusals & {"auth", "malformed", "replay"}:
            self._outbox.report(
                Notification(
                    kind=NotificationKind.DECRYPT_ERROR,
                    peer_id=peer.peer_id,
                    key_id=header.key_id,
                    link=link_id,
                )
            )
        if not opened:
            return
        if peer.clock.received(now):
            self._peers.schedule(peer)
        if moved and source is not None:
            self._float(peer, link_id, source, local)
        elif local is not None:
            peer.local = local
        payloads, reports = peer.unwrap(opened, now)
        self._outbox.report_all(reports)
        self._deliver(peer, payloads, now)

    def _deliver(self, peer: ReferencePeer, payloads: Sequence[bytes], now: float) -> None:
        inner = [it for it in payloads if it != PING and self._is_inner(peer, it)]
        if self._switch is not None:
            for packets in self._layer.together(inner):
                self._switch_from(self._switch, peer, packets, now)
            return
        inner = self._clamped(peer, inner)
        if peer.payload is not None:
            inner = [peer.payload.translate(packet, Direction.IN) for packet in inner]
        self._write(peer, inner)

    def _is_inner(self, peer: ReferencePeer, payload: bytes) -> bool:
        """Tells whether a payload is for the device; looks after what is not."""
        if payload.startswith(formats.OCC_MAGIC):
            self._outbox.report(
                Notification(kind=NotificationKind.OCC, peer_id=peer.peer_id, payload=payload)
            )
            return False
        if self._layer.is_whole(payload):
            return True
        peer.counters.drops["not-ip"] += 1
        if looks_framed(payload):
            self._outbox.report_all(peer.framing_report(payload[0]))
        return False

    def _write(self, peer: ReferencePeer, inner: Sequence[bytes]) -> None:
        """Gives packets of a peer to the device, with those that came with them."""
        self._waiting.append((peer, inner))

    def _write_waiting(self, now: float) -> None:
        waiting, self._waiting = self._waiting, []
        for peer, group in groupby(waiting, key=itemgetter(0)):
            packets = [packet for _, inner in group for packet in inner]
            try:
                refused = [] if self._tun is None else self._tun.write(packets)
            except TunBroken as broken:
                self._lose_tun(broken)
                return
            _, size = peer.counters.count(peer.counters.tun_write, packets, refused)
            peer.clock.crossed_tun(size, now)

    def _switch_from(
        self, switch: Switch, peer: ReferencePeer, packets: Sequence[bytes], now: float
    ) -> None:
        """Takes packets of a server's peer, with the same addresses, to where they belong."""
        inner = packets[0]
        try:
            has_room = self._outbox.report_room > 0
            self._outbox.report_all(switch.check_source(peer, inner, now, may_learn=has_room))
            answers = peer.refused_ipv6(packets, self._layer)
            if answers is not None:
                self._send_data(peer, answers, now)
                return
            packets = self._clamped(peer, packets)
            verdict = switch.from_peer(peer, packets[0])
        except Dropped as bad:
            peer.counters.drops[bad.reason] += len(packets)
            if bad.reason == "source-address":
                self._outbox.report_all(peer.bad_source_report(switch.source_of(inner), now))
            return
        self._hand_out(verdict, packets, peer, now)
        if verdict.to_device is not None:
            self._write(peer, packets if len(packets) > 1 else [verdict.to_device])
        elif verdict.peer is not None:
            peer.clock.crossed_tun(sum(map(len, packets)), now)

    def _hand_out(
        self,
        verdict: Verdict,
        packets: Sequence[bytes],
        sender: ReferencePeer | None,
        now: float,
    ) -> None:
        """Sends packets to the peers that they are for."""
        targets: Sequence[ReferencePeer] = ()
        if verdict.to_all and self._switch is not None:
            targets = self._switch.members(
                verdict, self._peers, None if sender is None else sender.peer_id
            )
            if sender is not None and not self._broadcasts.take(now, len(targets)):
                sender.counters.drops["broadcast-flood"] += 1
                return
        elif verdict.peer is not None:
            found = self._peers.get(verdict.peer)
            targets = () if found is None else (found,)
        for target in targets:
            self._send_inner(target, packets, sender, now)

    def _pump_tun(self, now: float) -> None:
        moved = 0
        while moved < BATCH and self._tun is not None and not self._must_wait(now):
            most = 1 if self._is_shaped() else BATCH - moved
            try:
                packets = self._tun.read(most)
            except TunBroken as broken:
                self._lose_tun(broken)
                return
            moved += len(packets)
            for group in self._layer.together(packets):
                self._forward(group, now)
            if len(packets) < most:
                return

    def _must_wait(self, now: float) -> bool:
        """True while a client's link has to take what waits, or its limit lets nothing pass."""
        if self._switch is not None:
            return False
        link = self._links.get(FIRST_LINK)
        return (link is not None and link.is_congested()) or self._shaped_until() > now

    def _forward(self, packets: Sequence[bytes], now: float) -> None:
        """Takes packets of the device, with the same addresses, to whom these are routed to."""
        inner = packets[0]
        if self._switch is not None:
            try:
                verdict = self._switch.from_device(inner)
            except Dropped as bad:
                self._unassigned[bad.reason] += len(packets)
                return
            # Frames, which may lose a tag here, come one by one.
            packets = packets if len(packets) > 1 else [verdict.packet]
            self._hand_out(verdict, packets, None, now)
            return
        if not self._layer.is_whole(inner):
            self._unassigned["malformed" if self._layer.is_ethernet else "not-ip"] += len(packets)
            return
        peer = self._find_receiver(inner)
        if peer is None:
            self._unassigned["no-route"] += len(packets)
            return
        self._send_inner(peer, packets, None, now)

    def _send_inner(
        self,
        peer: ReferencePeer,
        packets: Sequence[bytes],
        sender: ReferencePeer | None,
        now: float,
    ) -> None:
        """Sends packets of the device, or of another peer, to a peer; they have one destination."""
        inner = packets[0]
        size = peer.counters.count(peer.counters.tun_read, packets)[1] if sender is None else 0
        remote = peer.remote if self._relay is None else self._relay
        if (
            peer.config.drop_recursive
            and remote is not None
            and remote.address.packed == self._layer.destination(inner)
        ):
            peer.counters.drops["recursive"] += len(packets)
            return
        answers = peer.refused_ipv6(packets, self._layer) if sender is None else None
        if answers is not None:
            self._answer(sender, answers, now)
            return
        if peer.inner_mtu is not None:
            packets, answers = peer.fit_path(packets, peer.inner_mtu, self._layer, now)
            self._answer(sender, answers, now)
            if not packets:
                return
            size = sum(map(len, packets))
        if sender is None:
            peer.clock.crossed_tun(size, now)
        tos = peer.payload.tos_of(inner) if peer.payload is not None else 0
        self._send_data(peer, self._clamped(peer, packets), now, tos)

    def _answer(self, sender: ReferencePeer | None, answers: Sequence[bytes], now: float) -> None:
        """Answers the device, or a peer, instead of sending what came from there."""
        if sender is not None:
            self._send_data(sender, answers, now)
        elif answers and self._tun is not None:
            try:
                self._tun.write(answers)
            except TunBroken as broken:
                self._lose_tun(broken)

    def _clamped(self, peer: ReferencePeer, packets: Sequence[bytes]) -> list[bytes]:
        return self._layer.clamped(packets, peer.config.mss_ipv4, peer.config.mss_ipv6)

    def _find_receiver(self, inner: bytes) -> ReferencePeer | None:
        """The peer that a client's packet from tun is for; on a tap device the only one."""
        if self._layer.is_ethernet:
            return self._peers.lone()
        address = destination(inner)
        return None if address is None else self._peers.get(self._routes.find(address))

    def _send_data(
        self, peer: ReferencePeer, payloads: Sequence[bytes], now: float, tos: int = 0
    ) -> None:
        link = self._links.get(peer.link)
        if link is None or not payloads:
            return
        if self._switch is not None and link.waiting() >= self._switch.rules.tcp_queue_limit:
            # Before it is sealed: on a stream packet-ids have no gaps.
            peer.counters.drops["link-full"] += len(payloads)
            return
        packets = peer.seal(peer.wrap(payloads))
        self._outbox.report_all(peer.worn_keys())
        if not packets:
            return
        if peer.payload is not None:
            peer.payload.charge(sum(map(len, packets)), now)
        try:
            refused = link.send(packets, Way(peer.address, tos, peer.local))
        except LinkBroken as broken:
            self._lose_link(peer.link, broken)
            return
        self._links.note(peer.link)
        if any(reason == "link-emsgsize" for reason, _ in refused):
            self._outbox.report_all(peer.too_long_report(self._relay, now))
        if peer.counters.count(peer.counters.link_write, packets, refused)[0]:
            peer.clock.sent(now)

    def _payload(self, terms: PayloadTerms) -> Payload | None:
        if terms == PayloadTerms():
            return None
        return Payload(terms, mtu=self._mtu, is_ethernet=self._layer.is_ethernet)

    # --- peers and addresses ---------------------------------------------------------------

    def _peer(self, operation: str, peer_id: PeerId) -> ReferencePeer:
        self._require_open(operation, peer_id)
        peer = self._peers.get(peer_id)
        if peer is None:
            raise DataPlaneError(operation, peer_id, errno.ENOENT)
        return peer

    @staticmethod
    def _require_stream(link: Link, unread: bytes, unsent: bytes) -> None:
        if (unread or unsent) and link.transport is Transport.UDP:
            raise LocalMisuse("a UDP link has no bytes of a stream")

    def _require_open(self, operation: str, peer_id: PeerId = UNDEFINED_PEER_ID) -> None:
        if self._waker.fd < 0:
            raise DataPlaneError(operation, peer_id, errno.EBADF)

    def _find_sender(
        self, peer_id: int | None, link_id: LinkId, source: SocketAddress | None
    ) -> ReferencePeer | None:
        """By peer-id, or by address where the packet has none; on a stream by the stream.

        A client's lone peer, its server, is meant whatever the packet says.
        """
        if self._switch is None and (lone := self._peers.lone()) is not None:
            return lone
        if peer_id in (None, UNDEFINED_PEER_ID) or source is None:
            return self._peers.at(link_id, source)
        return self._peers.get(PeerId(peer_id or 0))

    def _place(self, peer: ReferencePeer) -> None:
        """Works out the form of the peer's remote that its link's socket uses."""
        link = self._links.get(peer.link)
        peer.on_stream = isinstance(link, TcpLink)
        address = None
        if link is not None and peer.remote is not None and not peer.on_stream:
            address = link.to_socket_address(peer.remote)
        self._peers.move(peer, peer.link, address)

    def _may_move(self, peer: ReferencePeer, link_id: LinkId, source: SocketAddress | None) -> bool:
        if not peer.config.allow_float or self._relay is not None or peer.on_stream:
            return False
        return self._peers.at(link_id, source) is None

    def _float(
        self,
        peer: ReferencePeer,
        link_id: LinkId,
        source: SocketAddress,
        local: IPAddress | None,
    ) -> None:
        self._peers.move(peer, link_id, source)
        peer.remote = endpoint_of(source)
        peer.local = local
        self._outbox.report(
            Notification(
                kind=NotificationKind.FLOATED,
                peer_id=peer.peer_id,
                remote=peer.remote,
                link=link_id,
                local=local,
            )
        )

    # --- learnt addresses ------------------------------------------------------------------

    def _forget_stale(self, now: float) -> None:
        if self._switch is None or now < self._stale_at:
            return
        room = self._outbox.report_room
        age = self._switch.rules.stale_age
        self._outbox.report_all(self._switch.learned.forget_stale(age, now, room))
        self._schedule_ageing(now)

    def _schedule_ageing(self, now: float) -> None:
        if self._switch is not None and self._switch.rules.stale_age:
            rules = self._switch.rules
            self._stale_at = now + (rules.stale_interval or rules.stale_age)

    # --- reports and descriptors -----------------------------------------------------------

    def _shaped_until(self) -> float:
        """The instant from which the limit of a client's one peer lets more be sent."""
        lone = self._peers.lone()
        return 0.0 if lone is None or lone.payload is None else lone.payload.ready_at

    def _is_shaped(self) -> bool:
        lone = self._peers.lone()
        return lone is not None and lone.payload is not None and lone.payload.is_shaped

    def _lone_peer_id(self) -> PeerId:
        lone = self._peers.lone() if self._switch is None else None
        return UNDEFINED_PEER_ID if lone is None else lone.peer_id

    def _lose_link(self, link_id: LinkId, broken: LinkBroken) -> None:
        if not self._links.remove(link_id):
            return
        on_stream = self._peers.at(link_id, None)
        self._outbox.report(
            Notification(
                kind=NotificationKind.LINK_LOST,
                peer_id=self._lone_peer_id() if on_stream is None else on_stream.peer_id,
                errno=broken.errno,
                link=link_id,
            )
        )
        self._settle()

    def _lose_tun(self, broken: TunBroken) -> None:
        self._close_tun()
        self._outbox.report(
            Notification(
                kind=NotificationKind.TUN_LOST, peer_id=self._lone_peer_id(), errno=broken.errno
            )
        )
        self._settle()

    def _close_tun(self) -> None:
        if self._tun is not None:
            self._waker.forget(self._tun.fd)
            self._tun.close()
            self._tun = None

    def _settle(self) -> None:
        """Makes ``fileno`` readable exactly when there is something to do."""
        if self._waker.fd < 0:
            return
        now = self._clock()
        takes_control = self._switch is not None or self._outbox.control_room > 0
        self._links.note(FIRST_LINK, readable=takes_control)
        if self._tun is not None:
            self._waker.watch(self._tun.fd, 0 if self._must_wait(now) else select.EPOLLIN)
        shaped = self._shaped_until() if self._switch is None else 0.0
        self._waker.settle(
            has_work=len(self._outbox) > 0 or self._links.has_records(),
            deadline=min(
                self._peers.next_deadline(), self._stale_at, shaped if shaped > now else NEVER
            ),
            now=now,
        )
