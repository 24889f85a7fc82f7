"""Key method 2 messages."""

import json
from pathlib import Path

import pytest

from ginnel.core.errors import Malformed
from ginnel.core.key_method import (
    MAX_LOGIN,
    KeyMethodMessage,
    KeySource,
    decode_key_method,
    encode_key_method,
    key_source_length,
)
from ginnel.core.types import Side
from ginnel.options.values import Secret

VECTOR = Path(__file__).parents[2] / "vectors" / "control" / "key-exchange.json"
CLIENT = KeySource.from_entropy(Side.CLIENT, bytes(range(112)))
SERVER = KeySource.from_entropy(Side.SERVER, bytes(range(64)))
PREFIX = b"\0\0\0\0\x02" + bytes(64)


def test_a_client_message_has_this_layout() -> None:
    message = KeyMethodMessage(
        source=CLIENT,
        options_string="V4",
        username="ada",
        password=Secret(b"pw"),
        peer_info="IV_VER=1\n",
    )
    wire = (
        b"\0\0\0\0\x02"
        + bytes(range(112))
        + b"\0\x03V4\0"
        + b"\0\x04ada\0"
        + b"\0\x03pw\0"
        + b"\0\x0aIV_VER=1\n\0"
    )
    assert encode_key_method(message) == wire
    assert decode_key_method(wire, Side.CLIENT) == message


def test_empty_texts_have_no_bytes() -> None:
    message = KeyMethodMessage(source=SERVER, options_string="V4")
    assert encode_key_method(message).endswith(b"\0\x03V4\0" + bytes(6))


def test_a_key_source_is_cut_from_entropy() -> None:
    assert (key_source_length(Side.CLIENT), key_source_length(Side.SERVER)) == (112, 64)
    assert CLIENT.pre_master.reveal() == bytes(range(48))
    assert CLIENT.random1.reveal() == bytes(range(48, 80))
    assert CLIENT.random2.reveal() == bytes(range(80, 112))
    assert len(SERVER.pre_master) == 0
    with pytest.raises(ValueError, match="entropy"):
        KeySource.from_entropy(Side.SERVER, bytes(65))


def test_what_openvpn_says_is_understood() -> None:
    vector = json.loads(VECTOR.read_text())
    server = decode_key_method(bytes.fromhex(vector["server_records"][0]), Side.SERVER)
    assert server.options_string.startswith("V4,dev-type tun,link-mtu ")
    assert server.options_string.endswith(",key-method 2,tls-server")
    assert (server.username, len(server.password), server.peer_info) == ("", 0, "")

    wire = bytes.fromhex(vector["client_records"][0])
    client = decode_key_method(wire, Side.CLIENT)
    assert client.options_string == vector["client_options_string"]
    assert client.username == "ada"
    assert client.password == Secret(b"lovelace")
    assert "IV_PROTO=990\n" in client.peer_info
    assert encode_key_method(client) == wire


def test_missing_trailing_fields_are_empty_and_more_is_ignored() -> None:
    message = decode_key_method(PREFIX + b"\0\x03V4\0", Side.SERVER)
    assert (message.options_string, message.username, message.peer_info) == ("V4", "", "")
    longer = decode_key_method(PREFIX + b"\0\x03V4\0" + bytes(6) + b"more", Side.SERVER)
    assert longer.options_string == "V4"


def test_only_the_low_bits_of_the_method_count() -> None:
    wire = PREFIX.replace(b"\x02", b"\xf2") + b"\0\0"
    assert decode_key_method(wire, Side.SERVER).options_string == ""


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (b"", "short"),
        (PREFIX[:-1], "short"),
        (b"\0\0\0\1\x02" + PREFIX[5:], "key-method"),
        (b"\0\0\0\0\x01" + PREFIX[5:], "key-method"),
        (PREFIX + b"\0", "short"),
        (PREFIX + b"\0\x04V4\0", "short"),
        (PREFIX + b"\0\x02V4", "text"),
        (PREFIX + b"\0\x04V\x004\0", "text"),
        (PREFIX + b"\x02\x01" + b"V" * 512 + b"\0", "text"),
        (PREFIX + bytes(2) + b"\x10\x01" + b"u" * 4096 + b"\0", "text"),
        (PREFIX + bytes(6) + b"\x20\x01" + b"i" * 8192 + b"\0", "text"),
    ],
)
def test_a_bad_message_names_its_reason(wire: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        decode_key_method(wire, Side.SERVER)
    assert caught.value.reason == reason


def test_a_login_that_is_not_utf8_survives() -> None:
    wire = PREFIX + bytes(2) + b"\0\x03\xff\xfe\0"
    message = decode_key_method(wire, Side.SERVER)
    assert encode_key_method(message).startswith(wire)


@pytest.mark.parametrize("username", ["a\0b", "u" * MAX_LOGIN])
def test_a_login_that_does_not_fit_is_refused(username: str) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        encode_key_method(KeyMethodMessage(source=CLIENT, options_string="V4", username=username))


def test_a_message_that_no_openvpn_would_read_is_refused() -> None:
    with pytest.raises(ValueError, match="key exchange would have"):
        encode_key_method(
            KeyMethodMessage(
                source=KeySource.from_entropy(Side.CLIENT, bytes(112)),
                options_string="",
                username="x" * 2000,
                password=Secret(b"x" * 2000),
            )
        )
