"""Wrapped client keys and the early negotiation of tls-crypt-v2."""

import json
from pathlib import Path

import pytest

from ginnel.core.errors import Malformed
from ginnel.core.key_files import (
    StaticKey,
    V2ClientKey,
    V2ServerKey,
    parse_v2_client_key,
    parse_v2_server_key,
)
from ginnel.core.types import KeyId, SessionId, Side
from ginnel.core.wire import ControlHeader, Opcode
from ginnel.core.wrap.crypt_v2 import (
    MAX_METADATA,
    METADATA_TIMESTAMP,
    METADATA_USER,
    CryptV2Control,
    encode_resend_wkc,
    resend_wkc_requested,
    split_wrapped_key,
    unwrap_client_key,
    wrap_client_key,
)
from ginnel.options.values import FileContent, Origin, Secret

VECTORS = Path(__file__).parents[3] / "vectors" / "control"
SESSION = SessionId(bytes(range(1, 9)))
SERVER_KEY = V2ServerKey(Secret(bytes(range(128))))
KEY = StaticKey(Secret(bytes(range(256))))


def sealed(metadata: bytes = b"leeds") -> V2ClientKey:
    return wrap_client_key(SERVER_KEY, KEY, metadata_type=METADATA_USER, metadata=metadata)


def file(text: str) -> FileContent:
    return FileContent(
        option="tls-crypt-v2", origin=Origin("v", 1), path=None, content=Secret(text.encode())
    )


def test_keys_sealed_by_openvpn_open_and_are_sealed_alike() -> None:
    vector = json.loads((VECTORS / "wrapped-client-keys.json").read_text())
    server_key = parse_v2_server_key(file(vector["server_key_file"]))
    assert len(vector["keys"]) >= 5
    for recorded in vector["keys"]:
        client = parse_v2_client_key(file(recorded["client_key_file"]))
        found = unwrap_client_key(server_key, client.wrapped)
        assert found.key == client.key
        assert found.metadata_type == recorded["metadata_type"]
        if found.metadata_type == METADATA_TIMESTAMP:
            first, last = recorded["made_between"]
            assert first <= int.from_bytes(found.metadata, "big") <= last
        else:
            assert found.metadata.hex() == recorded["metadata"]
        again = wrap_client_key(
            server_key,
            found.key,
            metadata_type=found.metadata_type,
            metadata=found.metadata,
        )
        assert again == client


def test_metadata_has_a_limit() -> None:
    longest = sealed(b"m" * (MAX_METADATA - 1))
    assert len(longest.wrapped) == 1024
    assert unwrap_client_key(SERVER_KEY, longest.wrapped).metadata == b"m" * (MAX_METADATA - 1)
    with pytest.raises(ValueError, match="733"):
        sealed(b"m" * MAX_METADATA)


def test_a_key_for_another_server_does_not_open() -> None:
    other = V2ServerKey(Secret(bytes(reversed(range(128)))))
    with pytest.raises(Malformed, match="wkc"):
        unwrap_client_key(other, sealed().wrapped)


@pytest.mark.parametrize("place", [0, 31, 32, 100, 290, -3, -2, -1])
def test_a_changed_wrapped_key_does_not_open(place: int) -> None:
    wrapped = bytearray(sealed().wrapped)
    wrapped[place] ^= 1
    with pytest.raises(Malformed, match="wkc"):
        unwrap_client_key(SERVER_KEY, bytes(wrapped))


@pytest.mark.parametrize("length", [0, 1, 289, 1025])
def test_a_wrapped_key_of_impossible_length_is_malformed(length: int) -> None:
    with pytest.raises(Malformed, match="wkc"):
        unwrap_client_key(SERVER_KEY, bytes(length))


def test_a_client_appends_its_key_where_the_server_needs_it() -> None:
    key = sealed()
    client = CryptV2Control(key=key, side=Side.CLIENT, unix_time=1000)
    server = CryptV2Control(key=key, side=Side.SERVER, unix_time=1000)
    for opcode in Opcode:
        if opcode in {Opcode.DATA_V1, Opcode.DATA_V2}:
            continue
        header = ControlHeader(opcode, KeyId(0), SESSION)
        packet = client.seal(header, b"body")
        carries = opcode in {Opcode.CONTROL_HARD_RESET_CLIENT_V3, Opcode.CONTROL_WKC_V1}
        assert packet.endswith(key.wrapped) == carries
        assert client.trailer(opcode) == (len(key.wrapped) if carries else 0)
        assert len(packet) == 9 + client.overhead + 4 + client.trailer(opcode)
        assert server.open(packet) == (header, b"body")


def test_only_the_client_marks_its_counter() -> None:
    header = ControlHeader(Opcode.CONTROL_V1, KeyId(0), SESSION)
    key = sealed()
    packet = CryptV2Control(key=key, side=Side.CLIENT, unix_time=1).seal(header, b"x")
    assert packet[9:13] == b"\x0f\0\0\1"
    packet = CryptV2Control(key=key, side=Side.SERVER, unix_time=1).seal(header, b"x")
    assert packet[9:13] == b"\0\0\0\1"


def test_a_server_finds_the_key_at_the_end_of_the_packet() -> None:
    key = sealed()
    client = CryptV2Control(key=key, side=Side.CLIENT, unix_time=1000)
    header = ControlHeader(Opcode.CONTROL_HARD_RESET_CLIENT_V3, KeyId(0), SESSION)
    packet = client.seal(header, b"body")
    inner, wrapped = split_wrapped_key(packet)
    assert wrapped == key.wrapped
    assert inner + wrapped == packet
    assert unwrap_client_key(SERVER_KEY, wrapped).key == KEY


@pytest.mark.parametrize("packet", [b"", b"\x50", b"\x50" + bytes(20), b"\x50" * 9 + b"\xff" * 600])
def test_a_packet_without_a_key_is_malformed(packet: bytes) -> None:
    with pytest.raises(Malformed, match="wkc"):
        split_wrapped_key(packet)
    server = CryptV2Control(key=sealed(), side=Side.SERVER, unix_time=1000)
    with pytest.raises(Malformed):
        server.open(packet)


@pytest.mark.parametrize(
    ("payload", "resend"),
    [
        (b"", False),
        (b"\0\1\0\2\0\1", True),
        (b"\0\1\0\2\xff\xff", True),
        (b"\0\1\0\2\0\2", False),
        (b"\0\x09\0\3abc\0\1\0\2\0\1\0\x0a\0\0", True),
    ],
)
def test_the_request_to_resend_is_read(payload: bytes, resend: bool) -> None:
    assert resend_wkc_requested(payload) is resend


@pytest.mark.parametrize(
    "payload", [b"\0", b"\0\1\0", b"\0\1\0\2\0", b"\0\1\0\1\1", b"\0\2\0\x05ab"]
)
def test_a_broken_request_is_malformed(payload: bytes) -> None:
    with pytest.raises(Malformed, match="early-negotiation"):
        resend_wkc_requested(payload)


def test_our_request_is_openvpns() -> None:
    assert encode_resend_wkc() == b"\0\1\0\2\0\1"
