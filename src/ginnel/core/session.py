"""One pair of session ids: wraps and unwraps control packets, and owns the key sessions in it.

Responsible for finding the key session that a packet belongs to, for hard resets and for soft
resets of either side. When a soft reset is due, and what goes on inside TLS, the machine decides.
Until the peer's session id is known nothing but its reset is accepted.
"""

from collections.abc import Callable, Iterable

from ginnel.core.errors import LocalMisuse, Malformed
from ginnel.core.key_derivation import DYNAMIC_CRYPT_LABEL, DYNAMIC_CRYPT_LENGTH, SessionPair
from ginnel.core.key_session import MIN_PAYLOAD, KeySession
from ginnel.core.reliable import PIGGYBACKED_ACKS
from ginnel.core.timers import earliest
from ginnel.core.tls import TlsChannel
from ginnel.core.types import Instant, KeyId, SessionId, Side, Transport
from ginnel.core.wire import (
    MAX_ACKS,
    SESSION_ID_LENGTH,
    ControlBody,
    ControlHeader,
    Opcode,
    control_payload_limit,
    decode_body,
    decode_header,
    encode_body,
)
from ginnel.core.wrap import Wrapping
from ginnel.core.wrap.api import SivMaker, library_siv
from ginnel.dataclass import dataclass

FIRST_KEY = KeyId(0)
LAST_KEY = KeyId(7)
PLAIN_ACK_LIMIT = 4
"""Acknowledgements in one packet without a wrapping: SoftEther takes no more (protocol-facts 5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRules:
    """What stays the same over all sessions of a connection. Times in seconds."""

    tls_timeout: float
    max_packet_size: int
    """Largest outer packet of the control channel, IP and UDP headers included."""
    outer_overhead: int
    """IP and UDP or TCP headers: see ``outer_overhead``."""
    need_answer: bool
    """Whether the peer's hard reset must acknowledge ours; in p2p mode it may come on its own."""
    side: Side = Side.CLIENT
    """Our part in the TLS handshake; two peers without pull may take either."""


@dataclass(frozen=True)
class SoftResetByPeer:
    """The peer began a new negotiation."""

    key: KeySession


@dataclass(frozen=True, slots=True)
class Progress:
    """A packet was taken in by this key session."""

    key: KeySession
    said: bool = True
    """False when it did no more than acknowledge."""


@dataclass(frozen=True)
class PeerRestarted:
    """An authentic hard reset with another session id: the peer forgot us."""


Received = Progress | SoftResetByPeer | PeerRestarted

_PEER_RESETS = {
    Side.CLIENT: frozenset({Opcode.CONTROL_HARD_RESET_SERVER_V2}),
    Side.SERVER: frozenset(
        {Opcode.CONTROL_HARD_RESET_CLIENT_V2, Opcode.CONTROL_HARD_RESET_CLIENT_V3}
    ),
}
"""By our own side: the hard resets that the other side begins with."""


def next_key_id(key_id: KeyId) -> KeyId:
    """0 is only for the first key; then 1 to 7 and 1 again (protocol-facts 1)."""
    return KeyId(1) if key_id >= LAST_KEY else KeyId(key_id + 1)


def outer_overhead(ip_version: int, transport: Transport) -> int:
    """Bytes of IP header plus UDP header, or TCP header with our length prefix."""
    address = 20 if ip_version == 4 else 40
    return address + (8 if transport is Transport.UDP else 22)


