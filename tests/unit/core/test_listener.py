"""First packets: what is answered, who is let in, and that nothing else is kept."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from ginnel.core.key_files import StaticKey, V2ServerKey, render_v2_client_key, render_v2_server_key
from ginnel.core.listener import (
    MAX_REMEMBERED,
    Dropped,
    Listener,
    Reply,
    Welcome,
)
from ginnel.core.types import Endpoint, Instant, KeyId, SessionId, Side
from ginnel.core.wire import (
    ControlBody,
    ControlHeader,
    Opcode,
    decode_body,
    encode_body,
    encode_header,
)
from ginnel.core.wrap import Wrapping, wrapping_for
from ginnel.core.wrap.crypt import CryptControl, siv_keys
from ginnel.core.wrap.crypt_v2 import CryptV2Control, resend_wkc_requested, wrap_client_key
from ginnel.options.model import (
    ControlWrapping,
    KeyDirection,
    PlainWrapping,
    TlsAuth,
    TlsCrypt,
    TlsOptions,
)
from ginnel.options.server_model import LimitOptions, ServerOptions, TlsCryptV2Server
from ginnel.options.values import FileContent, Secret
from tests.sim.pair import STATIC_KEY, UNIX_TIME
from tests.sim.pki import inline
from tests.unit.core.test_pool import options as pool_options

SOURCE = Endpoint(ip_address("192.0.2.10"), 40000)
CLIENT = SessionId(b"client!!")
NOW = Instant(6000.0)
SERVER_KEY = V2ServerKey(Secret(bytes(range(128))))
CLIENT_KEY = StaticKey(Secret(bytes(range(255, -1, -1))))
V2 = TlsCryptV2Server(key=inline("tls-crypt-v2", render_v2_server_key(SERVER_KEY).encode()))
DAY = 86400


def server(
    wrapping: PlainWrapping | TlsAuth | TlsCrypt | None = None, **changes: object
) -> ServerOptions:
    chosen = TlsCrypt(key=STATIC_KEY) if wrapping is None else wrapping
    return replace(pool_options(), wrapping=chosen, **changes)  # type: ignore[arg-type]  # names are the test's


def listener(options: ServerOptions | None = None) -> Listener:
    return Listener(
        options=server() if options is None else options,
        secret=b"s" * 32,
        unix_time=UNIX_TIME,
        now=NOW,
    )


def client_wrapping(wrapping: ControlWrapping | None = None) -> Wrapping:
    chosen = TlsCrypt(key=STATIC_KEY) if wrapping is None else wrapping
    return wrapping_for(chosen, Side.CLIENT, UNIX_TIME)


def v2_wrapping(*, kind: int = 0, metadata: bytes = b"", key: StaticKey = CLIENT_KEY) -> Wrapping:
    wrapped = wrap_client_key(SERVER_KEY, key, metadata_type=kind, metadata=metadata)
    return CryptV2Control(key=wrapped, side=Side.CLIENT, unix_time=UNIX_TIME)


def v2_client_file() -> FileContent:
    """A client's key file."""
    wrapped = wrap_client_key(SERVER_KEY, CLIENT_KEY, metadata_type=0, metadata=b"someone")
    return inline("tls-crypt-v2", render_v2_client_key(wrapped).encode())


def reset(wrapping: Wrapping, opcode: Opcode = Opcode.CONTROL_HARD_RESET_CLIENT_V2) -> bytes:
    return packet(wrapping, opcode, ControlBody(message_id=0))


def packet(wrapping: Wrapping, opcode: Opcode, body: ControlBody, key_id: int = 0) -> bytes:
    header = ControlHeader(opcode, KeyId(key_id), CLIENT)
    return wrapping.seal(header, encode_body(body))


def answer(met: object, wrapping: Wrapping) -> tuple[ControlHeader, ControlBody]:
    assert isinstance(met, Reply)
    header, raw = wrapping.open(met.payload)
    return header, decode_body(header.opcode, raw)


