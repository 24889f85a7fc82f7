"""One negotiation on its own: when TLS begins, what is repeated, what is refused."""

import pytest

from ginnel.core.errors import Malformed
from ginnel.core.key_session import AwaitReset, Broken, Established, Handshaking, KeySession, State
from ginnel.core.types import Instant, KeyId, SessionId, Side
from ginnel.core.wire import ControlBody, Opcode
from tests.sim.fake_tls import FakeTls

PEER = SessionId(b"peer-sid")
START = Instant(100.0)


def session(side: Side = Side.CLIENT, *, first_id: int = 0) -> KeySession:
    client = side is Side.CLIENT
    made = KeySession(
        key_id=KeyId(0),
        tls=FakeTls(side, 1),
        side=side,
        started=START,
        reset=(
            Opcode.CONTROL_HARD_RESET_CLIENT_V2 if client else Opcode.CONTROL_HARD_RESET_SERVER_V2
        ),
        timeout=2.0,
        first_receive_id=first_id,
        first_send_id=first_id,
    )
    made.set_payload_limits(ordinary=500, with_wrapped_key=300)
    return made


def state_of(made: KeySession) -> State:
    """Asks anew each time, which the type checker would not believe of a property."""
    return made.state


def exchange(left: KeySession, right: KeySession, now: Instant) -> None:
    """Carries packets both ways until both are quiet."""
    for _ in range(100):
        packets = left.outgoing(now, PEER)
        answers = right.outgoing(now, PEER)
        for opcode, body in packets:
            right.receive(opcode, body, now)
        for opcode, body in answers:
            left.receive(opcode, body, now)
        if not packets and not answers:
            return
    raise AssertionError("they never come to rest")


def joined() -> tuple[KeySession, KeySession]:
    client, server = session(), session(Side.SERVER)
    exchange(client, server, START)
    assert isinstance(client.state, Established)
    assert isinstance(server.state, Established)
    return client, server


def test_first_packet_is_the_reset_without_acknowledgements() -> None:
    made = session()
    packets = made.outgoing(START, None)
    assert packets == [
        (Opcode.CONTROL_HARD_RESET_CLIENT_V2, ControlBody((), None, 0, b"")),
    ]
    assert made.outgoing(START, None) == []
    assert made.next_timeout() == START + 2.0


def test_tls_waits_for_the_acknowledgement_and_for_the_peers_reset() -> None:
    made = session()
    made.outgoing(START, None)
    made.receive(Opcode.ACK_V1, ControlBody((0,), PEER), START)
    assert isinstance(state_of(made), AwaitReset)
    reset = ControlBody((0,), PEER, 0, b"")
    made.receive(Opcode.CONTROL_HARD_RESET_SERVER_V2, reset, START)
    assert isinstance(state_of(made), Handshaking)
    opcode, body = made.outgoing(START, PEER)[0]
    assert opcode is Opcode.CONTROL_V1
    assert (body.message_id, body.acks) == (1, (0,))


def test_messages_of_any_length_cross_whole() -> None:
    client, server = joined()
    client.write(b"a" * 5000, START)
    server.write(b"b", START)
    exchange(client, server, START)
    assert server.take_records() == [b"a" * 5000]
    assert client.take_records() == [b"b"]
    assert client.all_acknowledged
    assert server.all_acknowledged


def test_payloads_keep_to_the_limit_and_the_wrapped_key_gets_its_share() -> None:
    made = session()
    made.outgoing(START, None)
    made.resend_wrapped_key()
    made.receive(Opcode.CONTROL_HARD_RESET_SERVER_V2, ControlBody((0,), PEER, 0, b""), START)
    made.tls.write(b"x" * 2000)
    made.receive(Opcode.ACK_V1, ControlBody(), START)
    packets = [pair for pair in made.outgoing(START, PEER) if pair[0] is not Opcode.ACK_V1]
    assert packets[0][0] is Opcode.CONTROL_WKC_V1
    assert len(packets[0][1].payload) <= 300
    assert all(opcode is Opcode.CONTROL_V1 for opcode, _ in packets[1:])
    assert all(len(body.payload) <= 500 for _, body in packets)


def test_first_packet_of_the_peer_makes_everything_due_at_once() -> None:
    made = session()
    made.outgoing(START, None)
    later = Instant(START + 0.5)
    made.receive(Opcode.ACK_V1, ControlBody(), later)
    assert made.next_timeout() == later


def test_duplicates_are_acknowledged_again_and_delivered_once() -> None:
    client, server = joined()
    server.write(b"once", START)
    packets = server.outgoing(START, PEER)
    for opcode, body in packets * 3:
        client.receive(opcode, body, START)
    assert client.take_records() == [b"once"]
    acks = client.outgoing(START, PEER)
    assert acks[0][0] is Opcode.ACK_V1
    assert packets[0][1].message_id in acks[0][1].acks


@pytest.mark.parametrize(
    ("opcode", "body", "reason"),
    [
        (Opcode.DATA_V2, ControlBody(), "opcode"),
        (Opcode.CONTROL_HARD_RESET_CLIENT_V1, ControlBody(message_id=0), "opcode"),
        (Opcode.CONTROL_HARD_RESET_SERVER_V2, ControlBody(message_id=3), "reset-id"),
        (Opcode.CONTROL_V1, ControlBody(message_id=4000), "window"),
    ],
)
def test_senseless_packets_are_refused(opcode: Opcode, body: ControlBody, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        session().receive(opcode, body, START)
    assert caught.value.reason == reason


def test_tls_bytes_before_the_reset_was_acknowledged_break_the_negotiation() -> None:
    made = session()
    made.outgoing(START, None)
    made.receive(Opcode.CONTROL_HARD_RESET_SERVER_V2, ControlBody((), None, 0, b""), START)
    made.receive(Opcode.CONTROL_V1, ControlBody((), None, 1, b"\x01\x00\x00"), START)
    assert isinstance(made.state, Broken)


def test_bad_tls_breaks_it_for_good() -> None:
    client, _ = joined()
    client.receive(Opcode.CONTROL_V1, ControlBody((), None, 5, b"\x07\x00\x01z"), START)
    for number in range(2, 5):
        client.receive(Opcode.CONTROL_V1, ControlBody((), None, number, b""), START)
    assert isinstance(client.state, Broken)
    assert client.state.failure.reason == "bad record type"


def test_a_flood_of_records_breaks_it() -> None:
    client, _ = joined()
    flood = b"\x02\x00\x01z" * 100
    for number in range(2, 8):
        client.receive(Opcode.CONTROL_V1, ControlBody((), None, number, flood), START)
    assert isinstance(client.state, Broken)
    assert client.state.failure.reason == "too many messages at once"


def test_server_that_answered_without_state_goes_on_from_message_one() -> None:
    made = session(Side.SERVER, first_id=1)
    assert made.outgoing(START, PEER) == []
    hello = b"\x01\x00\x05hello"
    made.receive(Opcode.CONTROL_V1, ControlBody((), None, 1, hello), START)
    packets = made.outgoing(START, PEER)
    assert packets[0][0] is Opcode.CONTROL_V1
    assert packets[0][1].message_id == 1
    assert packets[0][1].acks == (1,)
