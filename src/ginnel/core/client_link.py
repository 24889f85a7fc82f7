"""The client's side of the control channel: the session in use and the negotiations in it.

Responsible for starting sessions, for filtering and counting what comes in, for keeping the
negotiation before the newest one, and for addressing packets. What a packet leads to is
``client``'s business.
"""

from collections import Counter
from collections.abc import Callable

from ginnel.core.client_exchange import Negotiation, role
from ginnel.core.client_outbox import Outbox
from ginnel.core.errors import LocalMisuse, Malformed
from ginnel.core.key_session import KeySession
from ginnel.core.messages import encode_message
from ginnel.core.proxy_socks import relay_overhead
from ginnel.core.session import Received, Session, SessionRules, outer_overhead
from ginnel.core.tls import TlsChannel
from ginnel.core.types import Endpoint, Instant, SessionId, Transmit, Transport
from ginnel.core.wire import SESSION_ID_LENGTH
from ginnel.core.wrap import wrapping_for
from ginnel.options.model import ClientOptions, ConnectionProfile, LinkProtocol


class ClientLink:
    """Owns one session at a time; a later one may replace it while the tunnel stays."""

    def __init__(
        self,
        *,
        options: ClientOptions,
        profile: ConnectionProfile,
        remote: Endpoint,
        tls: Callable[[], TlsChannel],
        entropy: Callable[[int], bytes],
        outbox: Outbox,
    ) -> None:
        self._options = options
        self._profile = profile
        self._tls = tls
        self._entropy = entropy
        self._outbox = outbox
        self._session: Session | None = None
        self._negotiations: tuple[Negotiation, ...] = ()
        self.remote = remote
        """Where packets go; moves when the profile allows float."""
        self.transport = Transport.UDP if profile.protocol is LinkProtocol.UDP else Transport.TCP
        self.drops: Counter[str] = Counter()

    @property
    def session(self) -> Session:
        """The session in use; asking before ``begin`` or after ``close`` is a bug."""
        if self._session is None:
            raise LocalMisuse("no session")
        return self._session

    @property
    def is_open(self) -> bool:
        """Whether there is a session."""
        return self._session is not None

    @property
    def current(self) -> Negotiation:
        """The newest negotiation."""
        if not self._negotiations:
            raise LocalMisuse("no negotiation")
        return self._negotiations[-1]

    def is_newest(self, negotiation: Negotiation) -> bool:
        """Whether this is the newest negotiation of the session in use."""
        return bool(self._negotiations) and self._negotiations[-1] is negotiation

    @property
    def negotiations(self) -> tuple[Negotiation, ...]:
        """The negotiation before the newest, if it still answers, and the newest."""
        return self._negotiations

    def begin(self, now: Instant, unix_time: int) -> None:
        """Starts a session, in place of the one before it. ``unix_time`` is the wall clock."""
        self.close()
        side = role(self._options)
        drawn = self._entropy(SESSION_ID_LENGTH)
        own_id = drawn if any(drawn) else bytes((1,)) * SESSION_ID_LENGTH
        self._session = Session(
            session_id=SessionId(own_id),
            wrapping=wrapping_for(self._profile.wrapping, side, unix_time),
            tls=self._tls,
            rules=SessionRules(
                tls_timeout=float(self._options.tls.tls_timeout),
                max_packet_size=self._profile.max_packet_size or self._options.tls.max_packet_size,
                outer_overhead=outer_overhead(self.remote.address.version, self.transport)
                + relay_overhead(self._profile, self.remote),
                need_answer=self._options.pull,
                side=side,
            ),
            now=now,
        )
        self._negotiations = (Negotiation(key=self._session.current, side=side),)

    def receive(self, packet: bytes, source: Endpoint | None, now: Instant) -> Received | None:
        """Takes a packet; None when it was dropped and counted."""
        if self._session is None:
            self.drops["state"] += 1
            return None
        if source is not None and source != self.remote and not self._profile.float:
            self.drops["source"] += 1
            return None
        was_known = self._session.peer_id is not None
        try:
            received = self._session.receive(packet, now)
        except Malformed as bad:
            self.drops[bad.reason] += 1
            return None
        # Without a wrapping whoever listens in could send us after him with a copied packet.
        may_move = self._session.is_wrapped or not was_known
        if source is not None and source != self.remote and may_move:
            self.remote = source
        return received

    def begin_soft_reset(self, now: Instant) -> None:
        """Starts a renegotiation of our own."""
        self.session.begin_soft_reset(now)
        self.adopt_soft_reset()

    def adopt_soft_reset(self) -> None:
        """Follows the session to its newest key session."""
        following = Negotiation(key=self.session.current, side=self.current.side)
        self._negotiations = (self.current, following)

    def say(self, text: str, now: Instant) -> KeySession | None:
        """Sends a control message on the newest negotiation that is open; None without one."""
        for negotiation in reversed(self._negotiations):
            if negotiation.is_open:
                negotiation.key.write(encode_message(text), now)
                return negotiation.key
        return None

    def flush(self, now: Instant) -> None:
        """Wraps what is to be sent."""
        if self._session is None or self.remote.is_anybody:
            return
        destination = self.remote if self.transport is Transport.UDP else None
        for packet in self._session.outgoing(now):
            self._outbox.transmits.append(Transmit(packet, destination))

    def next_timeout(self) -> Instant | None:
        """When a retransmission is due."""
        if self._session is None or self.remote.is_anybody:
            return None
        return self._session.next_timeout()

    def close(self) -> None:
        """Wipes the session's secrets."""
        if self._session is not None:
            self._session.close()
            self._session = None
        self._negotiations = ()