def second(
    wrapping: Wrapping, cookie: SessionId, opcode: Opcode = Opcode.CONTROL_V1, message_id: int = 1
) -> bytes:
    return packet(wrapping, opcode, ControlBody((0,), cookie, message_id, b"hello"))


WRAPPINGS: list[PlainWrapping | TlsAuth | TlsCrypt] = [
    PlainWrapping(),
    TlsAuth(key=STATIC_KEY, direction=KeyDirection.NONE, digest="SHA256"),
    TlsCrypt(key=STATIC_KEY),
]


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_a_client_that_quotes_our_answer_is_let_in(
    wrapping: PlainWrapping | TlsAuth | TlsCrypt,
) -> None:
    ours, theirs = listener(server(wrapping)), client_wrapping(wrapping)
    header, body = answer(ours.meet(reset(theirs), SOURCE, NOW), theirs)
    assert header.opcode is Opcode.CONTROL_HARD_RESET_SERVER_V2
    assert (body.acks, body.peer_session_id, body.message_id) == ((0,), CLIENT, 0)
    hello = second(theirs, header.session_id)
    met = ours.meet(hello, SOURCE, NOW)
    assert isinstance(met, Welcome)
    assert met.credits == 1
    admission = met.admission
    assert (admission.client_session, admission.own_session) == (CLIENT, header.session_id)
    assert admission.packet == hello
    assert admission.claim is None
    opened, _ = admission.wrapping.open(hello)  # the packet counts as new for the session
    assert opened.session_id == CLIENT


def test_the_session_numbers_its_packets_on_from_the_answer() -> None:
    ours, theirs = listener(), client_wrapping()
    met = ours.meet(reset(theirs), SOURCE, NOW)
    header, _ = answer(met, theirs)
    welcome = ours.meet(second(theirs, header.session_id), SOURCE, NOW)
    assert isinstance(welcome, Welcome)
    following = welcome.admission.wrapping.seal(header, encode_body(ControlBody(message_id=1)))
    theirs.open(following)


def test_an_acknowledgement_alone_proves_the_address_as_well() -> None:
    ours, theirs = listener(), client_wrapping()
    header, _ = answer(ours.meet(reset(theirs), SOURCE, NOW), theirs)
    ack = packet(theirs, Opcode.ACK_V1, ControlBody((0,), header.session_id))
    assert isinstance(ours.meet(ack, SOURCE, NOW), Welcome)


def test_an_answer_lets_somebody_in_once() -> None:
    ours, theirs = listener(), client_wrapping()
    header, _ = answer(ours.meet(reset(theirs), SOURCE, NOW), theirs)
    hello = second(theirs, header.session_id)
    assert isinstance(ours.meet(hello, SOURCE, NOW), Welcome)
    assert ours.meet(hello, SOURCE, Instant(NOW + 60)) == Dropped("cookie-used")


def test_what_is_remembered_of_answers_is_bounded() -> None:
    ours = listener(server(PlainWrapping()))
    plain = client_wrapping(PlainWrapping())
    hellos = []
    for number in range(MAX_REMEMBERED + 1):
        session = SessionId(number.to_bytes(8, "big", signed=False).replace(b"\0", b"\1"))
        source = Endpoint(SOURCE.address, 1024 + number)
        header = ControlHeader(Opcode.CONTROL_HARD_RESET_CLIENT_V2, KeyId(0), session)
        met = ours.meet(plain.seal(header, encode_body(ControlBody(message_id=0))), source, NOW)
        cookie = answer(met, plain)[0].session_id
        header = ControlHeader(Opcode.CONTROL_V1, KeyId(0), session)
        body = ControlBody((0,), cookie, 1, b"hello")
        hellos.append((plain.seal(header, encode_body(body)), source))
        assert isinstance(ours.meet(*hellos[-1], NOW), Welcome)
    assert ours.meet(*hellos[1], NOW) == Dropped("cookie-used")
    assert isinstance(ours.meet(*hellos[0], NOW), Welcome)  # forgotten


