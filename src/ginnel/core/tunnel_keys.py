"""The data keys of one peer, over sessions that fail and begin anew: for client and server alike.

Responsible for handing every data key to the key ring in time, and for counting what asks for a new
one. When a negotiation or a session begins is the machines' business; the slots of the data plane
are ``key_ring``'s.
"""

from ginnel.core.key_derivation import SessionPair
from ginnel.core.key_ring import KeyRing
from ginnel.core.negotiate import Agreement
from ginnel.core.negotiation import Negotiation
from ginnel.core.types import ActionId, Instant, KeyId, PeerId
from ginnel.hints import Protocol
from ginnel.options.model import TlsOptions


class KeyOutbox(Protocol):
    """Where the key actions go."""

    def next_action_id(self) -> ActionId:
        """A fresh id."""
        ...

    def drain_ring(self, ring: KeyRing) -> None:
        """Takes over the key actions that a ring wants done."""
        ...


class TunnelKeys:
    """The keys of a tunnel whose terms are agreed on."""

    def __init__(
        self,
        *,
        peer_id: PeerId,
        agreement: Agreement,
        tls: TlsOptions,
        reneg_sec: int,
        outbox: KeyOutbox,
        now: Instant,
    ) -> None:
        """``peer_id`` is the peer's handle in the data plane.

        ``reneg_sec`` are the seconds between renegotiations, those of ``tls`` or drawn near them.
        """
        self.agreement = agreement
        self._tls = tls
        self._reneg_sec = reneg_sec
        self._outbox = outbox
        self._ring = KeyRing(peer_id, outbox.next_action_id)
        self._key_since = now
        self._peer_interval: float | None = None
        self._bytes, self._packets = 0, 0
        self._bytes_at_key, self._packets_at_key = 0, 0

    @property
    def is_usable(self) -> bool:
        """Whether there is a key that packets are sealed with."""
        return self._ring.primary is not None

    def seals_with(self, key_id: KeyId) -> bool:
        """Whether packets are sealed with this key."""
        return self._ring.primary == key_id

    # --- keys ----------------------------------------------------------------------------------

    def listen_ahead(self, negotiation: Negotiation) -> None:
        """Installs a following key before our key method message lets the peer use it.

        Data packets must not overtake the key, and nothing obliges a peer to wait before it moves
        to it. The legacy derivation needs the peer's message, so its keys come with that.
        """
        if negotiation.key.key_id != 0 and self.agreement.tls_ekm:
            self._ring.listen(negotiation.export_key(self.agreement))
            self._outbox.drain_ring(self._ring)

    def settle(
        self,
        negotiation: Negotiation,
        pair: SessionPair,
        now: Instant,
        *,
        at_once: bool = False,
    ) -> ActionId | None:
        """Puts the key of a finished negotiation to work; the id of its InstallKey, if there is.

        Its share of the traffic starts at zero. ``at_once``: the peer has no other key any more.
        """
        switch_at = now if at_once else negotiation.key.started + self._switch_delay()
        key = negotiation.derive(pair, self.agreement)
        action_id = None
        if not self._ring.promote(key.key_id, switch_at):
            action_id = self._ring.install(key, switch_at)
        if at_once:
            self._ring.handle_timeout(now)
        self._outbox.drain_ring(self._ring)
        self._key_since = now
        self._bytes_at_key, self._packets_at_key = self._bytes, self._packets
        return action_id

    def expire_key(self, now: Instant) -> None:
        """A new negotiation began: the key in use lives on for the transition window at most."""
        self._ring.expire_primary(now, now + self._tls.tran_window)
        self._outbox.drain_ring(self._ring)

    def handle_timeout(self, now: Instant) -> bool:
        """Switches and forgets keys that are due; False when no usable one is left."""
        usable = self._ring.handle_timeout(now)
        if usable:
            self._outbox.drain_ring(self._ring)
        return usable

    def next_timeout(self) -> Instant | None:
        """When ``handle_timeout`` has something to do."""
        return self._ring.next_timeout()

    # --- what asks for new keys ----------------------------------------------------------------

    def note_peer_reset(self, now: Instant) -> None:
        """The peer began a negotiation: how often it does is observed, for it does not tell."""
        self._peer_interval = now - self._key_since

    def count_traffic(self, total_bytes: int, total_packets: int) -> str | None:
        """Takes the counters of the tun side. Why a new key is due; None when it is not."""
        self._bytes, self._packets = total_bytes, total_packets
        used_bytes = total_bytes - self._bytes_at_key
        used_packets = total_packets - self._packets_at_key
        tls = self._tls
        limit = tls.reneg_bytes or 0
        if 0 < limit <= used_bytes or 0 < tls.reneg_pkts <= used_packets:
            return f"bytes={used_bytes} pkts={used_packets}"
        return None

    def describe_use(self, now: Instant) -> str:
        """How long and how much the newest key was used, and its limits, in OpenVPN's words."""
        tls = self._tls
        limit = -1 if tls.reneg_bytes is None else tls.reneg_bytes
        return (
            f"sec={int(now - self._key_since)}/{self._reneg_sec} "
            f"bytes={self._bytes - self._bytes_at_key}/{limit} "
            f"pkts={self._packets - self._packets_at_key}/{tls.reneg_pkts}"
        )

    def _switch_delay(self) -> float:
        """Seconds from the start of a negotiation until sending moves to its key.

        As protocol-facts 11: half the renegotiation interval, at most hand-window. The observed
        interval of the peer counts as well: a server drops the key before the last as soon as it
        begins anew, and what we send with that key until then would be lost.
        """
        limits = [float(self._tls.hand_window)]
        if self._reneg_sec:
            limits.append(self._reneg_sec / 2)
        if self._peer_interval is not None:
            limits.append(self._peer_interval / 2)
        return min(limits)
