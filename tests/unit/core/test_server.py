"""The server's machine shows who it is for."""

from ipaddress import ip_address
from random import Random

from ginnel.core.control_keys import ControlKeys
from ginnel.core.server import ServerMachine
from ginnel.core.server_actions import ClientId
from ginnel.core.types import Endpoint, Instant, KeyId, PeerId, SessionId, Side, Transport
from ginnel.core.wire import ControlBody, ControlHeader, Opcode, encode_body, encode_header
from ginnel.options.server_model import ServerOptions
from tests.sim.fake_tls import FakeTls
from tests.sim.pair import CAPABILITIES, UNIX_TIME
from tests.unit.core.test_pool import options

CLIENT = Endpoint(ip_address("192.0.2.10"), 40000)


def machine(wanted: ServerOptions | None = None) -> ServerMachine:
    has = options() if wanted is None else wanted
    return ServerMachine(
        options=has,
        keys=ControlKeys(has),
        client_id=ClientId(7),
        peer_id=PeerId(3),
        remote=CLIENT,
        local=None,
        transport=Transport.UDP,
        admission=None,
        tls=lambda: FakeTls(Side.SERVER, 1),
        entropy=Random(1).randbytes,
        unix_time=UNIX_TIME,
        capabilities=CAPABILITIES,
        tokens=None,
    )


def test_packets_that_came_together_are_answered_after_the_last() -> None:
    made, now = machine(), Instant(0.0)
    made.start(now)
    header = ControlHeader(
        Opcode.CONTROL_HARD_RESET_CLIENT_V2, KeyId(0), SessionId(bytes(range(8)))
    )
    reset = encode_header(header) + encode_body(ControlBody(message_id=0))
    made.receive(reset, CLIENT, now, more=True)
    assert made.poll_transmit() is None
    made.receive(reset, CLIENT, now)
    assert made.poll_transmit() is not None
    assert made.poll_transmit() is None


def test_a_new_machine_knows_its_client_and_wants_nothing() -> None:
    made = machine()
    assert (made.facts.client_id, made.facts.peer_id, made.facts.remote) == (7, 3, CLIENT)
    assert made.agreed is None
    assert not made.is_over
    assert made.poll_transmit() is None
    assert made.poll_notice() is None
    assert made.poll_action() is None
    assert made.poll_timeout() is None
    made.handle_timeout(Instant(0.0))