@pytest.mark.parametrize(
    ("body", "opcode", "reason"),
    [
        (ControlBody((0,), SessionId(b"guessed!"), 1), Opcode.CONTROL_V1, "cookie"),
        (ControlBody((), None, 1), Opcode.CONTROL_V1, "no-session"),
        (ControlBody((), None), Opcode.ACK_V1, "no-session"),
        (ControlBody((0,), SessionId(b"guessed!"), 2), Opcode.CONTROL_V1, "no-session"),
        (ControlBody((2,), SessionId(b"guessed!")), Opcode.ACK_V1, "no-session"),
        (ControlBody((0,), SessionId(b"guessed!"), 0), Opcode.CONTROL_SOFT_RESET_V1, "opcode"),
        (ControlBody((0,), CLIENT, 0), Opcode.CONTROL_HARD_RESET_CLIENT_V2, "unsolicited-reset"),
        (ControlBody((), None, 1), Opcode.CONTROL_HARD_RESET_CLIENT_V2, "unsolicited-reset"),
        (ControlBody((), None, 0), Opcode.CONTROL_HARD_RESET_SERVER_V2, "opcode"),
        (ControlBody((), None, 0), Opcode.CONTROL_HARD_RESET_CLIENT_V1, "opcode"),
    ],
)
def test_packets_that_prove_nothing_are_dropped(
    body: ControlBody, opcode: Opcode, reason: str
) -> None:
    ours = listener()
    assert ours.meet(packet(client_wrapping(), opcode, body), SOURCE, NOW) == Dropped(reason)
    assert ours.drops[reason] == 1


def test_a_good_answer_from_another_address_lets_nobody_in() -> None:
    ours, theirs = listener(), client_wrapping()
    header, _ = answer(ours.meet(reset(theirs), SOURCE, NOW), theirs)
    elsewhere = Endpoint(ip_address("203.0.113.1"), 40000)
    assert ours.meet(second(theirs, header.session_id), elsewhere, NOW) == Dropped("cookie")


@pytest.mark.parametrize("noise", [b"", b"\x38", b"\x38" + bytes(8), b"\xff" * 60, b"\x38" * 60])
def test_noise_is_dropped(noise: bytes) -> None:
    assert isinstance(listener().meet(noise, SOURCE, NOW), Dropped)


def test_a_later_key_needs_a_session() -> None:
    late = packet(
        client_wrapping(), Opcode.CONTROL_HARD_RESET_CLIENT_V2, ControlBody(message_id=0), 1
    )
    assert listener().meet(late, SOURCE, NOW) == Dropped("key-id")


def test_another_key_is_told_apart() -> None:
    theirs = CryptControl(
        key=CLIENT_KEY, keys=siv_keys(CLIENT_KEY, Side.CLIENT), unix_time=UNIX_TIME
    )
    assert listener().meet(reset(theirs), SOURCE, NOW) == Dropped("hmac")


# --- tls-crypt-v2 --------------------------------------------------------------------------------

V3 = Opcode.CONTROL_HARD_RESET_CLIENT_V3


def test_a_client_key_is_asked_for_again() -> None:
    ours = listener(server(PlainWrapping(), crypt_v2=V2))
    theirs = v2_wrapping(metadata=b"someone")
    header, body = answer(ours.meet(reset(theirs, V3), SOURCE, NOW), theirs)
    assert resend_wkc_requested(body.payload)
    met = ours.meet(second(theirs, header.session_id, Opcode.CONTROL_WKC_V1), SOURCE, NOW)
    assert isinstance(met, Welcome)
    assert met.admission.claim is not None
    assert met.admission.claim.metadata_type == 0
    assert met.admission.claim.metadata == b"someone"


def old_v2_reset() -> bytes:
    """A first packet of 2.5, which cannot send its wrapped key again."""
    wrapped = wrap_client_key(SERVER_KEY, CLIENT_KEY, metadata_type=0, metadata=b"")
    crypt = CryptControl(
        key=CLIENT_KEY, keys=siv_keys(CLIENT_KEY, Side.CLIENT), unix_time=UNIX_TIME
    )
    return reset(crypt, V3) + wrapped.wrapped


