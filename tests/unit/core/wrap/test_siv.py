"""The keys of control packets, on the cryptography package and in the compiled engine alike."""

import json
from pathlib import Path

import pytest

from ginnel.core.key_files import parse_static_key, parse_v2_client_key, parse_v2_server_key
from ginnel.core.types import Side
from ginnel.core.wire import Opcode
from ginnel.core.wrap.api import SIV_KEY_LENGTH, SivMaker, library_siv
from ginnel.core.wrap.crypt import dynamic_crypt, siv_keys
from ginnel.core.wrap.crypt_v2 import split_wrapped_key, unwrap_client_key
from ginnel.core.wrap.siv import LibrarySivKey
from ginnel.dataplane.choose import siv_maker
from ginnel.options.values import FileContent, Origin, Secret

VECTORS = Path(__file__).parents[3] / "vectors" / "control"
CLEAR = 17
"""Bytes of opcode, session id and replay id."""
TAG = 32

each_maker = pytest.mark.parametrize("make", [library_siv, siv_maker(None)], ids=["library", "any"])
"""Without a compiled engine the second is the first once more."""


def load(name: str) -> dict[str, str]:
    vector: dict[str, str] = json.loads((VECTORS / f"{name}.json").read_text())
    return vector


def file(text: str) -> FileContent:
    return FileContent(option="k", origin=Origin("v", 1), path=None, content=Secret(text.encode()))


def recorded(name: str) -> list[tuple[Side, bytes]]:
    """Who sent each packet, and the packet without a wrapped client key."""
    packets = json.loads((VECTORS / f"{name}.json").read_text())["packets"]
    found = []
    for item in packets:
        packet = bytes.fromhex(item["packet"])
        if packet[0] >> 3 in {Opcode.CONTROL_HARD_RESET_CLIENT_V3, Opcode.CONTROL_WKC_V1}:
            packet = split_wrapped_key(packet)[0]
        found.append((Side(item["from"]), packet))
    return found


def parts(packet: bytes) -> tuple[bytes, bytes, bytes]:
    return packet[:CLEAR], packet[CLEAR : CLEAR + TAG], packet[CLEAR + TAG :]


@each_maker
@pytest.mark.parametrize("name", ["tls-crypt", "tls-crypt-v2"])
def test_recorded_packets_open_and_are_sealed_the_same(name: str, make: SivMaker) -> None:
    text = file(load(name)["key_file"])
    key = parse_static_key(text) if name == "tls-crypt" else parse_v2_client_key(text).key
    packets = recorded(name)
    assert len(packets) > 9
    for sender, packet in packets:
        clear, tag, ciphertext = parts(packet)
        send, receive = siv_keys(key, sender, make)
        secret = send.open(clear, tag, ciphertext)
        assert secret is not None
        assert send.seal(clear, secret) == (tag, ciphertext)
        assert receive.open(clear, tag, ciphertext) is None


@each_maker
def test_a_changed_bit_anywhere_is_noticed(make: SivMaker) -> None:
    key = parse_static_key(file(load("tls-crypt")["key_file"]))
    sender, packet = recorded("tls-crypt")[1]
    opening, _ = siv_keys(key, sender, make)
    for place in range(len(packet)):
        changed = bytearray(packet)
        changed[place] ^= 0x80
        assert opening.open(*parts(bytes(changed))) is None
    assert opening.open(*parts(packet)) is not None


@each_maker
def test_client_keys_that_openvpn_sealed_open(make: SivMaker) -> None:
    vector = json.loads((VECTORS / "wrapped-client-keys.json").read_text())
    server_key = parse_v2_server_key(file(vector["server_key_file"]))
    for sealed in vector["keys"]:
        client = parse_v2_client_key(file(sealed["client_key_file"]))
        assert unwrap_client_key(server_key, client.wrapped, make).key == client.key


@each_maker
def test_the_dynamic_key_opens_what_openvpn_sends(make: SivMaker) -> None:
    vector = load("dynamic-tls-crypt")
    wrapping = dynamic_crypt(
        exported=Secret(bytes.fromhex(vector["exported"])),
        base=parse_static_key(file(vector["base_key_file"])),
        side=Side.CLIENT,
        unix_time=1000,
        siv=make,
    )
    header, _ = wrapping.open(bytes.fromhex(vector["packet"]))
    assert header.opcode is Opcode.CONTROL_SOFT_RESET_V1


@each_maker
@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_key_of_another_length_is_our_bug(length: int, make: SivMaker) -> None:
    good, bad = bytes(SIV_KEY_LENGTH), bytes(length)
    for keys in ((good, bad), (bad, good)):
        with pytest.raises(ValueError, match="each key has 32 bytes"):
            make(*keys)


def test_the_library_is_the_default() -> None:
    assert isinstance(library_siv(bytes(32), bytes(32)), LibrarySivKey)
