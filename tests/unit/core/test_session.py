"""Session ids, key ids and wrappings: which packets are taken, and what a reset may do."""

from collections.abc import Callable
from itertools import count

import pytest

from ginnel.core.errors import LocalMisuse, Malformed
from ginnel.core.key_session import AwaitReset, Handshaking
from ginnel.core.session import (
    PeerRestarted,
    Progress,
    Session,
    SessionRules,
    SoftResetByPeer,
    next_key_id,
    outer_overhead,
)
from ginnel.core.types import Instant, KeyId, SessionId, Side, Transport
from ginnel.core.wire import (
    ControlBody,
    ControlHeader,
    Opcode,
    decode_body,
    decode_header,
    encode_body,
)
from ginnel.core.wrap import Wrapping, wrapping_for
from ginnel.core.wrap.plain import PlainControl
from ginnel.options.model import TlsCrypt
from tests.sim.fake_tls import FakeTls
from tests.sim.pair import STATIC_KEY, UNIX_TIME

OWN = SessionId(b"own-sid!")
PEER = SessionId(b"peer-sid")
NOW = Instant(50.0)
RULES = SessionRules(tls_timeout=2.0, max_packet_size=1250, outer_overhead=28, need_answer=True)


def tls_factory() -> Callable[[], FakeTls]:
    numbers = count()
    return lambda: FakeTls(Side.CLIENT, next(numbers))


def plain_session(rules: SessionRules = RULES) -> Session:
    return Session(session_id=OWN, wrapping=PlainControl(), tls=tls_factory(), rules=rules, now=NOW)


def packet(
    opcode: Opcode,
    body: ControlBody,
    *,
    key_id: int = 0,
    sender: SessionId = PEER,
    wrapping: Wrapping | None = None,
) -> bytes:
    header = ControlHeader(opcode, KeyId(key_id), sender)
    return (wrapping or PlainControl()).seal(header, encode_body(body))


RESET = packet(Opcode.CONTROL_HARD_RESET_SERVER_V2, ControlBody((0,), OWN, 0, b""))


def met() -> Session:
    session = plain_session()
    session.outgoing(NOW)
    assert session.receive(RESET, NOW) == Progress(session.current)
    return session


def reason(session: Session, data: bytes) -> str:
    with pytest.raises(Malformed) as caught:
        session.receive(data, NOW)
    return caught.value.reason


def test_key_ids_go_round_without_zero() -> None:
    chain = [KeyId(0)]
    for _ in range(9):
        chain.append(next_key_id(chain[-1]))
    assert chain == [0, 1, 2, 3, 4, 5, 6, 7, 1, 2]


def test_outer_headers() -> None:
    assert outer_overhead(4, Transport.UDP) == 28
    assert outer_overhead(6, Transport.UDP) == 48
    assert outer_overhead(4, Transport.TCP) == 42
    assert outer_overhead(6, Transport.TCP) == 62


def test_zero_and_short_session_ids_are_our_mistake() -> None:
    for wrong in (bytes(8), b"short"):
        with pytest.raises(LocalMisuse):
            Session(
                session_id=SessionId(wrong),
                wrapping=PlainControl(),
                tls=tls_factory(),
                rules=RULES,
                now=NOW,
            )


def test_nothing_but_the_peers_reset_is_taken_first() -> None:
    session = plain_session()
    with pytest.raises(LocalMisuse):
        session.pair()
    control = packet(Opcode.CONTROL_V1, ControlBody((0,), OWN, 1, b"x"))
    assert reason(session, control) == "no-session"
    later_key = packet(
        Opcode.CONTROL_HARD_RESET_SERVER_V2, ControlBody((0,), OWN, 0, b""), key_id=1
    )
    assert reason(session, later_key) == "no-session"
    assert session.peer_id is None


def test_unasked_reset_is_refused_unless_peers_are_equal() -> None:
    unasked = packet(Opcode.CONTROL_HARD_RESET_SERVER_V2, ControlBody((), None, 0, b""))
    assert reason(plain_session(), unasked) == "unsolicited-reset"
    equal = SessionRules(
        tls_timeout=2.0, max_packet_size=1250, outer_overhead=28, need_answer=False
    )
    session = plain_session(equal)
    session.receive(unasked, NOW)
    assert session.peer_id == PEER


def test_acknowledgements_for_somebody_else_are_refused() -> None:
    body = ControlBody((0,), SessionId(b"stranger"), 0, b"")
    data = packet(Opcode.CONTROL_HARD_RESET_SERVER_V2, body)
    assert reason(plain_session(), data) == "session-id"


