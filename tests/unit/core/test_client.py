"""The client machine's contract with its shell; what it does on the wire is shown in ``sim``."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ginnel.core.actions import Done, Failed
from ginnel.core.errors import LocalMisuse
from ginnel.core.events import KeyExhausted, OccReceived
from ginnel.core.notices import Ended, Outcome
from ginnel.core.types import ActionId, Instant, KeyId
from tests.sim.pair import SERVER, SimPair


def test_a_machine_starts_once() -> None:
    pair = SimPair()
    pair.start()
    with pytest.raises(LocalMisuse):
        pair.client.start(pair.now)


def test_inputs_before_the_start_are_harmless() -> None:
    client = SimPair().client
    now = Instant(0.0)
    client.receive(b"\x40abcdefgh", SERVER, now)
    client.handle_timeout(now)
    client.report_traffic(1, 1, now)
    client.handle_data_plane(KeyExhausted(key_id=KeyId(0)), now)
    client.complete(ActionId(5), Done(), now)
    assert client.poll_timeout() is None
    assert client.poll_transmit() is None
    assert client.poll_notice() is None
    assert client.drops == {"state": 1}


def test_closing_before_the_start_ends_it() -> None:
    client = SimPair().client
    client.close("SIGINT", Instant(0.0))
    ended = client.poll_notice()
    assert isinstance(ended, Ended)
    assert (ended.outcome, ended.signal_text) == (Outcome.TERMINATE, "SIGINT")


def test_answers_that_nobody_waits_for_are_ignored() -> None:
    pair = SimPair()
    pair.connect()
    pair.client.complete(ActionId(9999), Done(), pair.now)
    assert pair.ended is None


def test_data_plane_that_refuses_a_key_ends_the_connection() -> None:
    pair = SimPair()
    pair.connect()
    pair.client.complete(pair.actions[-1].id, Failed(reason="no room"), pair.now)
    pair.advance(0.1)
    assert pair.ended is not None
    assert "no room" in pair.ended.explanation


def test_timeouts_are_never_in_the_past_for_long() -> None:
    pair = SimPair()
    pair.connect()
    for _ in range(200):
        pair.advance(7.0)
        due = pair.client.poll_timeout()
        assert due is not None
        assert due > pair.now - 1e-6


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=20), st.booleans())
def test_no_bytes_from_the_network_raise(packets: list[bytes], connected: bool) -> None:
    pair = SimPair()
    if connected:
        pair.connect()
    else:
        pair.start()
    for packet in packets:
        pair.inject(packet)
    assert pair.ended is None


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=100))
def test_no_message_inside_the_tunnel_raises(payload: bytes) -> None:
    pair = SimPair()
    pair.connect()
    pair.report(OccReceived(payload=payload))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=80).filter(lambda text: "\0" not in text), max_size=8))
def test_no_text_of_the_server_raises(texts: list[str]) -> None:
    pair = SimPair()
    pair.connect()
    for text in texts:
        if pair.ended is None:
            pair.server_says(text)
            pair.advance(0.1)


def test_packets_that_came_together_are_acknowledged_once() -> None:
    pair = SimPair()
    pair.connect()
    pair.advance(10.0)
    for text in ("INFO,one", "INFO,two"):
        pair.server.say(text, pair.now)
    first, second = pair.server.outgoing(pair.now)
    pair.client.receive(first, SERVER, pair.now, more=True)
    assert pair.client.poll_transmit() is None
    pair.client.receive(second, SERVER, pair.now)
    assert pair.client.poll_transmit() is not None
    assert pair.client.poll_transmit() is None


def test_what_came_is_acknowledged_when_a_timeout_follows_or_nonsense() -> None:
    pair = SimPair()
    pair.connect()
    pair.advance(10.0)
    pair.server.say("INFO,one", pair.now)
    (one,) = pair.server.outgoing(pair.now)
    pair.client.receive(one, SERVER, pair.now, more=True)
    pair.client.handle_timeout(pair.now)
    assert pair.client.poll_transmit() is not None
    pair.server.say("INFO,two", pair.now)
    (two,) = pair.server.outgoing(pair.now)
    pair.client.receive(two, SERVER, pair.now, more=True)
    pair.client.receive(b"nonsense", SERVER, pair.now)
    assert pair.client.poll_transmit() is not None


def test_what_ends_the_connection_is_acknowledged_at_once() -> None:
    pair = SimPair()
    pair.connect()
    pair.advance(10.0)
    pair.server.say("RESTART,[N]bye", pair.now)
    (last,) = pair.server.outgoing(pair.now)
    pair.client.receive(last, SERVER, pair.now, more=True)
    assert pair.client.poll_transmit() is not None
