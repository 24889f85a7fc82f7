"""One peer of the reference engine: its two key slots, counters and keepalive clocks.

Not responsible for descriptors; the engine hands packets in and carries packets away.
"""

from collections.abc import Sequence

from ginnel.core.data_key import KeySlot
from ginnel.core.errors import Malformed
from ginnel.core.types import Endpoint, PeerId
from ginnel.dataplane.api import (
    Keepalive,
    Notification,
    NotificationKind,
    PeerConfig,
)
from ginnel.dataplane.formats import DataHeader
from ginnel.dataplane.reference_counters import PeerCounters
from ginnel.dataplane.reference_keys import Dropped, PacketKey
from ginnel.dataplane.reference_layer import Layer
from ginnel.dataplane.reference_link import SocketAddress
from ginnel.dataplane.reference_payload import Payload

NEVER = float("inf")

BAD_SOURCE_PAUSE = 1.0
"""Seconds between two reports on one peer's bad sources."""

TOO_LONG_PAUSE = 1.0
"""Seconds between two reports on one peer's packets that are too long for the path."""

ANSWER_COST = 0.001
ANSWER_CREDIT = 0.05
"""What an answer to a packet that is too long for the path of its peer costs, in seconds, and how
many of them may be owed: as many a second, and at once, as Linux sends ICMP errors."""


class KeepaliveClock:
    """Deadlines of ping, silence and inactivity (protocol-facts 12); each report comes once.

    A packet only notes its time; the deadlines are worked out when they are asked for.
    """

    def __init__(self, keepalive: Keepalive, now: float) -> None:
        self._keepalive = keepalive
        self._sent_at = now
        self._received_at = now
        self._active_at = now
        self._moved = 0
        self._silent = False
        self._inactive = False

    def sent(self, now: float) -> None:
        self._sent_at = now

    def received(self, now: float) -> bool:
        """An authenticated packet came; True when that ends a silence, which may come again."""
        self._received_at = now
        was_silent, self._silent = self._silent, False
        return was_silent

    def crossed_tun(self, size: int, now: float) -> None:
        self._moved += size
        if self._moved >= self._keepalive.inactive_bytes:
            self._moved = 0
            self._active_at = now

    def ping_is_due(self, now: float) -> bool:
        interval = self._keepalive.ping_interval
        return bool(interval) and now >= self._sent_at + interval

    def expired(self, now: float) -> list[NotificationKind]:
        """What is to be reported now."""
        limits = self._keepalive
        kinds = []
        if limits.ping_timeout and not self._silent:
            self._silent = now >= self._received_at + limits.ping_timeout
            if self._silent:
                kinds.append(NotificationKind.SILENT)
        if limits.inactive_seconds and not self._inactive:
            self._inactive = now >= self._active_at + limits.inactive_seconds
            if self._inactive:
                kinds.append(NotificationKind.INACTIVE)
        return kinds

    def next_deadline(self) -> float:
        """The earliest instant at which something may be due; never when nothing is set."""
        limits = self._keepalive
        deadlines = [NEVER]
        if limits.ping_interval:
            deadlines.append(self._sent_at + limits.ping_interval)
        if limits.ping_timeout and not self._silent:
            deadlines.append(self._received_at + limits.ping_timeout)
        if limits.inactive_seconds and not self._inactive:
            deadlines.append(self._active_at + limits.inactive_seconds)
        return min(deadlines)


