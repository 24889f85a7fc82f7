"""Soft resets of either side, days of them, and sessions that fail and begin anew."""

import pytest

from ginnel.core.data_key import KeySlot
from ginnel.core.events import KeyExhausted
from ginnel.core.notices import KeyRenegotiating, Outcome, PeerConnected, Warned
from ginnel.core.types import KeyId
from ginnel.core.wire import Opcode
from ginnel.options.model import TlsCrypt
from tests.sim.pair import STATIC_KEY, SimPair, client_options, packets_of, profile, with_tls
from tests.sim.server import ServerScript
from tests.sim.wire import Faults

CRYPT = profile(TlsCrypt(key=STATIC_KEY))


def pair_with(seed: int = 1, faults: Faults | None = None, **tls: object) -> SimPair:
    """A tls-crypt pair with TLS settings changed."""
    return SimPair(
        connection=CRYPT,
        options=with_tls(client_options(CRYPT), **tls),
        seed=seed,
        faults=faults,
    )


def agreed(pair: SimPair) -> bool:
    """Whether the server can open what the client seals now."""
    ours = pair.keys.sending
    return ours is not None and pair.server.data_keys[ours.key_id].receive == ours.send


def test_client_renegotiates_exactly_after_reneg_sec() -> None:
    pair = pair_with(reneg_sec=100)
    pair.connect()
    began = pair.now
    pair.until(lambda: bool(pair.told(KeyRenegotiating)), within=101.0)
    assert pair.now - began == pytest.approx(100.0, abs=0.1)
    pair.advance(1.0)
    assert [text for _, text in pair.keys.history] == ["install 0 PRIMARY", "install 1 SECONDARY"]


def test_sending_switches_at_half_the_interval_and_the_old_key_still_opens() -> None:
    pair = pair_with(reneg_sec=100)
    pair.connect()
    pair.until(lambda: bool(pair.told(KeyRenegotiating)), within=101.0)
    began = pair.now
    pair.advance(49.9)
    assert pair.keys.sending is not None
    assert pair.keys.sending.key_id == 0
    assert pair.keys.opens() == {0, 1}
    pair.until(lambda: pair.keys.sending is not None and pair.keys.sending.key_id == 1, within=1.0)
    assert pair.now - began == pytest.approx(50.0, abs=0.1)
    assert pair.keys.opens() == {0, 1}
    assert agreed(pair)


def test_lame_duck_goes_after_the_transition_window() -> None:
    pair = pair_with(reneg_sec=1000, tran_window=200)
    pair.connect()
    pair.until(lambda: bool(pair.told(KeyRenegotiating)), within=1001.0)
    began = pair.now
    pair.until(lambda: "delete SECONDARY" in [text for _, text in pair.keys.history], within=205.0)
    assert pair.now - began == pytest.approx(200.0, abs=0.1)
    assert pair.keys.opens() == {1}


def test_three_days_of_renegotiations_on_a_lossy_wire() -> None:
    bad = Faults(loss=0.2, duplicate=0.1, corrupt=0.02, delay=0.03, jitter=0.5)
    pair = pair_with(seed=7, faults=bad, reneg_sec=3600)
    pair.connect()
    for _ in range(72):
        pair.advance(3600.0)
        pair.up.sent.clear()
        pair.down.sent.clear()
        assert pair.ended is None
        assert agreed(pair)
    # Each hour a new key, give or take the time a handshake takes.
    assert len(pair.told(KeyRenegotiating)) in (70, 71, 72)
    assert len(pair.told(PeerConnected)) == 1


def test_key_ids_wrap_from_seven_to_one() -> None:
    pair = pair_with(reneg_sec=50)
    pair.connect()
    pair.advance(50 * 9 + 5)
    numbers = [n.key_id for n in pair.notices if isinstance(n, KeyRenegotiating)]
    assert numbers == [1, 2, 3, 4, 5, 6, 7, 1, 2]
    assert agreed(pair)


def test_server_may_renegotiate_every_few_seconds() -> None:
    pair = pair_with(reneg_sec=0)
    pair.connect()
    for _ in range(40):
        before = pair.keys.sending
        pair.advance(3.0)
        # Before the server begins anew, and with it forgets the key before the last, the client
        # has already moved to the newest key, so nothing it sends is lost.
        sending = pair.keys.sending
        assert sending is not None
        newest = list(pair.server.data_keys)[-1]
        if before is not None and len(pair.told(KeyRenegotiating)) > 1:
            assert sending.key_id == newest
        pair.server_acts(pair.server.soft_reset)
    pair.advance(3.0)
    assert pair.ended is None
    assert agreed(pair)


