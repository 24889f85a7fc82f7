"""What a client says about itself, and keys from the exchange."""

from dataclasses import replace

import pytest

from ginnel.core.client_exchange import Introduction, introduce, peer_variables
from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.key_derivation import SessionPair
from ginnel.core.key_method import (
    KeyMethodMessage,
    decode_key_method,
)
from ginnel.core.negotiate import Agreement
from ginnel.core.peer_info import LocalFacts
from ginnel.core.types import PeerId, SessionId, Side
from ginnel.options.model import ClientOptions
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
