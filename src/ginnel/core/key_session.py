"""One negotiation (one key-id): its reset, the reliability layer and the TLS session on top of it.

Responsible for carrying TLS records over reliable control messages and back, and for telling how
far the negotiation is. What is said inside TLS (key method 2, push) is the machine's business; the
wrapping of packets and their session ids are ``session``'s.
"""

from ginnel.core.errors import Malformed
from ginnel.core.reliable import (
    PIGGYBACKED_ACKS,
    Arrival,
    ReliableReceiver,
    ReliableSender,
)
from ginnel.core.tls import TlsChannel, TlsFailure
from ginnel.core.types import Instant, KeyId, SessionId, Side
from ginnel.core.wire import MAX_ACKS, ControlBody, Opcode
from ginnel.dataclass import dataclass

MAX_PENDING_RECORDS = 64
"""Decrypted records nobody has read; a peer that sends more at once misbehaves."""

MIN_PAYLOAD = 64
"""TLS bytes that a packet carries at least, whatever max-packet-size says."""

RESETS = frozenset(
    {
        Opcode.CONTROL_HARD_RESET_CLIENT_V2,
        Opcode.CONTROL_HARD_RESET_CLIENT_V3,
        Opcode.CONTROL_HARD_RESET_SERVER_V2,
        Opcode.CONTROL_SOFT_RESET_V1,
    }
)
_CARRIERS = frozenset({Opcode.CONTROL_V1, Opcode.CONTROL_WKC_V1})


@dataclass(frozen=True, slots=True)
class AwaitReset:
    """Our reset is out and not acknowledged yet."""


@dataclass(frozen=True, slots=True)
class Handshaking:
    """TLS messages go back and forth."""


@dataclass(frozen=True, slots=True)
class Established:
    """TLS is up: what is written reaches the peer once and in order."""

    since: Instant


@dataclass(frozen=True)
class Broken:
    """TLS failed; nothing but the alert for the peer leaves any more."""

    failure: TlsFailure


State = AwaitReset | Handshaking | Established | Broken


