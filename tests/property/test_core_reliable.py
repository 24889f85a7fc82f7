"""Two ends of the reliability layer over a wire that loses, repeats, delays and reorders."""

import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from ginnel.core.reliable import (
    PIGGYBACKED_ACKS,
    RECEIVE_WINDOW,
    SEND_WINDOW,
    Message,
    ReliableReceiver,
    ReliableSender,
)
from ginnel.core.types import Instant
from ginnel.core.wire import Opcode


@dataclass(frozen=True, slots=True)
class Packet:
    """What crosses the wire: acknowledgements and, unless it is a bare ACK, a message."""

    acks: tuple[int, ...]
    message: Message | None


@dataclass(slots=True)
class End:
    """One end with texts to send."""

    to_send: list[bytes]
    sender: ReliableSender = field(default_factory=ReliableSender)
    receiver: ReliableReceiver = field(default_factory=ReliableReceiver)
    delivered: list[bytes] = field(default_factory=list)
    in_flight_most: int = 0

    def flush(self, now: Instant) -> list[Packet]:
        while self.to_send and self.sender.room > 0:
            self.sender.queue(Opcode.CONTROL_V1, self.to_send.pop(0), now)
        self.in_flight_most = max(self.in_flight_most, SEND_WINDOW - self.sender.room)
        packets = [
            Packet(self.receiver.take_acks(PIGGYBACKED_ACKS), message)
            for message in self.sender.due(now)
        ]
        if self.receiver.has_acks:
            packets.append(Packet(self.receiver.take_acks(), None))
        return packets

    def receive(self, packet: Packet) -> None:
        self.sender.acknowledge(packet.acks)
        if packet.message is not None:
            message = packet.message
            self.receiver.receive(message.message_id, message.opcode, message.payload)
            self.delivered += [ready.payload for ready in self.receiver.take()]

    @property
    def is_done(self) -> bool:
        return not self.to_send and self.sender.is_empty


@dataclass(slots=True)
class Wire:
    """Carries packets with trouble, until ``calm_at``; without it from then on."""

    chance: random.Random
    loss: float
    repeat: float
    calm_at: float
    flying: list[tuple[float, int, End, Packet]] = field(default_factory=list)
    count: int = 0

    def send(self, now: float, to: End, packet: Packet) -> None:
        troubled = now < self.calm_at
        if troubled and self.chance.random() < self.loss:
            return
        copies = 2 if troubled and self.chance.random() < self.repeat else 1
        for _ in range(copies):
            delay = self.chance.uniform(0.01, 1.5 if troubled else 0.02)
            self.count += 1
            self.flying.append((now + delay, self.count, to, packet))

    def next_arrival(self) -> float | None:
        return min((when for when, *_ in self.flying), default=None)

    def arrive(self, now: float) -> None:
        landed = sorted((item for item in self.flying if item[0] <= now), key=lambda item: item[:2])
        self.flying = [item for item in self.flying if item[0] > now]
        for _, _, to, packet in landed:
            to.receive(packet)


def run(wire: Wire, left: End, right: End) -> float:
    """Moves the virtual clock from event to event until both ends are done."""
    now = 0.0
    for _ in range(100_000):
        for end, other in ((left, right), (right, left)):
            for packet in end.flush(Instant(now)):
                wire.send(now, other, packet)
        if left.is_done and right.is_done:
            return now
        waits = [wire.next_arrival(), left.sender.next_timeout(), right.sender.next_timeout()]
        now = max(now, min(wait for wait in waits if wait is not None))
        wire.arrive(now)
    raise AssertionError("the ends did not finish")


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.floats(0.0, 0.7),
    st.floats(0.0, 0.5),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_everything_arrives_once_and_in_order(
    seed: int, loss: float, repeat: float, left_count: int, right_count: int
) -> None:
    left_texts = [b"l%d" % number for number in range(left_count)]
    right_texts = [b"r%d" % number for number in range(right_count)]
    left, right = End(list(left_texts)), End(list(right_texts))
    wire = Wire(random.Random(seed), loss, repeat, calm_at=120.0)
    run(wire, left, right)
    assert right.delivered == left_texts
    assert left.delivered == right_texts
    assert max(left.in_flight_most, right.in_flight_most) <= SEND_WINDOW


def test_a_clean_wire_needs_no_retransmission() -> None:
    left, right = End([b"%d" % number for number in range(50)]), End([])
    wire = Wire(random.Random(1), 0.0, 0.0, calm_at=0.0)
    finished = run(wire, left, right)
    assert finished < 2.0
    assert len(right.delivered) == 50


@given(st.lists(st.integers(0, 40), max_size=200))
def test_a_receiver_never_holds_more_than_its_window(numbers: list[int]) -> None:
    receiver = ReliableReceiver()
    delivered: list[int] = []
    for number in numbers:
        receiver.receive(number, Opcode.CONTROL_V1, b"")
        assert len(receiver.take_acks()) <= 8
        delivered += [message.message_id for message in receiver.take()]
    assert delivered == list(range(len(delivered)))
    assert receiver.next_id == len(delivered)
    assert all(number < len(delivered) + RECEIVE_WINDOW for number in delivered)