def test_both_sides_may_begin_at_once() -> None:
    pair = pair_with(reneg_sec=100)
    pair.connect()
    pair.advance(99.99 - (pair.now - 1000.0) % 1)
    pair.until(lambda: bool(pair.told(KeyRenegotiating)), within=3.0)
    pair.server_acts(pair.server.soft_reset)
    pair.advance(60.0)
    assert [n.key_id for n in pair.notices if isinstance(n, KeyRenegotiating)] == [1]
    assert agreed(pair)
    assert pair.keys.opens() == {0, 1}


def test_exhausted_key_is_replaced_once() -> None:
    pair = pair_with(reneg_sec=0)
    pair.connect()
    pair.report(KeyExhausted(key_id=KeyId(0)))
    pair.report(KeyExhausted(key_id=KeyId(0)))
    pair.advance(61.0)
    assert len(pair.told(KeyRenegotiating)) == 1
    pair.report(KeyExhausted(key_id=KeyId(0)))  # the old key: no reason for another
    pair.advance(1.0)
    assert len(pair.told(KeyRenegotiating)) == 1


def test_traffic_limits_ask_for_a_new_key() -> None:
    pair = pair_with(reneg_sec=0, reneg_bytes=1000, reneg_pkts=50)
    pair.connect()
    pair.client.report_traffic(999, 49, pair.now)
    pair.advance(0.5)
    assert not pair.told(KeyRenegotiating)
    pair.client.report_traffic(1000, 49, pair.now)
    pair.advance(61.0)
    assert len(pair.told(KeyRenegotiating)) == 1
    pair.client.report_traffic(1900, 98, pair.now)
    pair.advance(1.0)
    assert len(pair.told(KeyRenegotiating)) == 1
    pair.client.report_traffic(1900, 99, pair.now)
    pair.advance(1.0)
    assert len(pair.told(KeyRenegotiating)) == 2


def test_failed_renegotiation_starts_a_new_session_and_keeps_the_key() -> None:
    pair = pair_with(reneg_sec=100)
    pair.connect()
    pair.up.cut = True
    pair.advance(165.0)  # the renegotiation begins at 100 and is given up 60 later
    assert pair.ended is None
    warnings = [n.text for n in pair.notices if isinstance(n, Warned)]
    assert any("the key in use serves on" in text for text in warnings)
    assert agreed(pair)
    pair.up.cut = False
    pair.advance(30.0)
    resets = packets_of(pair.up, [Opcode.CONTROL_HARD_RESET_CLIENT_V2])
    assert len({packet[1:9] for packet in resets}) == 2
    # The new session counts from key 0 again and takes over at once, without a second device.
    assert pair.ended is None
    assert agreed(pair)
    assert len(pair.told(PeerConnected)) == 1
    assert pair.keys.opens() == {0}
    pair.advance(150.0)
    assert agreed(pair)


def test_new_sessions_key_serves_before_the_push_is_repeated() -> None:
    pair = pair_with(reneg_sec=100)
    pair.connect()
    pair.up.cut = True
    pair.advance(165.0)
    pair.server.script.silent_to_push = True  # a real server answers only every 30 seconds
    pair.up.cut = False
    pair.advance(40.0)
    assert agreed(pair)
    pair.server.script.silent_to_push = False
    pair.advance(10.0)
    assert pair.ended is None
    pair.advance(150.0)
    assert agreed(pair)


def test_new_sessions_are_tried_while_the_key_lives() -> None:
    pair = pair_with(reneg_sec=100, tran_window=600)
    pair.connect()
    pair.up.cut = True
    pair.advance(380.0)  # three more sessions that got nowhere
    assert pair.ended is None
    assert agreed(pair)
    pair.up.cut = False
    pair.advance(100.0)
    assert KeySlot.SECONDARY not in pair.keys.slots  # the new session's key took over
    pair.advance(400.0)
    assert pair.ended is None
    assert agreed(pair)
    assert len(pair.told(PeerConnected)) == 1


def test_sessions_that_fail_at_once_are_tried_at_most_once_in_hand_window() -> None:
    pair = pair_with(reneg_sec=100, tran_window=600)
    pair.connect()
    pair.server.script.garble_key_method = True
    pair.advance(500.0)
    resets = packets_of(pair.up, [Opcode.CONTROL_HARD_RESET_CLIENT_V2])
    assert 6 <= len({packet[1:9] for packet in resets}) <= 8
    assert pair.ended is None
    pair.server.script.garble_key_method = False
    pair.advance(60.0)
    assert agreed(pair)


