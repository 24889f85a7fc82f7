"""What a client says about itself, and keys from the exchange."""

from dataclasses import replace

import pytest

from ginnel.core.client_exchange import (
    AwaitPeer,
    Exchanged,
    Introduction,
    Negotiation,
    Phase,
    Settled,
    introduce,
    peer_variables,
)
from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.errors import Malformed
from ginnel.core.key_derivation import SessionPair
from ginnel.core.key_method import (
    KeyMethodMessage,
    KeySource,
    decode_key_method,
    encode_key_method,
)
from ginnel.core.key_session import KeySession
from ginnel.core.negotiate import Agreement
from ginnel.core.peer_info import LocalFacts
from ginnel.core.types import Instant, KeyId, PeerId, SessionId, Side
from ginnel.core.wire import Opcode
from ginnel.options.model import ClientOptions
from tests.sim.fake_tls import FakeTls
from tests.sim.pair import CAPABILITIES, client_options, credentials, profile

OPTIONS = client_options(profile())
PAIR = SessionPair(client=SessionId(b"client01"), server=SessionId(b"server01"))
AGREEMENT = Agreement(
    cipher=DataCipher.AES_256_GCM,
    format=DataFormat.V2,
    send_peer_id=PeerId(0),
    tls_ekm=False,
    dyn_tls_crypt=False,
    cc_exit=False,
)


def introduction(options: ClientOptions = OPTIONS) -> Introduction:
    return introduce(options, profile(), CAPABILITIES, LocalFacts(version="2.6.14"))


def sent(options: ClientOptions = OPTIONS) -> KeyMethodMessage:
    _, message = introduction(options).message(bytes, credentials())
    return decode_key_method(bytes(message), Side.CLIENT)


def variables(options: ClientOptions = OPTIONS) -> dict[str, str]:
    return peer_variables(sent(options))


def test_pulling_client_tells_what_it_can_do() -> None:
    told = variables()
    assert told["IV_VER"] == "2.6.14"
    assert told["IV_CIPHERS"] == "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305"
    assert told["IV_NCP"] == "2"
    assert told["IV_MTU"] == "1600"
    assert int(told["IV_PROTO"]) == 990 + 2048 + 4096


def test_peer_without_pull_tells_less() -> None:
    told = variables(replace(OPTIONS, pull=False))
    assert "IV_MTU" not in told
    assert int(told["IV_PROTO"]) & 1 << 5


def test_environment_is_told_by_level() -> None:
    setenv = {"IV_GUI_VER": "nm", "UV_SITE": "office", "OTHER": "no", "IV_PLAT_VER": "12"}
    options = replace(OPTIONS, scripts=replace(OPTIONS.scripts, setenv=setenv))
    told = variables(options)
    assert told["IV_GUI_VER"] == "nm"
    assert "UV_SITE" not in told
    full = variables(replace(options, tls=replace(options.tls, push_peer_info=True)))
    assert (full["UV_SITE"], full["IV_PLAT_VER"]) == ("office", "12")
    assert "OTHER" not in full


def test_login_is_sent_only_when_there_is_one() -> None:
    message = sent()
    assert (message.username, message.password.reveal()) == ("user", b"secret")
    _, bare = introduction().message(bytes, None)
    assert decode_key_method(bytes(bare), Side.CLIENT).username == ""


def test_login_that_does_not_fit_is_told() -> None:
    with pytest.raises(ValueError, match="fit"):
        introduction().message(bytes, credentials("u" * 5000))


def negotiation() -> Negotiation:
    key = KeySession(
        key_id=KeyId(3),
        tls=FakeTls(Side.CLIENT, 1),
        side=Side.CLIENT,
        started=Instant(0.0),
        reset=Opcode.CONTROL_SOFT_RESET_V1,
        timeout=2.0,
    )
    return Negotiation(key=key)


def phase_of(talk: Negotiation) -> Phase:
    """Asks anew each time, which the type checker would not believe of an attribute."""
    return talk.phase


def server_message() -> bytes:
    source = KeySource.from_entropy(Side.SERVER, bytes(range(64)))
    return bytes(encode_key_method(KeyMethodMessage(source=source, options_string="V4")))


def test_legacy_key_comes_from_both_halves_and_is_forgotten() -> None:
    source, _ = introduction().message(bytes, None)
    talk = negotiation()
    opened = [talk.is_open]
    talk.phase = AwaitPeer(source)
    talk.accept(server_message())
    assert isinstance(phase_of(talk), Exchanged)
    opened.append(talk.is_open)
    key = talk.derive(PAIR, AGREEMENT)
    assert key.key_id == 3
    assert isinstance(phase_of(talk), Settled)
    opened.append(talk.is_open)
    assert opened == [False, True, True]
    again = negotiation()
    again.phase = AwaitPeer(source)
    again.accept(server_message())
    other = SessionPair(client=PAIR.client, server=SessionId(b"server02"))
    assert again.derive(other, AGREEMENT).send != key.send


def test_exported_key_does_not_depend_on_the_halves() -> None:
    exporter = replace(AGREEMENT, tls_ekm=True)
    keys = []
    for entropy in (bytes, lambda count: b"\1" * count):
        source, _ = introduction().message(entropy, None)
        talk = negotiation()
        talk.phase = AwaitPeer(source)
        talk.accept(server_message())
        keys.append(talk.derive(PAIR, exporter))
    assert keys[0] == keys[1]


def test_garbled_answer_is_refused() -> None:
    talk = negotiation()
    with pytest.raises(Malformed):
        talk.accept(b"\xff" * 100)


def test_peer_id_of_equals_is_exported() -> None:
    assert 0 <= negotiation().exported_peer_id() < 1 << 24
