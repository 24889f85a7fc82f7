"""Every wrapping against the packets of a real connection: opened, and sealed to the same bytes."""

import json
from pathlib import Path
from typing import TypedDict

import pytest

from ginnel.core.errors import Malformed
from ginnel.core.key_files import parse_static_key, parse_v2_client_key
from ginnel.core.types import Side
from ginnel.core.wire import ControlBody, ControlHeader, Opcode, decode_body, encode_body
from ginnel.core.wrap import Wrapping
from ginnel.core.wrap.api import EARLY_NEGOTIATION_BASE
from ginnel.core.wrap.auth import AuthControl
from ginnel.core.wrap.crypt import CryptControl, siv_keys
from ginnel.core.wrap.crypt_v2 import CryptV2Control, resend_wkc_requested
from ginnel.core.wrap.plain import PlainControl
from ginnel.options.model import KeyDirection
from ginnel.options.values import FileContent, Origin, Secret

VECTORS = Path(__file__).parents[3] / "vectors" / "control"
NAMES = [
    "plain",
    "tls-auth-sha1",
    "tls-auth-sha256-swapped",
    "tls-auth-sha512-no-direction",
    "tls-crypt",
    "tls-crypt-v2",
]
OPPOSITE = {"0": "1", "1": "0", "none": "none"}


class Vector(TypedDict):
    """What this test reads of a vector file."""

    kind: str
    digest: str
    client_direction: str
    key_file: str
    packets: list[dict[str, str]]


def load(name: str) -> Vector:
    vector: Vector = json.loads((VECTORS / f"{name}.json").read_text())
    return vector


def wrapping(vector: Vector, side: Side, unix_time: int = 0, base: int = 0) -> Wrapping:
    """The wrapping of one side of a recorded connection."""
    file = FileContent(
        option="key", origin=Origin("v", 1), path=None, content=Secret(vector["key_file"].encode())
    )
    match vector["kind"]:
        case "plain":
            return PlainControl()
        case "tls-auth":
            direction = vector["client_direction"]
            if side is Side.SERVER:
                direction = OPPOSITE[direction]
            return AuthControl(
                key=parse_static_key(file),
                direction=KeyDirection(direction),
                digest=vector["digest"],
                unix_time=unix_time,
                base=base,
            )
        case "tls-crypt":
            key = parse_static_key(file)
            return CryptControl(key=key, keys=siv_keys(key, side), unix_time=unix_time, base=base)
        case "tls-crypt-v2":
            key = parse_v2_client_key(file).key
            return CryptControl(key=key, keys=siv_keys(key, side), unix_time=unix_time, base=base)
        case kind:
            raise AssertionError(kind)


def sides(vector: Vector) -> list[tuple[Side, bytes]]:
    return [(Side(item["from"]), bytes.fromhex(item["packet"])) for item in vector["packets"]]