class ReferencePeer:
    """Keys by slot, and what is remembered about one peer."""

    def __init__(self, config: PeerConfig, payload: Payload | None, now: float) -> None:
        self.config = config
        self.payload = payload
        """None when nothing is done to payloads beside sealing."""
        self.remote = config.remote
        self.link = config.link
        self.local = config.local
        self.address: SocketAddress | None = None
        self.on_stream = False
        """Its link is a stream, which has no addresses."""
        self.due_at = NEVER
        """When the engine looks at its clock."""
        self.bad_source_at = -NEVER
        """When a bad source was last reported."""
        self.too_long_at = -NEVER
        """When a packet too long for the path was last reported."""
        self.inner_mtu: int | None = None
        """How long a packet inside may be; None for any length."""
        self.answers_until = -NEVER
        """When all answers to longer ones are paid for."""
        self.slots: dict[KeySlot, PacketKey] = {}
        self.counters = PeerCounters()
        self.clock = KeepaliveClock(Keepalive(), now)
        self._worn: set[int] = set()
        self._reported_framing = False

    @property
    def peer_id(self) -> PeerId:
        return self.config.peer_id

    def restart_clock(self, keepalive: Keepalive, now: float) -> None:
        self.clock = KeepaliveClock(keepalive, now)

    def install(self, slot: KeySlot, key: PacketKey) -> None:
        self.slots[slot] = key
        self._worn.discard(id(key))

    def swap(self) -> None:
        """Exchanges the slots; an empty one moves as well."""
        self.slots = {
            KeySlot.SECONDARY if slot is KeySlot.PRIMARY else KeySlot.PRIMARY: key
            for slot, key in self.slots.items()
        }

    def seal(self, plaintexts: Sequence[bytes]) -> list[bytes]:
        """Seals with the primary key; counts what it cannot seal as drops."""
        key = self.slots.get(KeySlot.PRIMARY)
        if key is None:
            self.counters.drops["no-key"] += len(plaintexts)
            return []
        sealed: list[bytes] = []
        try:
            sealed.extend(map(key.seal, plaintexts))  # keeps those before the one that fails
        except Dropped as bad:
            self.counters.drops[bad.reason] += len(plaintexts) - len(sealed)
        return sealed

    def open(
        self, header: DataHeader, packets: Sequence[bytes], now: float
    ) -> tuple[list[bytes], set[str]]:
        """Opens packets with the key of their header's key_id, in either slot.

        Also returns why the others were dropped. All are counted.
        """
        opened: list[bytes] = []
        key = self._key_of(header.key_id)
        refused = []
        for packet in packets:
            try:
                if key is None:
                    raise Dropped("no-key")
                opened.append(key.open(header, packet, now))
            except (Dropped, Malformed) as bad:
                refused.append((bad.reason, [packet]))
        self.counters.count(self.counters.link_read, packets, refused)
        return opened, {reason for reason, _ in refused}

    def _key_of(self, key_id: int) -> PacketKey | None:
        for slot in KeySlot:
            key = self.slots.get(slot)
            if key is not None and key.key_id == key_id:
                return key
        return None

    def too_long_report(self, relay: Endpoint | None, now: float) -> list[Notification]:
        """That the path takes only shorter packets, if that is to be said again."""
        if self.on_stream or now < self.too_long_at + TOO_LONG_PAUSE:
            return []
        self.too_long_at = now
        return [
            Notification(
                kind=NotificationKind.TOO_LONG,
                peer_id=self.peer_id,
                remote=relay or self.remote,
                link=self.link,
                local=self.local,
            )
        ]

    def bad_source_report(self, address: bytes, now: float) -> list[Notification]:
        """What is said of an inner source that is not the peer's, once in a while."""
        if address[:1] == b"\xfe" and len(address) == 16 and address[1] >> 6 == 2:
            return []  # every IPv6 host has a link-local address and uses it at times
        if now < self.bad_source_at + BAD_SOURCE_PAUSE:
            return []
        self.bad_source_at = now
        kind = NotificationKind.BAD_SOURCE
        return [Notification(kind=kind, peer_id=self.peer_id, payload=address)]

    def refused_ipv6(self, packets: Sequence[bytes], layer: Layer) -> list[bytes] | None:
        """What answers IPv6 that is blocked; None for packets that may pass."""
        router = self.config.payload.block_ipv6
        answers = None if router is None else layer.no_ipv6(packets, router)
        if answers is not None:
            self.counters.drops["blocked-ipv6"] += len(packets)
        return answers

    def fit_path(
        self, packets: Sequence[bytes], mtu: int, layer: Layer, now: float
    ) -> tuple[list[bytes], list[bytes]]:
        """What to send of packets, and the answers to those that the path does not take."""
        fitting: list[bytes] = []
        answers: list[bytes] = []
        for packet in packets:
            parts, answer = layer.fit(packet, mtu)
            fitting += parts
            if answer is None:
                continue
            self.counters.drops["link-emsgsize"] += 1
            if self.answers_until <= now + ANSWER_CREDIT:
                self.answers_until = max(self.answers_until, now) + ANSWER_COST
                answers.append(answer)
        return fitting, answers

    def wrap(self, payloads: Sequence[bytes]) -> Sequence[bytes]:
        """What is to be sealed for payloads; a drop is counted for each that gives nothing."""
        if self.payload is None:
            return payloads
        wrapped = [self.payload.wrap(payload) for payload in payloads]
        if not all(wrapped):
            self.counters.drops["link-emsgsize"] += wrapped.count([])
        return [part for parts in wrapped for part in parts]

    def unwrap(
        self, payloads: Sequence[bytes], now: float
    ) -> tuple[Sequence[bytes], list[Notification]]:
        """Opened payloads as they were before ``wrap``, and what is to be reported.

        Parts of one are kept until it is whole; a drop is counted for what does not fit.
        """
        if self.payload is None:
            return payloads, []
        whole: list[bytes] = []
        reports: list[Notification] = []
        for payload in payloads:
            try:
                unwrapped = self.payload.unwrap(payload, now)
            except Malformed as bad:
                self.counters.drops[bad.reason] += 1
                if bad.reason in ("framing", "compressed"):
                    reports += self.framing_report(self.payload.refused)
            else:
                whole += [] if unwrapped is None else [unwrapped]
        return whole, reports

    def framing_report(self, first: int) -> list[Notification]:
        """Says, the first time only, that the peer's framing is another one than ours."""
        if self._reported_framing:
            return []
        self._reported_framing = True
        kind = NotificationKind.BAD_FRAMING
        return [Notification(kind=kind, peer_id=self.peer_id, payload=bytes((first,)))]

    def worn_keys(self) -> list[Notification]:
        """Keys that near their end and were not reported yet."""
        reports = []
        for key in self.slots.values():
            if id(key) not in self._worn and key.nears_its_end():
                self._worn.add(id(key))
                reports.append(
                    Notification(
                        kind=NotificationKind.KEY_EXHAUSTED,
                        peer_id=self.peer_id,
                        key_id=key.key_id,
                    )
                )
        return reports
