"""The client's control channel: what is counted, where packets go, which negotiation speaks."""

from dataclasses import replace
from ipaddress import ip_address
from itertools import count

import pytest

from ginnel.core.client_link import ClientLink
from ginnel.core.client_outbox import Outbox
from ginnel.core.errors import LocalMisuse
from ginnel.core.types import Endpoint, Instant, KeyId, SessionId, Side
from ginnel.core.wire import ControlBody, ControlHeader, Opcode, encode_body
from ginnel.core.wrap.plain import PlainControl
from ginnel.options.model import ConnectionProfile, LinkProtocol
from tests.sim.fake_tls import FakeTls
from tests.sim.pair import SERVER, UNIX_TIME, client_options, profile

NOW = Instant(10.0)
ELSEWHERE = Endpoint(ip_address("198.51.100.7"), 4242)


def link(connection: ConnectionProfile | None = None, fill: int = 7) -> tuple[ClientLink, Outbox]:
    outbox, numbers = Outbox(), count()
    chosen = profile() if connection is None else connection
    made = ClientLink(
        options=client_options(chosen),
        profile=chosen,
        remote=SERVER,
        tls=lambda: FakeTls(Side.CLIENT, next(numbers)),
        entropy=lambda length: bytes((fill,)) * length,
        outbox=outbox,
    )
    return made, outbox


def reset(own: bytes) -> bytes:
    header = ControlHeader(Opcode.CONTROL_HARD_RESET_SERVER_V2, KeyId(0), SessionId(b"peer-sid"))
    body = ControlBody((0,), SessionId(own), 0, b"")
    return PlainControl().seal(header, encode_body(body))


def test_a_copied_packet_from_elsewhere_does_not_move_an_unprotected_session() -> None:
    made, _ = link(replace(profile(), float=True))
    made.begin(NOW, UNIX_TIME)
    own = made.session.own_id
    assert made.receive(reset(own), SERVER, NOW) is not None
    assert made.receive(reset(own), ELSEWHERE, NOW) is not None
    assert made.remote == SERVER


def test_nothing_is_there_before_the_beginning() -> None:
    made, _ = link()
    assert not made.is_open
    assert made.receive(b"\x40", SERVER, NOW) is None
    assert made.drops == {"state": 1}
    assert made.next_timeout() is None
    for misuse in (lambda: made.session, lambda: made.current):
        with pytest.raises(LocalMisuse):
            misuse()


def test_first_packet_goes_to_the_remote() -> None:
    made, outbox = link()
    made.begin(NOW, UNIX_TIME)
    made.flush(NOW)
    sent = outbox.transmits.popleft()
    assert sent.destination == SERVER
    assert sent.payload[1:9] == bytes((7,)) * 8


def test_an_all_zero_draw_is_not_used_as_a_session_id() -> None:
    made, outbox = link(fill=0)
    made.begin(NOW, UNIX_TIME)
    made.flush(NOW)
    assert any(outbox.transmits.popleft().payload[1:9])


def test_on_tcp_there_is_no_destination() -> None:
    made, outbox = link(replace(profile(), protocol=LinkProtocol.TCP_CLIENT))
    made.begin(NOW, UNIX_TIME)
    made.flush(NOW)
    assert outbox.transmits.popleft().destination is None


def test_strangers_are_counted_and_float_follows_only_a_good_packet() -> None:
    made, _ = link()
    made.begin(NOW, UNIX_TIME)
    assert made.receive(reset(bytes((7,)) * 8), ELSEWHERE, NOW) is None
    assert made.drops == {"source": 1}
    floating, _ = link(replace(profile(), float=True))
    floating.begin(NOW, UNIX_TIME)
    assert floating.receive(b"\x40garbage", ELSEWHERE, NOW) is None
    assert floating.remote == SERVER
    assert floating.receive(reset(bytes((7,)) * 8), ELSEWHERE, NOW) is not None
    assert floating.remote == ELSEWHERE


def test_nobody_listens_before_the_exchange() -> None:
    made, _ = link()
    made.begin(NOW, UNIX_TIME)
    assert made.say("EXIT", NOW) is None


def test_a_new_session_replaces_the_old_one() -> None:
    made, _ = link()
    made.begin(NOW, UNIX_TIME)
    first = made.session
    made.begin(NOW, UNIX_TIME)
    assert made.session is not first
    assert len(made.negotiations) == 1
    made.close()
    assert not made.is_open
    assert not list(made.negotiations)
