"""Which session a packet belongs to, and when a client may begin another one."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from ginnel.core.actions import Done, Failed
from ginnel.core.notices import InitialPacket
from ginnel.core.server_actions import VerifyClientKey
from ginnel.core.server_notices import PushSent
from ginnel.core.types import Endpoint, Instant, KeyId, SessionId, Side, Transport
from ginnel.core.wire import ControlBody, ControlHeader, Opcode, encode_body
from ginnel.core.wrap import wrapping_for
from ginnel.core.wrap.crypt import CryptControl, siv_keys
from ginnel.core.wrap.crypt_v2 import wrap_client_key
from ginnel.options.model import TlsCrypt, TlsOptions
from tests.sim.client import SimClient, usual
from tests.sim.duo import Duo, server_options
from tests.sim.pair import STATIC_KEY, UNIX_TIME
from tests.unit.core.test_listener import CLIENT_KEY, SERVER_KEY, V2
from tests.unit.core.test_server import CLIENT, machine

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


def test_a_session_that_gets_on_is_left_alone_for_a_while() -> None:
    client = SimClient()
    client.connect()
    client.begin()
    halfway = client.server_session
    client.begin()
    assert client.server.drops["other-session"] >= 1
    assert client.server_session != halfway
    client.advance(11.0)
    client.begin()
    client.introduce()
    assert len(client.messages) == 2


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


def test_a_new_session_uses_its_key_at_once_whatever_came_before() -> None:
    duo = Duo(server=server_options(tls=TlsOptions(reneg_sec=100)))
    duo.connect()
    duo.advance(350.0)
    duo.restart_client()
    duo.until(lambda: duo.is_connected, 30.0)
    assert duo.keys_match
    assert duo.server.keys.sending is not None
    assert duo.server.keys.sending.key_id == 0


def test_sessions_do_not_begin_all_the_time() -> None:
    client = SimClient()
    client.connect()
    for number in range(50):
        client.session = SessionId(bytes((number + 1,)) * 8)
        reset = client.packet(Opcode.CONTROL_HARD_RESET_CLIENT_V2, ControlBody(message_id=0))
        client.send(reset)
    assert client.server.drops["session-frequency"] == 40
    assert len(client.told(InitialPacket)) == 11


class OldV2(CryptControl):
    """What a client of 2.5 has: a key of its own, sent along with the first packet alone."""

    def __init__(self, metadata: bytes) -> None:
        keys = siv_keys(CLIENT_KEY, Side.CLIENT)
        super().__init__(key=CLIENT_KEY, keys=keys, unix_time=UNIX_TIME)
        self._wrapped = wrap_client_key(
            SERVER_KEY, CLIENT_KEY, metadata_type=0, metadata=metadata
        ).wrapped

    def seal(self, header: ControlHeader, body: bytes) -> bytes:
        packet = super().seal(header, body)
        is_first = header.opcode is Opcode.CONTROL_HARD_RESET_CLIENT_V3
        return packet + self._wrapped if is_first else packet


V2_SERVER = server_options(crypt_v2=replace(V2, verify=("/judge",)))


def v2_client(
    metadata: bytes = b"mine",
    result: Done | Failed | None = None,
    transport: Transport = Transport.UDP,
) -> SimClient:
    client = SimClient(
        V2_SERVER,
        wrapping=OldV2(metadata),
        transport=transport,
        answer=lambda action: (
            result if isinstance(action, VerifyClientKey) else usual(action, V2_SERVER)
        ),
    )
    client.begin(Opcode.CONTROL_HARD_RESET_CLIENT_V3)
    return client


@pytest.mark.parametrize("transport", list(Transport))
def test_a_clients_own_key_is_judged_before_tls(transport: Transport) -> None:
    client = v2_client(transport=transport)
    client.advance(3.0)
    (action,) = client.asked(VerifyClientKey)
    assert isinstance(action, VerifyClientKey)
    assert action.claim.metadata == b"mine"
    assert not client.talks[-1].tls.established
    client.complete(action, Done())
    client.advance(10.0)
    client.introduce()
    assert client.messages[-1].startswith("PUSH_REPLY")


def test_a_packet_that_waits_for_the_judgement_holds_up_no_answer() -> None:
    made, now = machine(V2_SERVER), Instant(0.0)
    made.start(now)
    header = ControlHeader(
        Opcode.CONTROL_HARD_RESET_CLIENT_V3, KeyId(0), SessionId(bytes(range(8)))
    )
    reset = OldV2(b"mine").seal(header, encode_body(ControlBody(message_id=0)))
    made.receive(reset, CLIENT, now, more=True)
    assert isinstance(made.poll_action(), VerifyClientKey)
    made.receive(b"what follows", CLIENT, now)
    assert made.poll_transmit() is not None


def test_a_key_that_is_refused_goes_no_further() -> None:
    client = v2_client(result=Failed(reason="revoked"))
    assert client.ended is not None
    assert client.ended.signal_text == "tls-error"
    assert any("revoked" in str(notice) for notice in client.notices)


def test_a_later_session_must_bring_the_key_that_was_judged() -> None:
    client = v2_client(result=Done())
    client.introduce()
    client.wrapping = OldV2(b"mine")
    client.begin(Opcode.CONTROL_HARD_RESET_CLIENT_V3)
    client.introduce()
    assert len(client.messages) == 2
    client.wrapping = OldV2(b"another")
    client.begin(Opcode.CONTROL_HARD_RESET_CLIENT_V3)
    assert client.server.drops["client-key"] >= 1
    assert not client.talks[-1].tls.established
