"""The client's side of the control channel: the session in use and the negotiations in it.

Responsible for starting sessions, for filtering and counting what comes in, for keeping the
negotiation before the newest one, and for addressing packets. What a packet leads to is
``client``'s business.
"""

from collections import Counter
from collections.abc import Callable

from ginnel.core.client_exchange import role
from ginnel.core.client_outbox import Outbox
from ginnel.core.dialogue import Dialogue
from ginnel.core.errors import LocalMisuse, Malformed
from ginnel.core.key_session import KeySession
from ginnel.core.negotiation import Negotiation
from ginnel.core.packet_overhead import relay_overhead
from ginnel.core.session import Received, Session, SessionRules, outer_overhead
from ginnel.core.tls import TlsChannel
from ginnel.core.types import Endpoint, Instant, SessionId, Transmit, Transport
from ginnel.core.wire import SESSION_ID_LENGTH
from ginnel.core.wrap import wrapping_for
from ginnel.core.wrap.api import SivMaker, library_siv
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
        siv: SivMaker = library_siv,
    ) -> None:
        self._options = options
        self._profile = profile
        self._tls = tls
        self._entropy = entropy
        self._outbox = outbox
        self._siv = siv
        self._dialogue: Dialogue | None = None
        self.remote = remote
        """Where packets go; moves when the profile allows float."""
        self.transport = Transport.UDP if profile.protocol is LinkProtocol.UDP else Transport.TCP
        self.drops: Counter[str] = Counter()

    @property
    def dialogue(self) -> Dialogue:
        """The session in use; asking before ``begin`` or after ``close`` is a bug."""
        if self._dialogue is None:
            raise LocalMisuse("no session")
        return self._dialogue

    @property
    def session(self) -> Session:
        """The session in use."""
        return self.dialogue.session

    @property
    def is_open(self) -> bool:
        """Whether there is a session."""
        return self._dialogue is not None

    @property
    def current(self) -> Negotiation:
        """The newest negotiation."""
        return self.dialogue.current

    def is_newest(self, negotiation: Negotiation) -> bool:
        """Whether this is the newest negotiation of the session in use."""
        return self._dialogue is not None and self._dialogue.is_newest(negotiation)

    @property
    def negotiations(self) -> tuple[Negotiation, ...]:
        """The negotiation before the newest, if it still answers, and the newest."""
        return () if self._dialogue is None else self._dialogue.negotiations

    def begin(self, now: Instant, unix_time: int) -> None:
        """Starts a session, in place of the one before it. ``unix_time`` is the wall clock."""
        self.close()
        side = role(self._options)
        drawn = self._entropy(SESSION_ID_LENGTH)
        own_id = drawn if any(drawn) else bytes((1,)) * SESSION_ID_LENGTH
        session = Session(
            session_id=SessionId(own_id),
            wrapping=wrapping_for(self._profile.wrapping, side, unix_time, siv=self._siv),
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
            siv=self._siv,
        )
        self._dialogue = Dialogue(session, side)

    def receive(self, packet: bytes, source: Endpoint | None, now: Instant) -> Received | None:
        """Takes a packet; None when it was dropped and counted."""
        if self._dialogue is None:
            self.drops["state"] += 1
            return None
        session = self._dialogue.session
        if source is not None and source != self.remote and not self._profile.float:
            self.drops["source"] += 1
            return None
        was_known = session.peer_id is not None
        try:
            received = session.receive(packet, now)
        except Malformed as bad:
            self.drops[bad.reason] += 1
            return None
        # Without a wrapping whoever listens in could send us after him with a copied packet.
        may_move = session.is_wrapped or not was_known
        if source is not None and source != self.remote and may_move:
            self.remote = source
        return received

    def begin_soft_reset(self, now: Instant) -> None:
        """Starts a renegotiation of our own."""
        self.dialogue.begin_soft_reset(now)

    def adopt_soft_reset(self) -> None:
        """Follows the session to its newest key session."""
        self.dialogue.adopt_soft_reset()

    def say(self, text: str, now: Instant) -> KeySession | None:
        """Sends a control message on the newest negotiation that is open; None without one."""
        return None if self._dialogue is None else self._dialogue.say(text, now)

    def flush(self, now: Instant) -> None:
        """Wraps what is to be sent."""
        if self._dialogue is None or self.remote.is_anybody:
            return
        destination = self.remote if self.transport is Transport.UDP else None
        for packet in self._dialogue.session.outgoing(now):
            self._outbox.transmits.append(Transmit(packet, destination))

    def next_timeout(self) -> Instant | None:
        """When a retransmission is due."""
        if self._dialogue is None or self.remote.is_anybody:
            return None
        return self._dialogue.session.next_timeout()

    def close(self) -> None:
        """Wipes the session's secrets."""
        if self._dialogue is not None:
            self._dialogue.close()
            self._dialogue = None