def test_closing_works_between_two_sessions() -> None:
    pair = pair_with(reneg_sec=100, tran_window=600)
    pair.connect()
    pair.server.script.garble_key_method = True
    pair.advance(130.0)  # the renegotiation failed at 100, the new session right after
    assert len(pair.told(KeyRenegotiating)) == 1
    for packet in pair.down.sent[-3:]:
        pair.inject(packet)
    pair.report(KeyExhausted(key_id=KeyId(0)))
    pair.close()
    assert pair.ended is not None
    assert pair.ended.outcome is Outcome.TERMINATE


def test_single_session_gives_no_second_chance() -> None:
    pair = pair_with(reneg_sec=100, single_session=True)
    pair.connect()
    pair.up.cut = True
    pair.until(lambda: pair.ended is not None, within=165.0)
    assert pair.ended is not None
    assert pair.ended.signal_text == "tls-error"


def test_new_session_with_other_options_ends_the_connection() -> None:
    pair = pair_with(reneg_sec=100)
    pair.connect()
    pair.up.cut = True
    pair.advance(165.0)
    pair.server.script.push = [
        "PUSH_REPLY,ifconfig 10.9.0.2 255.255.255.0,topology subnet,peer-id 0"
    ]
    pair.up.cut = False
    pair.until(lambda: pair.ended is not None, within=60.0)
    assert pair.ended is not None
    assert pair.ended.signal_text == "tls-error"
    assert "options changed" in pair.ended.explanation


def test_expired_key_without_successor_ends_the_connection() -> None:
    pair = pair_with(reneg_sec=100, tran_window=80)
    pair.connect()
    pair.up.cut = True
    pair.until(lambda: pair.ended is not None, within=225.0)
    assert pair.ended is not None
    assert "last data key expired" in pair.ended.explanation
    assert KeySlot.PRIMARY in pair.keys.slots  # the shell closes the data plane with the machine


def test_hard_reset_from_a_server_that_proves_the_key_starts_over() -> None:
    pair = pair_with(reneg_sec=0)
    pair.connect()
    pair.advance(60.0)
    pair.server.script = ServerScript()
    first = pair.server.data_keys[pair.server_key_id]
    pair.server.restart()
    reset = pair.server_hard_reset()
    pair.inject(reset)
    pair.advance(10.0)
    assert pair.ended is None
    assert agreed(pair)
    assert pair.server.data_keys[pair.server_key_id] != first


def test_forged_hard_resets_cost_one_handshake_a_minute_and_no_tunnel() -> None:
    """Whoever has the shared tls-crypt key can send them, whoever recorded one as well."""
    pair = pair_with(reneg_sec=0)
    pair.connect()
    for _ in range(600):
        pair.inject(pair.server_hard_reset())
        pair.advance(0.5)
        assert pair.ended is None
        assert agreed(pair)
    resets = packets_of(pair.up, [Opcode.CONTROL_HARD_RESET_CLIENT_V2])
    assert 5 <= len({packet[1:9] for packet in resets}) <= 6


def test_hard_reset_without_a_wrapping_proves_nothing() -> None:
    connection = profile()
    pair = SimPair(connection=connection)
    pair.connect()
    pair.advance(61.0)
    forged = bytes((Opcode.CONTROL_HARD_RESET_SERVER_V2 << 3,)) + b"attacker" + bytes(5)
    pair.inject(forged)
    pair.advance(5.0)
    assert pair.client.drops["other-session"] == 1
    assert agreed(pair)
    assert len(packets_of(pair.up, [Opcode.CONTROL_HARD_RESET_CLIENT_V2])) == 1


@pytest.mark.parametrize("by_server", [False, True])
def test_the_key_opens_before_the_server_can_use_it(by_server: bool) -> None:
    """A server without reneg-sec seals with the new key once it has our key method message."""
    pair = pair_with(reneg_sec=0 if by_server else 100, faults=Faults(delay=0.2))
    pair.connect()
    if by_server:
        pair.server_acts(pair.server.soft_reset)
    pair.until(lambda: pair.server_key_id == 1, within=110.0)
    assert 1 in pair.keys.opens()
    assert pair.keys.sending is not None
    assert pair.keys.sending.key_id == 0


def test_a_key_whose_negotiation_fails_is_never_sealed_with() -> None:
    pair = pair_with(reneg_sec=100)
    pair.connect()
    pair.server.script.garble_key_method = True
    pair.until(lambda: 1 in pair.keys.opens(), within=101.0)
    pair.advance(20.0)
    assert pair.keys.sending is not None
    assert pair.keys.sending.key_id == 0