def test_an_old_client_is_believed_at_once() -> None:
    met = listener(server(PlainWrapping(), crypt_v2=V2)).meet(old_v2_reset(), SOURCE, NOW)
    assert isinstance(met, Welcome)
    assert met.credits == 0
    assert met.admission.own_session is None


def test_force_cookie_ignores_old_clients() -> None:
    strict = replace(V2, force_cookie=True)
    met = listener(server(PlainWrapping(), crypt_v2=strict)).meet(old_v2_reset(), SOURCE, NOW)
    assert met == Dropped("force-cookie")


def test_both_kinds_of_key_serve_side_by_side() -> None:
    ours = listener(server(crypt_v2=V2))
    assert isinstance(ours.meet(reset(client_wrapping()), SOURCE, NOW), Reply)
    assert isinstance(ours.meet(reset(v2_wrapping(), V3), SOURCE, NOW), Reply)


def test_beside_client_keys_alone_a_bare_packet_is_no_way_in() -> None:
    ours = listener(server(PlainWrapping(), crypt_v2=V2))
    met = ours.meet(reset(client_wrapping(PlainWrapping())), SOURCE, NOW)
    assert met == Dropped("wrapping")


def test_client_keys_are_not_for_servers_without() -> None:
    assert listener().meet(reset(v2_wrapping(), V3), SOURCE, NOW) == Dropped("wrapping")


def test_a_client_key_of_another_server_is_no_way_in() -> None:
    foreign = wrap_client_key(
        V2ServerKey(Secret(bytes(128))), CLIENT_KEY, metadata_type=0, metadata=b""
    )
    theirs = CryptV2Control(key=foreign, side=Side.CLIENT, unix_time=UNIX_TIME)
    met = listener(server(crypt_v2=V2)).meet(reset(theirs, V3), SOURCE, NOW)
    assert met == Dropped("wkc")


@pytest.mark.parametrize(
    ("age", "kind", "length", "is_good"),
    [(9, 1, 8, True), (11, 1, 8, False), (9, 0, 8, False), (9, 1, 7, False)],
)
def test_client_keys_grow_old(age: int, kind: int, length: int, is_good: bool) -> None:
    ours = listener(server(crypt_v2=replace(V2, max_age=10)))
    made = (UNIX_TIME - age * DAY).to_bytes(8, "big")[-length:]
    met = ours.meet(reset(v2_wrapping(kind=kind, metadata=made), V3), SOURCE, NOW)
    assert isinstance(met, Reply) is is_good
    assert is_good or met == Dropped("client-key-age")


# --- limits --------------------------------------------------------------------------------------


def test_newcomers_are_counted() -> None:
    ours = listener(server(limits=LimitOptions(connect_freq=(1, 10))))
    assert ours.admit_stream(NOW)
    assert not ours.admit_stream(Instant(NOW + 9))
    theirs = client_wrapping()
    header, _ = answer(ours.meet(reset(theirs), SOURCE, NOW), theirs)
    hello = second(theirs, header.session_id)
    assert ours.meet(hello, SOURCE, Instant(NOW + 9)) == Dropped("connect-freq")
    assert isinstance(ours.meet(hello, SOURCE, Instant(NOW + 10)), Welcome)


def test_a_short_hand_window_shortens_the_answers_life() -> None:
    ours = listener(server(tls=TlsOptions(hand_window=10)))
    theirs = client_wrapping()
    header, _ = answer(ours.meet(reset(theirs), SOURCE, NOW), theirs)
    late = ours.meet(second(theirs, header.session_id), SOURCE, Instant(NOW + 15))
    assert late == Dropped("cookie")


def test_a_bare_header_says_nothing() -> None:
    bare = encode_header(ControlHeader(Opcode.CONTROL_HARD_RESET_CLIENT_V2, KeyId(0), CLIENT))
    assert listener(server(PlainWrapping())).meet(bare, SOURCE, NOW) == Dropped("short")
