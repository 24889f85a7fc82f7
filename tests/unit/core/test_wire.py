"""Control packet layouts and TCP framing."""

import pytest

from ginnel.core.errors import Malformed
from ginnel.core.types import KeyId, SessionId
from ginnel.core.wire import (
    HEADER_LENGTH,
    ControlBody,
    ControlHeader,
    Opcode,
    TcpDeframer,
    body_overhead,
    control_payload_limit,
    decode_body,
    decode_header,
    encode_body,
    encode_header,
    first_byte,
    frame_tcp,
    is_hard_reset,
    split_first_byte,
)

OWN = SessionId(bytes(range(1, 9)))
PEER = SessionId(bytes(range(11, 19)))


def test_the_first_byte_holds_opcode_and_key_id() -> None:
    assert first_byte(Opcode.CONTROL_V1, KeyId(5)) == 0x25
    assert split_first_byte(0x38) == (Opcode.CONTROL_HARD_RESET_CLIENT_V2, 0)


@pytest.mark.parametrize("number", [0, 12, 31])
def test_an_unknown_opcode_is_malformed(number: int) -> None:
    with pytest.raises(Malformed, match="opcode"):
        split_first_byte(number << 3)


def test_a_header_round_trips() -> None:
    header = ControlHeader(Opcode.CONTROL_SOFT_RESET_V1, KeyId(3), OWN)
    assert encode_header(header) == b"\x1b" + OWN
    assert decode_header(encode_header(header) + b"more") == header


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"", "short"),
        (b"\x20" + OWN[:7], "short"),
        (b"\x00" + OWN, "opcode"),
        (b"\x30" + OWN, "opcode"),
        (b"\x48" + OWN, "opcode"),
        (b"\x20" + bytes(8), "session-id"),
    ],
)
def test_a_bad_header_names_its_reason(packet: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        decode_header(packet)
    assert caught.value.reason == reason


def test_a_body_with_acknowledgements_has_the_peers_session_id() -> None:
    body = ControlBody((1, 0x01020304), PEER, 7, b"tls")
    wire = b"\x02" + b"\0\0\0\1" + b"\1\2\3\4" + PEER + b"\0\0\0\7" + b"tls"
    assert encode_body(body) == wire
    assert decode_body(Opcode.CONTROL_V1, wire) == body
    assert len(wire) == body_overhead(2) + 3


def test_a_body_without_acknowledgements_has_no_session_id() -> None:
    body = ControlBody((), None, 0, b"")
    assert encode_body(body) == bytes(5)
    assert decode_body(Opcode.CONTROL_HARD_RESET_CLIENT_V2, bytes(5)) == body
    assert body_overhead(0) == 5


def test_an_acknowledgement_has_no_message_id_and_its_tail_is_ignored() -> None:
    wire = encode_body(ControlBody((9,), PEER))
    assert wire == b"\x01\0\0\0\x09" + PEER
    assert decode_body(Opcode.ACK_V1, wire + b"tail") == ControlBody((9,), PEER)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "short"),
        (b"\x09" + bytes(100), "ack-count"),
        (b"\x01\0\0\0\0" + PEER[:7], "short"),
        (b"\x00\0\0\0", "short"),
        (b"\x01\0\0\0\0" + PEER, "short"),
    ],
)
def test_a_bad_body_names_its_reason(body: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        decode_body(Opcode.CONTROL_V1, body)
    assert caught.value.reason == reason


def test_acknowledging_without_the_peers_session_id_is_our_bug() -> None:
    with pytest.raises(ValueError, match="session id"):
        encode_body(ControlBody((1,), None, 1, b""))


def test_a_full_payload_fills_the_packet_exactly() -> None:
    room = control_payload_limit(max_packet_size=1250, outer=28, wrapping=40, acks=(1, 2))
    body = encode_body(ControlBody((1, 2), PEER, 3, bytes(room)))
    assert 28 + HEADER_LENGTH + 40 + len(body) == 1250


def test_the_deframer_cuts_packets_however_the_stream_is_chunked() -> None:
    packets = [b"a", b"bc" * 300, b"d" * 65535]
    stream = b"".join(map(frame_tcp, packets))
    for size in (1, 2, 3, 7, 1000, len(stream)):
        deframer = TcpDeframer()
        cut = [
            packet
            for start in range(0, len(stream), size)
            for packet in deframer.feed(stream[start : start + size])
        ]
        assert cut == packets
        assert deframer.take_unread() == b""


def test_the_deframer_hands_over_an_incomplete_packet() -> None:
    deframer = TcpDeframer()
    assert deframer.feed(frame_tcp(b"whole") + b"\x00\x09part") == [b"whole"]
    assert deframer.take_unread() == b"\x00\x09part"
    assert deframer.take_unread() == b""


@pytest.mark.parametrize("length", [0, 101, 65535])
def test_a_length_out_of_bounds_ends_the_stream(length: int) -> None:
    deframer = TcpDeframer(max_length=100)
    with pytest.raises(Malformed, match="length"):
        deframer.feed(length.to_bytes(2, "big"))
    assert deframer.take_unread() == b""


def test_hard_resets_are_told_by_their_opcode() -> None:
    found = [opcode for opcode in range(32) if is_hard_reset(bytes((opcode << 3,)))]
    assert found == [1, 2, 7, 8, 10]