def test_both_ids_are_known_after_the_reset() -> None:
    pair = met().pair()
    assert (pair.client, pair.server) == (OWN, PEER)


def test_malformed_early_negotiation_is_refused() -> None:
    body = ControlBody((0,), OWN, 0, b"\x00\x01\x00")
    data = packet(Opcode.CONTROL_HARD_RESET_SERVER_V2, body)
    assert reason(plain_session(), data) == "early-negotiation"


def test_another_session_is_told_apart() -> None:
    session = met()
    other = SessionId(b"another!")
    again = packet(Opcode.CONTROL_HARD_RESET_SERVER_V2, ControlBody((), None, 0, b""), sender=other)
    assert session.receive(again, NOW) == PeerRestarted()
    control = packet(Opcode.CONTROL_V1, ControlBody((), None, 1, b"x"), sender=other)
    assert reason(session, control) == "other-session"
    assert session.peer_id == PEER


def test_second_answer_to_our_first_packet_is_no_restart() -> None:
    session = met()
    other = SessionId(b"slot two")
    answer = packet(
        Opcode.CONTROL_HARD_RESET_SERVER_V2, ControlBody((0,), OWN, 0, b""), sender=other
    )
    assert reason(session, answer) == "other-session"


def test_lone_acknowledgement_introduces_the_server_whose_reset_was_lost() -> None:
    session = plain_session()
    session.outgoing(NOW)
    bare = packet(Opcode.CONTROL_HARD_RESET_SERVER_V2, ControlBody((), None, 0, b""))
    assert reason(session, bare) == "unsolicited-reset"
    session.receive(packet(Opcode.ACK_V1, ControlBody((0,), OWN)), NOW)
    assert session.peer_id == PEER
    assert isinstance(session.current.state, AwaitReset)
    session.receive(bare, NOW)
    assert isinstance(session.current.state, Handshaking)


def test_acknowledgement_of_nothing_introduces_nobody() -> None:
    assert reason(plain_session(), packet(Opcode.ACK_V1, ControlBody())) == "unsolicited-reset"


def crypt_pair() -> tuple[Session, Wrapping]:
    """A tls-crypt session, and what its server seals with."""
    wrapping = wrapping_for(TlsCrypt(key=STATIC_KEY), Side.CLIENT, UNIX_TIME)
    server = wrapping_for(TlsCrypt(key=STATIC_KEY), Side.SERVER, UNIX_TIME)
    return (
        Session(session_id=OWN, wrapping=wrapping, tls=tls_factory(), rules=RULES, now=NOW),
        server,
    )


@pytest.mark.parametrize("met_before", [False, True])
@pytest.mark.parametrize("opcode", [Opcode.CONTROL_HARD_RESET_SERVER_V2, Opcode.CONTROL_V1])
def test_later_packets_of_other_clients_sessions_shut_nobody_out(
    met_before: bool, opcode: Opcode
) -> None:
    session, server = crypt_pair()
    answer = ControlBody((0,), OWN, 0, b"")
    if met_before:
        session.receive(packet(Opcode.CONTROL_HARD_RESET_SERVER_V2, answer, wrapping=server), NOW)
    hour_later = wrapping_for(TlsCrypt(key=STATIC_KEY), Side.SERVER, UNIX_TIME + 3600)
    foreign = packet(
        opcode,
        ControlBody((0,), SessionId(b"not ours"), 0, b""),
        sender=SessionId(b"stranger"),
        wrapping=hour_later,
    )
    with pytest.raises(Malformed):
        session.receive(foreign, NOW)
    if met_before:
        own = packet(Opcode.CONTROL_V1, ControlBody((), None, 1, b""), wrapping=server)
    else:
        own = packet(Opcode.CONTROL_HARD_RESET_SERVER_V2, answer, wrapping=server)
    assert session.receive(own, NOW) == Progress(session.current)


def test_stale_reset_of_another_session_is_a_replay() -> None:
    session, server = crypt_pair()
    body = ControlBody((0,), OWN, 0, b"")
    session.receive(packet(Opcode.CONTROL_HARD_RESET_SERVER_V2, body, wrapping=server), NOW)
    earlier = wrapping_for(TlsCrypt(key=STATIC_KEY), Side.SERVER, UNIX_TIME - 1)
    old = packet(
        Opcode.CONTROL_HARD_RESET_SERVER_V2,
        ControlBody((), None, 0, b""),
        sender=SessionId(b"long ago"),
        wrapping=earlier,
    )
    assert reason(session, old) == "replay"


