"""The sessions of one client: the one in use, and one that may take its place.

Responsible for finding the session that a packet belongs to, for beginning one with a client's hard
reset, and for addressing packets. A session beside the one in use is trusted with nothing before
its client was let in again (protocol-facts 6). What a packet leads to is ``server``'s business.
"""

from collections import Counter
from collections.abc import Callable

from ginnel.core.control_keys import FIRST_RESETS, ClientKeyClaim, ControlKeys
from ginnel.core.dialogue import Dialogue
from ginnel.core.errors import Malformed
from ginnel.core.frequency import FrequencyLimit
from ginnel.core.key_session import KeySession
from ginnel.core.listener import Admission
from ginnel.core.negotiation import Judging
from ginnel.core.server_outbox import ServerOutbox
from ginnel.core.session import (
    FIRST_KEY,
    Progress,
    Session,
    SessionRules,
    SoftResetByPeer,
    outer_overhead,
)
from ginnel.core.timers import earliest
from ginnel.core.tls import TlsChannel, TlsPeer
from ginnel.core.types import Endpoint, Instant, SessionId, Side, Transmit, Transport
from ginnel.core.wire import HEADER_LENGTH, SESSION_ID_LENGTH, ControlHeader, decode_header
from ginnel.core.wrap import Wrapping
from ginnel.dataclass import dataclass, field
from ginnel.options.server_model import ServerOptions

UNDISTURBED = 10.0
"""Seconds that a session beside the one in use has, once something was said inside TLS."""

LATER_SESSIONS = (10, 60)
"""Sessions beside or after the first that a client may begin in so many seconds."""


@dataclass(slots=True, kw_only=True)
class Guest:
    """One session of the client, and what is known of it inside."""

    talk: Dialogue
    peer: TlsPeer | None = None
    """Of the newest TLS handshake, until the client was let in by it."""
    peer_info: dict[str, str] = field(default_factory=dict)
    items: dict[str, str] = field(default_factory=dict)
    """The client's options string, parsed."""
    claim: ClientKeyClaim | None = None
    """What the client's own tls-crypt-v2 key says."""
    key_number: int = 0
    """Of the newest negotiation that the client introduced itself in (``KID``)."""
    is_refused: bool = False
    """It was turned away; only its last words are still to arrive."""
    wants_push: bool = False
    """The client asked for its options before there were any."""

    @property
    def is_judged(self) -> bool:
        """Whether somebody decides about its newest login."""
        return not self.is_refused and isinstance(self.talk.current.phase, Judging)


@dataclass(frozen=True, slots=True)
class Heard:
    """A packet was taken in."""

    guest: Guest
    said: bool = True
    """False when it did no more than acknowledge."""
    began: bool = False
    """It began the session."""
    is_first: bool = False
    """That is the client's first session."""
    soft_reset: bool = False
    """It began a new negotiation."""


