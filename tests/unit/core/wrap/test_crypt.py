"""tls-crypt and the dynamic key of later negotiations."""

import json
from pathlib import Path

import pytest

from ginnel.core.errors import Malformed
from ginnel.core.key_files import StaticKey, parse_static_key
from ginnel.core.types import KeyId, SessionId, Side
from ginnel.core.wire import ControlHeader, Opcode, decode_body
from ginnel.core.wrap.crypt import CryptControl, dynamic_crypt, siv_keys
from ginnel.options.values import FileContent, Origin, Secret

VECTORS = Path(__file__).parents[3] / "vectors" / "control"
KEY = StaticKey(Secret(bytes(range(256))))
HEADER = ControlHeader(Opcode.CONTROL_V1, KeyId(1), SessionId(bytes(range(1, 9))))


def control(side: Side) -> CryptControl:
    return CryptControl(key=KEY, keys=siv_keys(KEY, side), unix_time=1000)


def test_client_and_server_understand_each_other_and_not_themselves() -> None:
    for ours, theirs in ((Side.CLIENT, Side.SERVER), (Side.SERVER, Side.CLIENT)):
        packet = control(ours).seal(HEADER, b"a secret body")
        assert b"secret" not in packet
        assert control(theirs).open(packet) == (HEADER, b"a secret body")
        with pytest.raises(Malformed, match="hmac"):
            control(ours).open(packet)


def test_the_header_is_authenticated() -> None:
    packet = control(Side.CLIENT).seal(HEADER, b"body")
    with pytest.raises(Malformed, match="hmac"):
        control(Side.SERVER).open(b"\x22" + packet[1:])


def test_a_packet_without_a_body_is_short() -> None:
    packet = control(Side.CLIENT).seal(HEADER, b"")
    with pytest.raises(Malformed, match="short"):
        control(Side.SERVER).open(packet)


def test_a_forged_packet_does_not_move_the_replay_window() -> None:
    sender, receiver = control(Side.CLIENT), control(Side.SERVER)
    packet = sender.seal(HEADER, b"body")
    with pytest.raises(Malformed, match="hmac"):
        receiver.open(packet[:9] + b"\xff\xff\xff\xff" + packet[13:])
    assert receiver.open(packet) == (HEADER, b"body")
    with pytest.raises(Malformed, match="replay"):
        receiver.open(packet)


def test_the_dynamic_key_opens_what_openvpn_sends_in_a_renegotiation() -> None:
    vector = json.loads((VECTORS / "dynamic-tls-crypt.json").read_text())
    file = FileContent(
        option="tls-crypt",
        origin=Origin("v", 1),
        path=None,
        content=Secret(vector["base_key_file"].encode()),
    )
    wrapping = dynamic_crypt(
        exported=Secret(bytes.fromhex(vector["exported"])),
        base=parse_static_key(file),
        side=Side.CLIENT,
        unix_time=1000,
    )
    header, body = wrapping.open(bytes.fromhex(vector["packet"]))
    assert (header.opcode, header.key_id) == (Opcode.CONTROL_SOFT_RESET_V1, 1)
    assert decode_body(header.opcode, body).message_id == 0


def test_the_dynamic_key_needs_no_configured_one() -> None:
    exported = Secret(bytes(reversed(range(256))))
    client = dynamic_crypt(exported=exported, base=None, side=Side.CLIENT, unix_time=1)
    server = dynamic_crypt(exported=exported, base=None, side=Side.SERVER, unix_time=1)
    assert server.open(client.seal(HEADER, b"body")) == (HEADER, b"body")
    mixed = dynamic_crypt(exported=exported, base=KEY, side=Side.SERVER, unix_time=1)
    with pytest.raises(Malformed, match="hmac"):
        mixed.open(client.seal(HEADER, b"body"))


def test_exported_material_of_another_length_is_our_bug() -> None:
    for base in (None, KEY):
        with pytest.raises(ValueError, match=r"256|shorter|longer"):
            dynamic_crypt(exported=Secret(bytes(255)), base=base, side=Side.CLIENT, unix_time=1)