def soft_reset(key_id: int, message_id: int = 0) -> bytes:
    return packet(
        Opcode.CONTROL_SOFT_RESET_V1, ControlBody((), None, message_id, b""), key_id=key_id
    )


def test_soft_reset_is_welcome_only_after_the_keys_were_made() -> None:
    session = met()
    assert reason(session, soft_reset(1)) == "soft-reset"
    session.mark_active()
    assert reason(session, soft_reset(2)) == "soft-reset"
    outcome = session.receive(soft_reset(1), NOW)
    assert isinstance(outcome, SoftResetByPeer)
    assert session.current.key_id == 1
    assert reason(session, soft_reset(2)) == "soft-reset"


def test_repeated_soft_reset_starts_nothing_new() -> None:
    session = met()
    session.mark_active()
    session.receive(soft_reset(1), NOW)
    first = session.current
    assert session.receive(soft_reset(1), NOW) == Progress(first)
    assert session.current is first


def test_old_negotiation_still_answers_until_the_next_one() -> None:
    session = met()
    session.mark_active()
    session.begin_soft_reset(NOW)
    late = packet(Opcode.CONTROL_V1, ControlBody((), None, 0, b""), key_id=0)
    outcome = session.receive(late, NOW)
    assert isinstance(outcome, Progress)
    assert outcome.key is not session.current
    session.mark_active()
    session.begin_soft_reset(NOW)
    assert reason(session, late) == "key-id"


def test_dynamic_wrapping_covers_later_keys_only() -> None:
    wrapping = wrapping_for(TlsCrypt(key=STATIC_KEY), Side.CLIENT, UNIX_TIME)
    server = wrapping_for(TlsCrypt(key=STATIC_KEY), Side.SERVER, UNIX_TIME)
    session = Session(session_id=OWN, wrapping=wrapping, tls=tls_factory(), rules=RULES, now=NOW)
    assert session.is_wrapped
    server.open(session.outgoing(NOW)[0])
    session.receive(
        packet(
            Opcode.CONTROL_HARD_RESET_SERVER_V2,
            ControlBody((0,), OWN, 0, b""),
            wrapping=server,
        ),
        NOW,
    )
    session.use_dynamic_crypt(UNIX_TIME)
    session.mark_active()
    session.begin_soft_reset(NOW)
    packets = session.outgoing(NOW)
    assert [data[0] & 7 for data in packets] == [0, 1]
    server.open(packets[0])
    with pytest.raises(Malformed):
        server.open(packets[1])


def test_packets_without_a_wrapping_acknowledge_at_most_four() -> None:
    session = met()
    session.outgoing(NOW)
    for number in range(1, 9):
        session.receive(packet(Opcode.CONTROL_V1, ControlBody((), None, number, b"")), NOW)
    counts = []
    for data in session.outgoing(NOW):
        header = decode_header(data)
        counts.append(len(decode_body(header.opcode, data[9:]).acks))
    assert counts
    assert max(counts) == 4


def test_closing_wipes_both_negotiations() -> None:
    made: list[FakeTls] = []

    def tls() -> FakeTls:
        made.append(FakeTls(Side.CLIENT, len(made)))
        return made[-1]

    session = Session(session_id=OWN, wrapping=PlainControl(), tls=tls, rules=RULES, now=NOW)
    session.receive(RESET, NOW)
    session.begin_soft_reset(NOW)
    session.close()
    assert [channel.closed for channel in made] == [True, True]


def test_the_servers_end_meets_a_client_and_orders_the_ids() -> None:
    rules = SessionRules(
        tls_timeout=2.0,
        max_packet_size=1250,
        outer_overhead=28,
        need_answer=False,
        side=Side.SERVER,
    )
    session = plain_session(rules)
    (first,) = session.outgoing(NOW)
    assert decode_header(first).opcode is Opcode.CONTROL_HARD_RESET_SERVER_V2
    unasked = ControlBody((), None, 0, b"")
    assert reason(session, packet(Opcode.CONTROL_HARD_RESET_SERVER_V2, unasked)) == "no-session"
    session.receive(packet(Opcode.CONTROL_HARD_RESET_CLIENT_V2, unasked), NOW)
    assert (session.pair().client, session.pair().server) == (PEER, OWN)
    stranger = packet(Opcode.CONTROL_HARD_RESET_CLIENT_V2, unasked, sender=SessionId(b"again..."))
    assert session.receive(stranger, NOW) == PeerRestarted()
