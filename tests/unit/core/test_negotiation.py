"""The phases of a negotiation, and keys from the exchange."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.errors import Malformed
from ginnel.core.key_derivation import SessionPair
from ginnel.core.key_method import (
    KeyMethodMessage,
    KeySource,
    encode_key_method,
    key_source_length,
)
from ginnel.core.key_session import KeySession
from ginnel.core.negotiate import Agreement
from ginnel.core.negotiation import AwaitPeer, Exchanged, Negotiation, Phase, Settled
from ginnel.core.types import Instant, KeyId, PeerId, SessionId, Side
from ginnel.core.wire import Opcode
from tests.sim.fake_tls import FakeTls
from tests.sim.pair import client_options, profile

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


def client_source(entropy: Callable[[int], bytes]) -> KeySource:
    return KeySource.from_entropy(Side.CLIENT, entropy(key_source_length(Side.CLIENT)))


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
    source = client_source(bytes)
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
        source = client_source(entropy)
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
