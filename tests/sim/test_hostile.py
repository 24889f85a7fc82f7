"""Packets of nobody in particular: dropped, counted, never raised, and without effect."""

from random import Random

import pytest

from ginnel.core.types import Endpoint
from ginnel.options.model import TlsCrypt
from tests.sim.pair import SERVER, STATIC_KEY, SimPair, profile
from tests.sim.wire import Faults

CRYPT = profile(TlsCrypt(key=STATIC_KEY))


@pytest.mark.parametrize("wrapped", [True, False])
def test_garbage_at_every_stage_is_counted(wrapped: bool) -> None:
    draw = Random(3)
    pair = SimPair(connection=CRYPT if wrapped else profile())
    pair.start()
    for _ in range(400):
        pair.inject(draw.randbytes(draw.randrange(0, 200)))
        opcode = draw.randrange(32) << 3 | draw.randrange(8)
        pair.inject(bytes((opcode,)) + draw.randbytes(draw.randrange(0, 120)))
        pair.advance(0.01)
    pair.until(lambda: pair.is_connected, within=60.0)
    for _ in range(400):
        pair.inject(draw.randbytes(draw.randrange(0, 200)))
    pair.advance(10.0)
    assert pair.ended is None
    assert sum(pair.client.drops.values()) > 1000
    assert len(pair.client.drops) < 20


def test_replayed_packets_change_nothing() -> None:
    pair = SimPair(connection=CRYPT)
    pair.connect()
    sent = len(pair.up.sent)
    for packet in list(pair.down.sent):
        pair.inject(packet)
    pair.advance(1.0)
    assert pair.client.drops["replay"] == len(pair.down.sent)
    assert len(pair.up.sent) == sent
    assert pair.ended is None


def test_mutated_real_packets_never_raise() -> None:
    draw = Random(5)
    pair = SimPair()
    pair.connect()
    for packet in list(pair.down.sent) * 20:
        cut = packet[: draw.randrange(len(packet) + 1)]
        position = draw.randrange(len(packet))
        pair.inject(cut)
        pair.inject(packet[:position] + draw.randbytes(1) + packet[position + 1 :])
    assert sum(pair.client.drops.values()) > 0


def test_other_addresses_are_not_listened_to() -> None:
    pair = SimPair()
    pair.connect()
    elsewhere = Endpoint(SERVER.address, 4242)
    for packet in list(pair.down.sent):
        pair.inject(packet, elsewhere)
    assert pair.client.drops["source"] == len(pair.down.sent)


def test_inputs_after_the_end_do_nothing() -> None:
    pair = SimPair()
    pair.connect()
    pair.close()
    assert pair.ended is not None
    for packet in list(pair.down.sent):
        pair.inject(packet)
    pair.client.handle_timeout(pair.now)
    pair.client.report_traffic(1, 1, pair.now)
    pair.close()
    assert pair.client.poll_timeout() is None
    assert pair.client.poll_transmit() is None
    assert pair.client.poll_action() is None


@pytest.mark.parametrize("seed", range(20))
def test_any_wire_ends_in_a_tunnel_or_in_one_last_notice(seed: int) -> None:
    draw = Random(seed)
    faults = Faults(
        loss=draw.random() * 0.9,
        duplicate=draw.random(),
        corrupt=draw.random() * 0.5,
        delay=draw.random(),
        jitter=draw.random() * 3,
    )
    pair = SimPair(connection=CRYPT if seed % 2 else profile(), faults=faults, seed=seed)
    pair.start()
    pair.until(lambda: pair.is_connected or pair.ended is not None, within=200.0)
