"""A handshake that waits for somebody's signature: answered, refused, too late, and asked again."""

from ginnel.core import actions
from ginnel.core.notices import KeyRenegotiating, Warned
from ginnel.core.types import Side
from ginnel.options.model import TlsCrypt
from tests.sim.fake_tls import REQUEST, FakeTls
from tests.sim.pair import STATIC_KEY, SimPair, client_options, profile, with_tls

CRYPT = profile(TlsCrypt(key=STATIC_KEY))


class Owner:
    """Signs, refuses, or leaves the question open."""

    def __init__(self) -> None:
        self.channels: list[FakeTls] = []
        self.result: actions.ActionResult | None = actions.Signature(signature=b"signed")
        self.open: list[actions.SignData] = []

    def channel(self) -> FakeTls:
        self.channels.append(FakeTls(Side.CLIENT, len(self.channels), asks=True))
        return self.channels[-1]

    def answer(self, action: actions.Action) -> actions.ActionResult | None:
        if not isinstance(action, actions.SignData):
            return actions.Done()
        self.open.append(action)
        return self.result


def pair_of(owner: Owner, **tls: object) -> SimPair:
    return SimPair(
        connection=CRYPT,
        options=with_tls(client_options(CRYPT), **tls),
        client_tls=owner.channel,
        answer=owner.answer,
    )


def test_a_signature_lets_the_handshake_go_on() -> None:
    owner = Owner()
    pair = pair_of(owner)
    pair.connect()
    assert [action.request for action in owner.open] == [REQUEST]
    assert owner.channels[0].signatures == [b"signed"]


def test_a_refusal_ends_the_attempt_and_says_why() -> None:
    owner = Owner()
    owner.result = actions.Failed(reason="wrong PIN")
    pair = pair_of(owner)
    pair.start()
    pair.until(lambda: pair.ended is not None, within=10.0)
    assert pair.ended is not None
    assert pair.ended.signal_text == "tls-error"
    warned = [notice.text for notice in pair.told(Warned) if isinstance(notice, Warned)]
    assert "no signature with the private key: wrong PIN" in warned


def test_no_answer_runs_into_the_hand_window() -> None:
    owner = Owner()
    owner.result = None
    pair = pair_of(owner)
    pair.start()
    pair.until(lambda: pair.ended is not None, within=70.0)
    assert len(owner.open) == 1, "asked once, not at every packet"
    assert owner.channels[0].closed
    pair.client.complete(owner.open[0].id, actions.Signature(signature=b"late"), pair.now)
    assert owner.channels[0].signatures == []


def test_every_negotiation_asks_and_the_old_key_serves_meanwhile() -> None:
    owner = Owner()
    pair = pair_of(owner, reneg_sec=100, hand_window=60)
    pair.connect()
    owner.result = None
    pair.until(lambda: bool(pair.told(KeyRenegotiating)), within=101.0)
    pair.until(lambda: len(owner.open) == 2, within=5.0)
    pair.advance(30.0)
    assert pair.ended is None
    assert pair.keys.sending is not None
    signature = actions.Signature(signature=b"at last")
    pair.client.complete(owner.open[1].id, signature, pair.now)
    pair.until(lambda: pair.keys.opens() == {0, 1}, within=5.0)
    assert owner.channels[1].signatures == [b"at last"]