def receivers(vector: Vector) -> dict[Side, Wrapping]:
    """For packets of each sender, what the other side opens them with."""
    if vector["kind"] != "tls-crypt-v2":
        return {
            Side.CLIENT: wrapping(vector, Side.SERVER),
            Side.SERVER: wrapping(vector, Side.CLIENT),
        }
    file = FileContent(
        option="key", origin=Origin("v", 1), path=None, content=Secret(vector["key_file"].encode())
    )
    key = parse_v2_client_key(file)
    return {
        Side.CLIENT: CryptV2Control(key=key, side=Side.SERVER, unix_time=0),
        Side.SERVER: CryptV2Control(key=key, side=Side.CLIENT, unix_time=0),
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_connection_opens(name: str) -> None:
    vector = load(name)
    opened: dict[Side, list[tuple[ControlHeader, ControlBody]]] = {Side.CLIENT: [], Side.SERVER: []}
    by_sender = receivers(vector)
    for sender, packet in sides(vector):
        header, body = by_sender[sender].open(packet)
        opened[sender].append((header, decode_body(header.opcode, body)))
    for sender, found in opened.items():
        numbers = {body.message_id for _, body in found if body.message_id is not None}
        assert numbers == set(range(len(numbers))), "the reliability numbers have no gap"
        peer = Side.SERVER if sender is Side.CLIENT else Side.CLIENT
        [peer_session_id] = {header.session_id for header, _ in opened[peer]}
        acknowledged = {body.peer_session_id for _, body in found if body.acks}
        assert acknowledged == {peer_session_id}
    assert opened[Side.CLIENT][0][1].payload == b""
    assert opened[Side.CLIENT][1][1].payload[:1] in {b"", b"\x16"}


@pytest.mark.parametrize("name", NAMES)
def test_sealing_what_was_opened_gives_the_recorded_bytes(name: str) -> None:
    vector = load(name)
    by_sender = receivers(vector)
    for sender, packet in sides(vector):
        header, body = by_sender[sender].open(packet)
        assert encode_body(decode_body(header.opcode, body)) == body
        number, unix_time = replay_id(vector, packet)
        sealer = wrapping(vector, sender, unix_time, number - 1)
        sealed = sealer.seal(header, body)
        assert packet.startswith(sealed)
        trailer = packet[len(sealed) :]
        carries = header.opcode in {Opcode.CONTROL_HARD_RESET_CLIENT_V3, Opcode.CONTROL_WKC_V1}
        assert bool(trailer) == carries
        assert len(sealed) == 9 + sealer.overhead + len(body)


def replay_id(vector: Vector, packet: bytes) -> tuple[int, int]:
    """Reads number and time of a wrapped packet at the place that its layout gives."""
    if vector["kind"] == "plain":
        return 1, 0
    sizes = {"SHA1": 20, "SHA256": 32, "SHA512": 64, "": 0}
    place = 9 + sizes[vector["digest"]]
    return (
        int.from_bytes(packet[place : place + 4], "big"),
        int.from_bytes(packet[place + 4 : place + 8], "big"),
    )


@pytest.mark.parametrize("name", NAMES[1:])
def test_recorded_packets_are_opened_once(name: str) -> None:
    vector = load(name)
    by_sender = receivers(vector)
    for sender, packet in sides(vector):
        by_sender[sender].open(packet)
        with pytest.raises(Malformed, match="replay"):
            by_sender[sender].open(packet)


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_changed_bit_anywhere_is_noticed(name: str) -> None:
    vector = load(name)
    sender, packet = sides(vector)[1]
    receiver = receivers(vector)[sender]
    for place in range(len(packet)):
        changed = bytearray(packet)
        changed[place] ^= 0x04
        with pytest.raises(Malformed) as caught:
            receiver.open(bytes(changed))
        assert caught.value.reason in {"hmac", "opcode"}
    receiver.open(packet)


def test_a_v2_connection_used_the_early_negotiation() -> None:
    vector = load("tls-crypt-v2")
    packets = sides(vector)
    assert packets[0][1][0] >> 3 == Opcode.CONTROL_HARD_RESET_CLIENT_V3
    number, unix_time = replay_id(vector, packets[0][1])
    assert number == EARLY_NEGOTIATION_BASE + 1

    file = FileContent(
        option="key", origin=Origin("v", 1), path=None, content=Secret(vector["key_file"].encode())
    )
    ours = CryptV2Control(key=parse_v2_client_key(file), side=Side.CLIENT, unix_time=unix_time)
    header, body = receivers(vector)[Side.CLIENT].open(packets[0][1])
    assert ours.seal(header, body) == packets[0][1]

    reply = next(packet for sender, packet in packets if sender is Side.SERVER)
    header, body = receivers(vector)[Side.SERVER].open(reply)
    assert header.opcode is Opcode.CONTROL_HARD_RESET_SERVER_V2
    assert resend_wkc_requested(decode_body(header.opcode, body).payload)
    assert any(packet[0] >> 3 == Opcode.CONTROL_WKC_V1 for _, packet in packets)
