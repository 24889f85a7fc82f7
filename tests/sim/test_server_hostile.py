"""Packets and words of nobody in particular at a server: dropped, counted, and without effect."""

from random import Random

import pytest

from ginnel.core.actions import Failed
from ginnel.core.types import ActionId, Endpoint, Transport
from ginnel.core.wire import Opcode
from ginnel.options.model import TlsCrypt
from tests.sim.client import SimClient
from tests.sim.duo import CLIENT, Duo, server_options
from tests.sim.pair import STATIC_KEY, profile
from tests.sim.wire import Faults

CRYPT = TlsCrypt(key=STATIC_KEY)


def duo_with(wrapped: bool, **more: object) -> Duo:
    arguments: dict[str, object] = dict(more)
    if wrapped:
        arguments |= {"server": server_options(wrapping=CRYPT), "connection": profile(CRYPT)}
    return Duo(**arguments)  # type: ignore[arg-type]  # names are the test's


@pytest.mark.parametrize("wrapped", [True, False])
def test_garbage_at_every_stage_is_counted(wrapped: bool) -> None:
    draw = Random(3)
    duo = duo_with(wrapped)
    duo.start()
    for _ in range(400):
        duo.inject(draw.randbytes(draw.randrange(0, 200)))
        opcode = draw.randrange(32) << 3 | draw.randrange(8)
        duo.inject(bytes((opcode,)) + draw.randbytes(draw.randrange(0, 120)))
        duo.advance(0.01)
    duo.until(lambda: duo.is_connected, within=60.0)
    for _ in range(400):
        duo.inject(draw.randbytes(draw.randrange(0, 200)))
    duo.advance(10.0)
    assert duo.server_ended is None
    assert duo.keys_match
    assert len(duo.machine.drops) < 20


def test_replayed_packets_change_nothing() -> None:
    duo = duo_with(True)
    duo.connect()
    answers = len(duo.down.sent)
    for packet in list(duo.up.sent):
        duo.inject(packet)
    duo.advance(1.0)
    assert duo.keys_match
    assert len(duo.down.sent) - answers <= 1  # at most one answer to the old first packet
    assert duo.server_ended is None


def test_a_flood_of_first_packets_leaves_nothing() -> None:
    duo = duo_with(False)
    duo.start()
    duo.advance(0.001)
    first = duo.up.sent[0]
    for number in range(1000):
        opcode = bytes((Opcode.CONTROL_HARD_RESET_CLIENT_V2 << 3,))
        session = number.to_bytes(8, "big").replace(b"\0", b"\7")
        duo.inject(opcode + session + first[9:], Endpoint(CLIENT.address, 1024 + number))
    assert duo.server.welcomes == 0


def test_mutated_real_packets_never_raise() -> None:
    draw = Random(5)
    duo = duo_with(False)
    duo.connect()
    for packet in list(duo.up.sent) * 20:
        position = draw.randrange(len(packet))
        duo.inject(packet[: draw.randrange(len(packet) + 1)])
        duo.inject(packet[:position] + draw.randbytes(1) + packet[position + 1 :])
    duo.advance(61.0)


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
    transport = Transport.TCP if seed % 3 == 0 else Transport.UDP
    duo = duo_with(bool(seed % 2), faults=faults, seed=seed, transport=transport)
    duo.start()
    duo.until(lambda: duo.is_connected or duo.ended is not None, within=200.0)
    duo.restart_of_client()
    duo.advance(4000.0)


def test_inputs_after_the_end_do_nothing() -> None:
    client = SimClient()
    client.connect()
    machine = client.server
    client.act(lambda one, now: one.close("SIGTERM", now))
    assert client.ended is not None
    assert client.ended.signal_text == "SIGTERM"
    machine.receive(b"\x20" + bytes(30), CLIENT, client.now)
    machine.handle_timeout(client.now)
    machine.report_traffic(1, 1, client.now)
    machine.complete(ActionId(1), Failed(reason="late"), client.now)
    machine.refuse("no", client.now)
    machine.restart_client("RESTART", client.now)
    machine.close("again", client.now)
    assert not machine.say("x", client.now)
    assert not machine.update(["route 1.2.3.4"], client.now)
    assert not machine.pend(1, "", client.now)
    assert machine.poll_timeout() is None
    assert machine.poll_transmit() is None
    assert machine.poll_action() is None
    assert machine.poll_notice() is None