class ServerLink:
    """Owns one session at a time, and a second one that may replace it."""

    def __init__(
        self,
        *,
        options: ServerOptions,
        keys: ControlKeys,
        tls: Callable[[], TlsChannel],
        entropy: Callable[[int], bytes],
        remote: Endpoint,
        transport: Transport,
        outbox: ServerOutbox,
    ) -> None:
        self._options = options
        self._keys = keys
        self._tls = tls
        self._entropy = entropy
        self._outbox = outbox
        self.remote = remote
        self.transport = transport
        self.active: Guest | None = None
        """The session in use; None before the first, and when one failed under a live key.

        After the first it is one that was let in.
        """
        self.newcomer: Guest | None = None
        """A later session, until it is let in."""
        self.drops: Counter[str] = Counter()
        self._claim: ClientKeyClaim | None = None
        self._has_begun = False
        self._later_sessions = FrequencyLimit(LATER_SESSIONS)

    @property
    def guests(self) -> tuple[Guest, ...]:
        """All sessions, the one in use first."""
        if self.newcomer is None:
            return () if self.active is None else (self.active,)
        return (self.newcomer,) if self.active is None else (self.active, self.newcomer)

    @property
    def judged(self) -> Guest | None:
        """The session whose login is being judged; a later one before the one in use."""
        return next((guest for guest in reversed(self.guests) if guest.is_judged), None)

    def admit(self, admission: Admission, own: SessionId, now: Instant) -> Guest:
        """Begins the session of a client that quoted ``own``, the id the listener gave it."""
        self.active = self._guest(
            admission.wrapping,
            now,
            own=own,
            met=admission.client_session,
            claim=admission.claim,
        )
        return self.active

    def receive(
        self, packet: bytes, source: Endpoint | None, now: Instant, unix_time: int | None
    ) -> Heard | None:
        """Takes a packet; None when it was dropped and counted.

        ``unix_time`` is the wall clock in seconds; with None no session may begin any more.
        """
        if source is not None and source != self.remote:
            self.drops["source"] += 1
            return None
        try:
            return self._receive(packet, now, unix_time)
        except Malformed as bad:
            self.drops[bad.reason] += 1
            return None

    def promote(self, guest: Guest) -> None:
        """The client was let in over another session: it is the one in use from now on."""
        if self.newcomer is guest:
            self.newcomer = None
            if self.active is not None:
                self.active.talk.close()
            self.active = guest

    def dismiss(self, guest: Guest) -> None:
        """Ends a session."""
        guest.talk.close()
        if self.active is guest:
            self.active = None
        if self.newcomer is guest:
            self.newcomer = None

    def say(self, text: str, now: Instant) -> KeySession | None:
        """Sends a control message over the session in use; None when that cannot carry it."""
        return None if self.active is None else self.active.talk.say(text, now)

    def flush(self, now: Instant) -> None:
        """Wraps what is to be sent."""
        destination = self.remote if self.transport is Transport.UDP else None
        for guest in self.guests:
            for packet in guest.talk.session.outgoing(now):
                self._outbox.transmits.append(Transmit(packet, destination))

    def next_timeout(self) -> Instant | None:
        """When a retransmission is due."""
        return earliest(*[guest.talk.session.next_timeout() for guest in self.guests])

    def close(self) -> None:
        """Wipes all secrets."""
        for guest in self.guests:
            self.dismiss(guest)

    def _receive(self, packet: bytes, now: Instant, unix_time: int | None) -> Heard:
        named = packet[1:HEADER_LENGTH]
        for guest in self.guests:
            if guest.talk.session.peer_id == named:
                received = guest.talk.session.receive(packet, now)
                if isinstance(received, SoftResetByPeer):
                    guest.talk.adopt_soft_reset()
                    return Heard(guest, soft_reset=True)
                said = not isinstance(received, Progress) or received.said
                return Heard(guest, said)
        if unix_time is None:
            raise Malformed("state")
        return self._begin(packet, decode_header(packet), now, unix_time)

    def _begin(self, packet: bytes, header: ControlHeader, now: Instant, unix_time: int) -> Heard:
        """The client begins a session: its first, or another one because it lost that.

        A later one must come with what the first one's tls-crypt-v2 key says, which was judged.
        """
        if header.opcode not in FIRST_RESETS or header.key_id != FIRST_KEY:
            raise Malformed("no-session")
        if self.newcomer is not None and _gets_on(self.newcomer, now):
            raise Malformed("other-session")
        if self.active is not None and self._options.tls.single_session:
            raise Malformed("single-session")
        opened = self._keys.open(packet, header, unix_time=unix_time)
        if opened.body.acks or opened.body.message_id != 0:
            raise Malformed("unsolicited-reset")
        is_first = not self._has_begun
        if not is_first and opened.claim != self._claim:
            raise Malformed("client-key")
        if not is_first and not self._later_sessions.allows(now):
            raise Malformed("session-frequency")
        guest = self._guest(opened.wrapping, now, claim=opened.claim)
        guest.talk.session.receive(packet, now)
        if is_first:
            self.active = guest
        else:
            if self.newcomer is not None:
                self.dismiss(self.newcomer)
            self.newcomer = guest
        return Heard(guest, began=True, is_first=is_first)

    def _guest(
        self,
        wrapping: Wrapping,
        now: Instant,
        *,
        own: SessionId | None = None,
        met: SessionId | None = None,
        claim: ClientKeyClaim | None,
    ) -> Guest:
        session = Session(
            session_id=self._own_id() if own is None else own,
            wrapping=wrapping,
            tls=self._tls,
            rules=SessionRules(
                tls_timeout=float(self._options.tls.tls_timeout),
                max_packet_size=self._options.tls.max_packet_size,
                outer_overhead=outer_overhead(self.remote.address.version, self.transport),
                need_answer=False,
                side=Side.SERVER,
            ),
            now=now,
            met=met,
            siv=self._keys.siv,
        )
        self._claim, self._has_begun = claim, True
        return Guest(talk=Dialogue(session, Side.SERVER), claim=claim)

    def _own_id(self) -> SessionId:
        drawn = self._entropy(SESSION_ID_LENGTH)
        return SessionId(drawn if any(drawn) else bytes((1,)) * SESSION_ID_LENGTH)


def _gets_on(guest: Guest, now: Instant) -> bool:
    """Whether a session is not to be given up for another one, which anybody might begin."""
    key = guest.talk.current.key
    return key.heard_tls and now < key.started + UNDISTURBED
