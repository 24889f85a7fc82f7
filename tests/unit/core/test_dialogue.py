"""A session and the negotiations in it."""

from ginnel.core.dialogue import Dialogue
from ginnel.core.key_session import KeySession
from ginnel.core.messages import MessageSplitter
from ginnel.core.negotiation import Settled
from ginnel.core.session import Session, SessionRules
from ginnel.core.types import Instant, SessionId, Side
from ginnel.core.wrap.plain import PlainControl
from tests.sim.fake_tls import FakeTls

NOW = Instant(0.0)


def established() -> FakeTls:
    client, server = FakeTls(Side.CLIENT, 1), FakeTls(Side.SERVER, 1)
    client.start()
    server.receive(client.take(9999))
    client.receive(server.take(9999))
    return client


def dialogue(tls: FakeTls) -> Dialogue:
    rules = SessionRules(
        tls_timeout=2.0, max_packet_size=1250, outer_overhead=28, need_answer=False
    )
    session = Session(
        session_id=SessionId(b"session!"),
        wrapping=PlainControl(),
        tls=lambda: tls,
        rules=rules,
        now=NOW,
    )
    return Dialogue(session, Side.CLIENT)


def written(key: KeySession) -> list[str]:
    """What a key session was given to send."""
    tls = FakeTls(Side.SERVER, 1)
    tls.receive(b"\1" + len(b"client 1").to_bytes(2, "big") + b"client 1")
    tls.receive(key.tls.take(9999))
    return [text for record in tls.read() for text in MessageSplitter().feed(record)]


def test_nothing_is_said_before_a_negotiation_is_open() -> None:
    assert dialogue(established()).say("EXIT", NOW) is None


def test_the_newest_open_negotiation_is_talked_through() -> None:
    talk = dialogue(established())
    first = talk.current
    first.phase = Settled()
    talk.begin_soft_reset(NOW)
    assert not talk.is_newest(first)
    assert talk.negotiations == (first, talk.current)
    key = talk.say("EXIT", NOW)
    assert key is first.key


def test_only_two_negotiations_are_kept() -> None:
    talk = dialogue(established())
    talk.begin_soft_reset(NOW)
    second = talk.current
    talk.begin_soft_reset(NOW)
    assert talk.negotiations == (second, talk.current)


def test_the_negotiation_before_can_be_forgotten() -> None:
    talk = dialogue(established())
    first = talk.current
    talk.begin_soft_reset(NOW)
    talk.forget_previous()
    assert talk.negotiations == (talk.current,)
    assert talk.current is not first


def test_closing_wipes_the_secrets() -> None:
    tls = established()
    dialogue(tls).close()
    assert tls.closed