class Session:
    """One end of a session, in the role of TLS client or TLS server."""

    def __init__(
        self,
        *,
        session_id: SessionId,
        wrapping: Wrapping,
        tls: Callable[[], TlsChannel],
        rules: SessionRules,
        now: Instant,
        met: SessionId | None = None,
        siv: SivMaker = library_siv,
    ) -> None:
        """Starts at once: the hard reset is the first thing ``outgoing`` returns.

        With ``met``, the peer's session id, both resets were exchanged before (``listener``).
        ``siv`` is for the wrapping of later negotiations.
        """
        if len(session_id) != SESSION_ID_LENGTH or not any(session_id):
            raise LocalMisuse("a session id is eight bytes, not all zero")
        self._own_id = session_id
        self._peer_id = met
        self._wrapping = wrapping
        self._dynamic: Wrapping | None = None
        self._dynamic_from: tuple[KeySession, int] | None = None
        """Whose exporter that will come from, and the wall clock, once it was agreed on."""
        self._tls = tls
        self._siv = siv
        self._rules = rules
        self._previous: KeySession | None = None
        self._current = self._new_key(
            FIRST_KEY, _first_reset(wrapping, rules.side), now, 0 if met is None else 1
        )
        self._current_is_active = False

    @property
    def own_id(self) -> SessionId:
        return self._own_id

    @property
    def peer_id(self) -> SessionId | None:
        """The peer's session id, or None before its reset."""
        return self._peer_id

    @property
    def current(self) -> KeySession:
        """The newest negotiation."""
        return self._current

    @property
    def is_wrapped(self) -> bool:
        """Whether a packet that opens proves knowledge of a key."""
        return self._wrapping.static_key is not None

    def pair(self) -> SessionPair:
        """Both ids, for the legacy derivation."""
        if self._peer_id is None:
            raise LocalMisuse("no session id of the peer yet")
        if self._rules.side is Side.SERVER:
            return SessionPair(client=self._peer_id, server=self._own_id)
        return SessionPair(client=self._own_id, server=self._peer_id)

    def use_dynamic_crypt(self, unix_time: int) -> None:
        """Wraps the packets of later negotiations with a key from this one's TLS exporter."""
        self._dynamic_from = self._current, unix_time

    def mark_active(self) -> None:
        """The current negotiation has its keys: soft resets of the peer are welcome from now on."""
        self._current_is_active = True

    def begin_soft_reset(self, now: Instant) -> KeySession:
        """Starts a new negotiation; the one before it goes on answering until it is forgotten."""
        return self._succeed(next_key_id(self._current.key_id), now)

    def forget_previous(self) -> None:
        """Ends the older negotiation and wipes its TLS secrets."""
        if self._previous is not None:
            self._previous.tls.close()
            self._previous = None

    def receive(self, packet: bytes, now: Instant) -> Received:
        """Takes a control packet. Raises Malformed, with nothing changed but the replay window.

        Only packets that name this session move its replay window: under a key that many clients
        share, a later packet of another one's session would else shut out the server's own.
        """
        clear = decode_header(packet)
        if self._peer_id is None:
            self._meet(packet, clear)
        elif clear.session_id != self._peer_id:
            return self._judge_stranger(packet, clear)
        header, raw = self._wrapping_of(clear.key_id).open(packet)
        body = self._body(header, raw)
        key = self._key_session(header, body)
        if key is None:
            key = self._succeed(header.key_id, now)
            key.receive(header.opcode, body, now)
            return SoftResetByPeer(key)
        key.receive(header.opcode, body, now)
        return Progress(key, said=header.opcode is not Opcode.ACK_V1)

    def outgoing(self, now: Instant) -> list[bytes]:
        """The packets to send now, wrapped."""
        limit = MAX_ACKS if self.is_wrapped else PLAIN_ACK_LIMIT
        packets = []
        for key in self._keys():
            wrapping = self._wrapping_of(key.key_id)
            for opcode, body in key.outgoing(now, self._peer_id, ack_limit=limit):
                header = ControlHeader(opcode, key.key_id, self._own_id)
                packets.append(wrapping.seal(header, encode_body(body)))
        return packets

    def next_timeout(self) -> Instant | None:
        """When a retransmission is due."""
        if self._previous is None:
            return self._current.next_timeout()
        return earliest(self._previous.next_timeout(), self._current.next_timeout())

    def close(self) -> None:
        """Wipes the TLS secrets of both negotiations."""
        self.forget_previous()
        self._current.tls.close()

    def _keys(self) -> Iterable[KeySession]:
        return (self._current,) if self._previous is None else (self._previous, self._current)

    def _wrapping_of(self, key_id: KeyId) -> Wrapping:
        if key_id == FIRST_KEY:
            return self._wrapping
        if self._dynamic_from is not None:
            self._dynamic = self._make_dynamic(*self._dynamic_from)
            self._dynamic_from = None
        return self._wrapping if self._dynamic is None else self._dynamic

    def _make_dynamic(self, origin: KeySession, unix_time: int) -> Wrapping:
        """Makes the wrapping with the first packet under it, which most clients never send."""
        from ginnel.core.wrap.crypt import dynamic_crypt

        return dynamic_crypt(
            exported=origin.tls.export(DYNAMIC_CRYPT_LABEL, DYNAMIC_CRYPT_LENGTH),
            base=self._wrapping.static_key,
            side=self._rules.side,
            unix_time=unix_time,
            siv=self._siv,
        )

    def _body(self, header: ControlHeader, raw: bytes) -> ControlBody:
        body = decode_body(header.opcode, raw)
        if body.peer_session_id is not None and body.peer_session_id != self._own_id:
            raise Malformed("session-id")
        return body

    def _meet(self, packet: bytes, clear: ControlHeader) -> None:
        """Learns the peer's session id from its hard reset, or from an answer to ours.

        Servers before 2.6 may acknowledge in a packet of its own when an earlier one was lost, and
        repeat their reset without the acknowledgement.
        """
        is_reset = clear.opcode in _PEER_RESETS[self._rules.side]
        if clear.key_id != FIRST_KEY or not (is_reset or clear.opcode is Opcode.ACK_V1):
            raise Malformed("no-session")
        header, raw = self._wrapping.peek(packet)
        body = self._body(header, raw)
        need_answer = self._rules.need_answer or not is_reset
        if body.message_id not in (0, None) or (need_answer and not body.acks):
            raise Malformed("unsolicited-reset")
        is_client = self._rules.side is Side.CLIENT
        if is_client and body.payload and _wants_wrapped_key(body.payload):
            self._current.resend_wrapped_key()
        self._peer_id = header.session_id

    def _judge_stranger(self, packet: bytes, clear: ControlHeader) -> PeerRestarted:
        """Looks at a packet of another session: only a hard reset of it means something.

        One that acknowledges is an answer to a copy of our own first packet: a server without
        state sends one for each copy, and anybody can send copies.
        """
        if clear.opcode not in _PEER_RESETS[self._rules.side] or clear.key_id != FIRST_KEY:
            raise Malformed("other-session")
        header, raw = self._wrapping.peek(packet)
        body = self._body(header, raw)
        if body.acks or body.message_id != 0:
            raise Malformed("other-session")
        return PeerRestarted()

    def _key_session(self, header: ControlHeader, body: ControlBody) -> KeySession | None:
        """Finds the negotiation; None when the packet is the peer's start of a new one."""
        for key in self._keys():
            if key.key_id == header.key_id:
                return key
        expected = next_key_id(self._current.key_id)
        if header.opcode is not Opcode.CONTROL_SOFT_RESET_V1 or body.message_id != 0:
            raise Malformed("key-id")
        if header.key_id != expected or not self._current_is_active:
            raise Malformed("soft-reset")
        return None

    def _succeed(self, key_id: KeyId, now: Instant) -> KeySession:
        self.forget_previous()
        self._previous = self._current
        self._current = self._new_key(key_id, Opcode.CONTROL_SOFT_RESET_V1, now)
        self._current_is_active = False
        return self._current

    def _new_key(
        self, key_id: KeyId, reset: Opcode, now: Instant, first_message: int = 0
    ) -> KeySession:
        key = KeySession(
            key_id=key_id,
            tls=self._tls(),
            side=self._rules.side,
            started=now,
            reset=reset,
            timeout=self._rules.tls_timeout,
            first_receive_id=first_message,
            first_send_id=first_message,
        )
        wrapping = self._wrapping_of(key_id)
        ordinary = control_payload_limit(
            max_packet_size=self._rules.max_packet_size,
            outer=self._rules.outer_overhead,
            wrapping=wrapping.overhead,
            acks=range(PIGGYBACKED_ACKS),
        )
        trailer = self._wrapping.trailer(Opcode.CONTROL_WKC_V1)
        key.set_payload_limits(
            ordinary=max(ordinary, MIN_PAYLOAD),
            with_wrapped_key=max(ordinary - trailer, MIN_PAYLOAD),
        )
        return key


def _first_reset(wrapping: Wrapping, side: Side) -> Opcode:
    if side is Side.SERVER:
        return Opcode.CONTROL_HARD_RESET_SERVER_V2
    if wrapping.trailer(Opcode.CONTROL_HARD_RESET_CLIENT_V3) > 0:
        return Opcode.CONTROL_HARD_RESET_CLIENT_V3
    return Opcode.CONTROL_HARD_RESET_CLIENT_V2


def _wants_wrapped_key(payload: bytes) -> bool:
    """Reads the early negotiation of a server's reset; imports cryptography, hence only here."""
    from ginnel.core.wrap.crypt_v2 import resend_wkc_requested

    return resend_wkc_requested(payload)