class KeySession:
    """Carries one TLS session. Inputs take ``now``; ``outgoing`` is drained after each."""

    def __init__(
        self,
        *,
        key_id: KeyId,
        tls: TlsChannel,
        side: Side,
        started: Instant,
        reset: Opcode,
        timeout: float,
        first_receive_id: int = 0,
        first_send_id: int = 0,
    ) -> None:
        """Queues ``reset`` as the first message. ``timeout`` is tls-timeout in seconds."""
        self.key_id = key_id
        self.started = started
        self.tls = tls
        self._side = side
        self._sender = ReliableSender(timeout=timeout, first_id=first_send_id)
        self._receiver = ReliableReceiver(first_id=first_receive_id)
        self._state: State = AwaitReset()
        self._records: list[bytes] = []
        self._heard = False
        self._wkc_first = False
        self._heard_tls = False
        self._limits = (MIN_PAYLOAD, MIN_PAYLOAD)
        self._is_full = False
        """Whether ciphertext waits for room in the send window, as far as is known."""
        if first_send_id == 0:
            self._sender.queue(reset, b"", started)

    @property
    def state(self) -> State:
        return self._state

    @property
    def heard_tls(self) -> bool:
        """Whether the peer said anything inside TLS."""
        return self._heard_tls

    @property
    def all_acknowledged(self) -> bool:
        """Whether the peer has everything that was written."""
        return self._sender.is_empty and not isinstance(self._state, AwaitReset)

    def resend_wrapped_key(self) -> None:
        """The server asked for the wrapped client key: message 1 carries it (protocol-facts 4)."""
        self._wkc_first = True

    def receive(self, opcode: Opcode, body: ControlBody, now: Instant) -> None:
        """Takes an authentic packet of this key-id. Raises Malformed when it makes no sense."""
        if opcode is not Opcode.ACK_V1 and opcode not in RESETS and opcode not in _CARRIERS:
            raise Malformed("opcode")
        if opcode in RESETS and body.message_id != 0:
            raise Malformed("reset-id")
        if not self._heard:
            self._heard = True
            self._sender.reschedule(now)
        self._sender.acknowledge(body.acks)
        if opcode is Opcode.ACK_V1 and not isinstance(self._state, AwaitReset):
            if self._is_full:
                self._queue_ciphertext(now)
            return
        if body.message_id is not None:
            arrival = self._receiver.receive(body.message_id, opcode, body.payload)
            if arrival is Arrival.OUTSIDE:
                raise Malformed("window")
        self._advance(now)

    def write(self, plaintext: bytes | bytearray, now: Instant) -> None:
        """Sends a message of its own TLS record. The session must be established."""
        try:
            self.tls.write(plaintext)
        except TlsFailure as failure:
            self._state = Broken(failure)
        self._queue_ciphertext(now)

    def sign(self, signature: bytes | None, now: Instant) -> None:
        """Answers the handshake's request for a signature; None when there will be none."""
        if not isinstance(self._state, Handshaking):
            return
        try:
            self.tls.supply(signature)
            self._records += self.tls.read()
        except TlsFailure as failure:
            self._state = Broken(failure)
        self._advance(now)

    def take_records(self) -> list[bytes]:
        """Drains the decrypted records, in order."""
        records, self._records = self._records, []
        return records

    def outgoing(
        self, now: Instant, peer: SessionId | None, *, ack_limit: int = MAX_ACKS
    ) -> list[tuple[Opcode, ControlBody]]:
        """What to send now: due messages with acknowledgements on them, then an ACK_V1 if need be.

        ``peer`` is the session id that acknowledgements quote; without one there are none.
        """
        packets: list[tuple[Opcode, ControlBody]] = []
        for message in self._sender.due(now):
            limit = min(PIGGYBACKED_ACKS, ack_limit)
            acks = () if peer is None else self._receiver.take_acks(limit)
            body = ControlBody(acks, peer if acks else None, message.message_id, message.payload)
            packets.append((message.opcode, body))
        while peer is not None and self._receiver.has_acks:
            acks = self._receiver.take_acks(ack_limit)
            packets.append((Opcode.ACK_V1, ControlBody(acks, peer)))
        return packets

    def next_timeout(self) -> Instant | None:
        """When a retransmission is due."""
        return self._sender.next_timeout()

    def set_payload_limits(self, *, ordinary: int, with_wrapped_key: int) -> None:
        """Sets how many TLS bytes fit into a CONTROL_V1 and into a CONTROL_WKC_V1."""
        self._limits = (ordinary, with_wrapped_key)

    def _advance(self, now: Instant) -> None:
        messages = self._receiver.take()
        # The first TLS message goes out when our reset arrived (protocol-facts 6).
        arrived = self._sender.is_empty and self._receiver.next_id > 0
        if isinstance(self._state, AwaitReset) and arrived:
            self._begin()
        for message in messages:
            if message.opcode in _CARRIERS and message.payload:
                self._feed(message.payload)
        if isinstance(self._state, Handshaking) and self.tls.established:
            self._state = Established(now)
        self._queue_ciphertext(now)

    def _begin(self) -> None:
        self._state = Handshaking()
        if self._side is Side.SERVER:
            return
        try:
            self.tls.start()
        except TlsFailure as failure:
            self._state = Broken(failure)

    def _feed(self, ciphertext: bytes) -> None:
        if isinstance(self._state, Broken):
            return
        if isinstance(self._state, AwaitReset):
            self._state = Broken(TlsFailure("TLS bytes before the reset was acknowledged"))
            return
        self._heard_tls = True
        try:
            self.tls.receive(ciphertext)
            self._records += self.tls.read()
        except TlsFailure as failure:
            self._state = Broken(failure)
        if len(self._records) > MAX_PENDING_RECORDS:
            self._state = Broken(TlsFailure("too many messages at once"))

    def _queue_ciphertext(self, now: Instant) -> None:
        while self._sender.room > 0:
            carries_key = self._wkc_first and self._sender.next_id == 1
            chunk = self.tls.take(self._limits[carries_key])
            if not chunk:
                self._is_full = False
                return
            opcode = Opcode.CONTROL_WKC_V1 if carries_key else Opcode.CONTROL_V1
            self._sender.queue(opcode, chunk, now)
        self._is_full = True
