"""Windows, back-off, fast resend and acknowledgement lists of the reliability layer."""

import pytest

from ginnel.core.errors import LocalMisuse
from ginnel.core.reliable import (
    FAST_RESEND_ACKS,
    PIGGYBACKED_ACKS,
    Arrival,
    Message,
    ReliableReceiver,
    ReliableSender,
)
from ginnel.core.types import Instant
from ginnel.core.wire import Opcode

ZERO = Instant(0.0)


def at(seconds: float) -> Instant:
    return Instant(seconds)


def filled(count: int) -> ReliableSender:
    """A sender whose first ``count`` messages were sent once at time zero."""
    sender = ReliableSender()
    for number in range(count):
        sender.queue(Opcode.CONTROL_V1, b"%d" % number, ZERO)
    assert ids(sender.due(ZERO)) == list(range(count))
    return sender


def wants_to_ack(receiver: ReliableReceiver) -> bool:
    return receiver.has_acks


def ids(messages: list[Message]) -> list[int]:
    return [message.message_id for message in messages]


def test_messages_are_numbered_from_zero_and_due_at_once() -> None:
    sender = ReliableSender()
    assert sender.next_timeout() is None
    assert sender.queue(Opcode.CONTROL_HARD_RESET_CLIENT_V2, b"", at(5.0)) == 0
    assert sender.queue(Opcode.CONTROL_V1, b"hello", at(5.0)) == 1
    assert sender.next_timeout() == 5.0
    assert sender.due(at(5.0)) == [
        Message(0, Opcode.CONTROL_HARD_RESET_CLIENT_V2, b""),
        Message(1, Opcode.CONTROL_V1, b"hello"),
    ]
    assert sender.due(at(5.0)) == []


def test_each_transmission_doubles_the_wait() -> None:
    sender = ReliableSender(timeout=2.0)
    sender.queue(Opcode.CONTROL_V1, b"", ZERO)
    sent: list[float] = []
    now = sender.next_timeout()
    while now is not None and now < 100.0:
        assert ids(sender.due(now)) == [0]
        sent.append(now)
        now = sender.next_timeout()
    assert sent == [0.0, 2.0, 6.0, 14.0, 30.0, 62.0]


def test_the_send_window_is_six_from_the_oldest_unacknowledged() -> None:
    sender = filled(6)
    assert sender.room == 0
    with pytest.raises(LocalMisuse):
        sender.queue(Opcode.CONTROL_V1, b"", ZERO)
    sender.acknowledge([1, 2, 3])
    assert sender.room == 0
    sender.acknowledge([0])
    assert sender.room == 4
    assert sender.acknowledge([4, 5]) == 2
    assert sender.is_empty
    assert sender.room == 6


def test_unknown_acknowledgements_count_for_nothing() -> None:
    sender = filled(2)
    assert sender.acknowledge([7, 0xFFFFFFFF, 1, 1]) == 1
    assert ids(sender.due(at(2.0))) == [0]


def test_three_later_acknowledgements_resend_at_once() -> None:
    sender = filled(5)
    sender.acknowledge([1, 2])
    assert sender.due(at(0.1)) == []
    sender.acknowledge([3])
    timeout = sender.next_timeout()
    assert timeout is not None
    assert timeout <= 0.1
    assert ids(sender.due(at(0.1))) == [0]
    # The fast resend has backed off as well: the second wait is four seconds.
    assert sender.due(at(0.2)) == []
    sender.acknowledge([4])
    assert sender.next_timeout() == at(4.1)
    assert FAST_RESEND_ACKS == 3


def test_the_first_packet_from_the_peer_reschedules_everything() -> None:
    sender = filled(2)
    assert ids(sender.due(at(2.0))) == [0, 1]
    sender.reschedule(at(3.0))
    assert ids(sender.due(at(3.0))) == [0, 1]
    assert sender.next_timeout() == 5.0


def test_a_server_continues_after_its_stateless_reply() -> None:
    sender = ReliableSender(first_id=1)
    assert sender.queue(Opcode.CONTROL_V1, b"", ZERO) == 1
    receiver = ReliableReceiver(first_id=1)
    assert receiver.receive(0, Opcode.CONTROL_HARD_RESET_CLIENT_V2, b"") is Arrival.DUPLICATE
    assert receiver.receive(1, Opcode.CONTROL_V1, b"x") is Arrival.NEW


def test_messages_are_delivered_in_order_and_once() -> None:
    receiver = ReliableReceiver()
    assert receiver.receive(1, Opcode.CONTROL_V1, b"b") is Arrival.NEW
    assert receiver.take() == []
    assert receiver.receive(1, Opcode.CONTROL_V1, b"B") is Arrival.DUPLICATE
    assert receiver.receive(0, Opcode.CONTROL_HARD_RESET_SERVER_V2, b"a") is Arrival.NEW
    assert [message.payload for message in receiver.take()] == [b"a", b"b"]
    assert receiver.take() == []
    assert receiver.next_id == 2
    assert receiver.receive(0, Opcode.CONTROL_V1, b"again") is Arrival.DUPLICATE
    assert receiver.take() == []


def test_the_receive_window_is_twelve_and_outside_is_not_acknowledged() -> None:
    receiver = ReliableReceiver()
    assert receiver.receive(12, Opcode.CONTROL_V1, b"") is Arrival.OUTSIDE
    assert receiver.receive(0xFFFFFFFF, Opcode.CONTROL_V1, b"") is Arrival.OUTSIDE
    assert not wants_to_ack(receiver)
    assert receiver.receive(11, Opcode.CONTROL_V1, b"") is Arrival.NEW
    assert receiver.take_acks() == (11,)


def test_duplicates_are_acknowledged_again() -> None:
    receiver = ReliableReceiver()
    receiver.receive(0, Opcode.CONTROL_V1, b"")
    assert receiver.take_acks() == (0,)
    assert not wants_to_ack(receiver)
    receiver.receive(0, Opcode.CONTROL_V1, b"")
    assert wants_to_ack(receiver)


def test_free_places_repeat_recent_acknowledgements_newest_first() -> None:
    receiver = ReliableReceiver()
    for number in range(3):
        receiver.receive(number, Opcode.CONTROL_V1, b"")
    assert receiver.take_acks(2) == (0, 1)
    assert wants_to_ack(receiver)
    assert receiver.take_acks(PIGGYBACKED_ACKS) == (2, 0, 1)
    assert not wants_to_ack(receiver)
    assert receiver.take_acks(PIGGYBACKED_ACKS) == (2, 0, 1)
    receiver.receive(1, Opcode.CONTROL_V1, b"")
    assert receiver.take_acks(PIGGYBACKED_ACKS) == (1, 2, 0)


def test_the_acknowledgement_list_holds_eight() -> None:
    receiver = ReliableReceiver()
    for number in range(12):
        receiver.receive(number, Opcode.CONTROL_V1, b"")
    assert receiver.take_acks() == tuple(range(8))
    assert not wants_to_ack(receiver)
