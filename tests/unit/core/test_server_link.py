"""Which session a packet belongs to, and when a client may begin another one."""

from dataclasses import replace
from ipaddress import ip_address

from ginnel.core.notices import InitialPacket
from ginnel.core.server_notices import PushSent
from ginnel.core.types import Endpoint, Side
from ginnel.core.wire import ControlBody, Opcode
from ginnel.core.wrap import wrapping_for
from ginnel.options.model import TlsCrypt, TlsOptions
from tests.sim.client import SimClient
from tests.sim.duo import Duo, server_options
from tests.sim.pair import STATIC_KEY, UNIX_TIME

ELSEWHERE = Endpoint(ip_address("203.0.113.9"), 1)


def test_packets_from_elsewhere_are_not_the_clients() -> None:
    client = SimClient()
    client.connect()
    client.send(client.packet(Opcode.CONTROL_V1, ControlBody((), None, 2, b"x")), ELSEWHERE)
    assert client.server.drops["source"] == 1


def test_a_client_that_lost_its_session_takes_it_over_from_the_same_address() -> None:
    duo = Duo()
    duo.connect()
    before = duo.machine
    duo.restart_client()
    duo.until(lambda: duo.is_connected and duo.keys_match, 30.0)
    assert duo.machine is before
    assert len(duo.told(InitialPacket)) == 2
    assert len(duo.told(PushSent)) == 2
    duo.advance(200.0)
    assert duo.keys_match


def test_another_session_is_not_believed_before_it_was_let_in() -> None:
    duo = Duo()
    duo.connect()
    duo.restart_client()
    duo.up.cut = True  # it never gets any further
    held = duo.server.keys.sending
    duo.advance(120.0)
    assert duo.server.keys.sending is held
    assert duo.server.machine is not None


def test_first_packets_that_go_nowhere_replace_one_another() -> None:
    client = SimClient()
    client.connect()
    active = client.server_session
    for _ in range(5):
        client.session = type(client.session)(bytes(reversed(client.session)) + b"")
        reset = client.packet(Opcode.CONTROL_HARD_RESET_CLIENT_V2, ControlBody(message_id=0))
        client.send(reset)
    assert active is not None
    client.advance(61.0)  # the last one is given up, the session in use is not
    assert client.machine is not None


def test_single_session_takes_no_other() -> None:
    duo = Duo(server=server_options(tls=TlsOptions(single_session=True)))
    duo.connect()
    duo.restart_client()
    duo.advance(10.0)
    assert not duo.is_connected
    assert duo.machine.drops["single-session"] > 0


def test_a_session_begins_with_a_reset_alone() -> None:
    client = SimClient()
    client.connect()
    begun = client.packet(Opcode.CONTROL_HARD_RESET_CLIENT_V2, ControlBody((), None, 1))
    client.session = type(client.session)(b"stranger")
    for body, opcode, reason in (
        (ControlBody((), None, 0), Opcode.CONTROL_V1, "no-session"),
        (ControlBody((), None, 0), Opcode.CONTROL_SOFT_RESET_V1, "no-session"),
        (ControlBody((), None, 1), Opcode.CONTROL_HARD_RESET_CLIENT_V2, "unsolicited-reset"),
    ):
        client.send(client.packet(opcode, body))
        assert client.server.drops[reason] >= 1
    client.send(begun)


def test_another_key_begins_no_session() -> None:
    crypt = TlsCrypt(key=STATIC_KEY)
    client = SimClient(
        server_options(wrapping=crypt), wrapping=wrapping_for(crypt, Side.CLIENT, UNIX_TIME)
    )
    client.connect()
    other = SimClient(replace(server_options()))
    client.send(other.packet(Opcode.CONTROL_HARD_RESET_CLIENT_V2, ControlBody(message_id=0)))
    assert client.server.drops["short"] + client.server.drops["hmac"] == 1
