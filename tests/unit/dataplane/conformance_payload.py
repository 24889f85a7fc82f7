"""What every data plane must do to payloads beside sealing them: framing, fragments and the rules.

Run by ``test_conformance`` with each engine.
"""

import hashlib
import socket
import struct
import time
from ipaddress import IPv4Address, IPv6Address

import pytest

from ginnel.core.payload import Framing, PayloadTerms
from ginnel.dataplane.api import PING, NotificationKind
from ginnel.options.model import NatRule
from tests.unit.dataplane.compressed_vectors import good
from tests.unit.dataplane.conformance import INNER, INWARD, OCC_EXIT, facing
from tests.unit.dataplane.inner_packets import (
    ip_packet,
    mss_option,
    tcp_packet,
    transport_checksum_is_right,
    udp_packet,
)
from tests.unit.dataplane.rig import PEER, Bench, Hand, set_keepalive, unseal

LARGE = udp_packet("10.8.0.6", "10.8.0.1", bytes(range(256)) * 5 + bytes(150))
LARGE_IN = udp_packet("10.8.0.1", "10.8.0.6", bytes(range(256)) * 5 + bytes(150))
FRAMED = {
    Framing.PREFIX: lambda payload: b"\xfa" + payload,
    Framing.SWAP: lambda payload: b"\xfb" + payload[1:] + payload[:1],
    Framing.V2: lambda payload: payload,
}
MACS = bytes.fromhex("02005e100001 02005e100002")
ARP = MACS + b"\x08\x06" + bytes(28)


def sent(hand: Hand, count: int) -> list[bytes]:
    """The payloads of the first packets that the engine sent."""
    return [unseal(hand.key, packet).payload for packet in hand.expect(count)[:count]]


# --- compression framing -----------------------------------------------------------------------


@pytest.mark.parametrize("framing", list(Framing), ids=lambda framing: framing.value)
def test_frames_everything_and_reads_it(made: Bench, engine: str, framing: Framing) -> None:
    hand = facing(made, engine, payload=PayloadTerms(framing=framing))
    hand.node.inject(INNER)
    hand.node.plane.send_inner(PEER, OCC_EXIT)
    assert set(sent(hand, 2)) == {FRAMED[framing](INNER), FRAMED[framing](OCC_EXIT)}
    hand.send_data(1, FRAMED[framing](PING))
    hand.send_data(2, FRAMED[framing](OCC_EXIT))
    hand.send_data(3, FRAMED[framing](INWARD))
    assert hand.delivered(1) == [INWARD]
    assert hand.reported(NotificationKind.OCC).payload == OCC_EXIT


@pytest.mark.parametrize("framing", list(Framing), ids=lambda framing: framing.value)
def test_pings_are_framed_too(made: Bench, engine: str, framing: Framing) -> None:
    hand = facing(made, engine, payload=PayloadTerms(framing=framing))
    set_keepalive(hand.node, ping_interval=1)
    assert sent(hand, 1) == [FRAMED[framing](PING)]


def test_payloads_that_look_framed_are_escaped(made: Bench, engine: str) -> None:
    hand = facing(made, engine, payload=PayloadTerms(framing=Framing.V2))
    hand.node.plane.send_inner(PEER, b"\x50\x01abc")
    assert sent(hand, 1) == [b"\x50\x00\x50\x01abc"]
    hand.send_data(1, b"\x50\x0a" + INWARD)  # as every 2.x sender escapes
    hand.send_data(2, b"\x50\x00" + INWARD)
    assert hand.delivered(2) == [INWARD, INWARD]


@pytest.mark.parametrize("framing", [Framing.PREFIX, Framing.SWAP])
def test_takes_either_of_the_older_framings(made: Bench, engine: str, framing: Framing) -> None:
    hand = facing(made, engine, payload=PayloadTerms(framing=framing))
    hand.send_data(1, FRAMED[Framing.PREFIX](INWARD))
    hand.send_data(2, FRAMED[Framing.SWAP](INWARD))
    assert hand.delivered(2) == [INWARD, INWARD]


def _compressed(algorithm: str, name: str) -> tuple[bytes, int, str]:
    case = next(case for case in good(algorithm) if case.name == name)
    return case.compressed, case.length, case.sha256


def test_decompresses_what_it_was_allowed_to(made: Bench, engine: str) -> None:
    ethernet = PayloadTerms(framing=Framing.SWAP, decompress=True)
    hand = facing(made, engine, ethernet=True, payload=ethernet)
    lzo, _, lzo_digest = _compressed("lzo", "text")
    lz4, _, lz4_digest = _compressed("lz4", "near and far")
    hand.send_data(1, b"\x66" + lzo)
    hand.send_data(2, b"\x69" + lz4[1:] + lz4[:1])
    found = [hashlib.sha256(packet).hexdigest() for packet in hand.delivered(2)]
    assert found == [lzo_digest, lz4_digest]


def test_decompresses_the_newer_framing(made: Bench, engine: str) -> None:
    terms = PayloadTerms(framing=Framing.V2, decompress=True)
    hand = facing(made, engine, ethernet=True, payload=terms)
    lz4, _, digest = _compressed("lz4", "text")
    hand.send_data(1, b"\x50\x01" + lz4)
    assert hashlib.sha256(hand.delivered(1)[0]).hexdigest() == digest


@pytest.mark.parametrize(
    ("terms", "payload", "reason"),
    [
        (PayloadTerms(framing=Framing.PREFIX), b"\x66" + bytes(9), "compressed"),
        (PayloadTerms(framing=Framing.SWAP), b"\x69" + bytes(9), "compressed"),
        (PayloadTerms(framing=Framing.V2), b"\x50\x01" + bytes(9), "compressed"),
        (PayloadTerms(framing=Framing.PREFIX), INWARD, "framing"),
        (PayloadTerms(framing=Framing.V2), b"\x50\x03" + INWARD, "framing"),
        (PayloadTerms(), b"\xfa" + INWARD, "not-ip"),
        (PayloadTerms(), FRAMED[Framing.SWAP](PING), "not-ip"),
    ],
)
def test_another_framing_is_dropped_and_said_once(
    made: Bench, engine: str, terms: PayloadTerms, payload: bytes, reason: str
) -> None:
    hand = facing(made, engine, payload=terms)
    hand.send_data(1, payload)
    hand.send_data(2, payload)
    hand.dropped(reason, 2)
    report = hand.reported(NotificationKind.BAD_FRAMING)
    assert report.payload == payload[:1]
    assert hand.node.kinds().count(NotificationKind.BAD_FRAMING) == 1
    assert hand.node.delivered == []


@pytest.mark.parametrize("mark", [b"\x66", b"\x50\x01", b"\x50\x02"])
def test_bombs_and_nonsense_cost_nothing(made: Bench, engine: str, mark: bytes) -> None:
    framing = Framing.PREFIX if mark == b"\x66" else Framing.V2
    hand = facing(made, engine, payload=PayloadTerms(framing=framing, decompress=True))
    lzo = b"\x12a\x20" + bytes(1300) + b"\xff\x00\x00\x11\x00\x00"
    lz4 = b"\x1fa\x01\x00" + b"\xff" * 1300 + b"\x00"
    for number, body in enumerate((lzo, lz4, b"", b"\xff" * 40, bytes(40)), 1):
        hand.send_data(number, mark + body)
    hand.dropped("decompression", 5)
    assert hand.node.delivered == []


# --- fragments ---------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", [None, Framing.PREFIX, Framing.SWAP])
def test_cuts_what_is_too_long_and_puts_it_together(
    made: Bench, engine: str, framing: Framing | None
) -> None:
    terms = PayloadTerms(framing=framing, fragment=600)
    sender = facing(made, engine, payload=terms)
    sender.node.inject(LARGE)
    parts = sent(sender, 3)
    assert all(len(part) <= 604 for part in parts)
    taker = facing(made, engine, payload=terms)
    for number, part in enumerate(reversed(parts), 1):
        taker.send_data(number, part)
    assert taker.delivered(1) == [LARGE]
    sender.node.inject(INNER)
    framed = INNER if framing is None else FRAMED[framing](INNER)
    assert sent(sender, 4)[3] == bytes(4) + framed


def _part(kind: int, body: bytes, *, sequence: int = 0, index: int = 0, size: int = 0) -> bytes:
    flags = kind | sequence << 2 | index << 10 | size // 4 << 15
    return flags.to_bytes(4, "big") + body


def test_parts_as_openvpn_makes_them(made: Bench, engine: str) -> None:
    hand = facing(made, engine, payload=PayloadTerms(fragment=1000))
    hand.send_data(1, _part(1, LARGE_IN[:1000], sequence=9))
    hand.send_data(2, _part(2, LARGE_IN[1000:], sequence=9, index=1, size=1000))
    hand.send_data(3, _part(0, INWARD))
    assert hand.delivered(2) == [LARGE_IN, INWARD]


def test_lies_about_fragments_are_counted(made: Bench, engine: str) -> None:
    hand = facing(made, engine, payload=PayloadTerms(fragment=1200))
    bad = [
        b"\x00\x00",
        _part(3, bytes(8)),
        _part(0, INWARD, sequence=1),
        _part(0, INWARD, index=1),
        _part(1, bytes(7)),
        _part(1, b""),
        _part(2, bytes(8)),
        _part(2, bytes(8), size=4),
        _part(1, bytes(400), index=31),
        _part(2, bytes(8), index=31, size=4 * 0x3FFF),
    ]
    for number, packet in enumerate(bad, 1):
        hand.send_data(number, packet)
    hand.dropped("fragment", len(bad))
    hand.send_data(len(bad) + 1, _part(0, INWARD))
    assert hand.delivered(1) == [INWARD]


def test_a_flood_of_first_parts_is_survived(made: Bench, engine: str) -> None:
    hand = facing(made, engine, payload=PayloadTerms(fragment=1200))
    for number in range(1, 301):
        hand.send_data(number, _part(1, bytes(1200), sequence=number % 256))
        hand.node.turn()
    hand.send_data(301, _part(1, LARGE_IN[:1000], sequence=7))
    hand.send_data(302, _part(2, LARGE_IN[1000:], sequence=7, index=1, size=1000))
    assert hand.delivered(1) == [LARGE_IN]


def test_what_needs_too_many_parts_is_not_sent(made: Bench, engine: str) -> None:
    hand = facing(made, engine, payload=PayloadTerms(fragment=40))
    hand.node.inject(LARGE)
    hand.dropped("link-emsgsize")


# --- client-nat --------------------------------------------------------------------------------

RULES = (
    NatRule(
        is_source=True,
        network=IPv4Address("10.8.0.0"),
        netmask=IPv4Address("255.255.255.0"),
        alias=IPv4Address("172.16.5.0"),
    ),
    NatRule(
        is_source=False,
        network=IPv4Address("198.51.100.0"),
        netmask=IPv4Address("255.255.255.0"),
        alias=IPv4Address("10.0.7.0"),
    ),
)


def test_translates_both_ways_with_right_checksums(made: Bench, engine: str) -> None:
    hand = facing(made, engine, payload=PayloadTerms(client_nat=RULES))
    pairs = [
        (udp_packet, b"words"),
        (udp_packet, b""),
    ]
    for make, body in pairs:
        hand.node.inject(make("10.8.0.6", "198.51.100.9", body))
    hand.node.inject(tcp_packet("10.8.0.6", "198.51.100.9", options=mss_option(1000)))
    out = sent(hand, 3)
    assert out[0] == udp_packet("172.16.5.6", "10.0.7.9", b"words")
    assert all(transport_checksum_is_right(packet) for packet in out)
    assert out[2] == tcp_packet("172.16.5.6", "10.0.7.9", options=mss_option(1000))
    hand.send_data(1, udp_packet("10.0.7.9", "172.16.5.6", b"answer"))
    hand.send_data(2, ip_packet("10.0.7.9", "172.16.5.6", 1, b"\x00\x00\xff\xff" + bytes(4)))
    assert hand.delivered(2) == [
        udp_packet("198.51.100.9", "10.8.0.6", b"answer"),
        ip_packet("198.51.100.9", "10.8.0.6", 1, b"\x00\x00\xff\xff" + bytes(4)),
    ]


def test_leaves_other_addresses_and_other_packets_alone(made: Bench, engine: str) -> None:
    hand = facing(made, engine, payload=PayloadTerms(client_nat=RULES))
    others = [
        udp_packet("10.9.0.6", "203.0.113.9", b"words"),
        udp_packet("fd00:8::6", "fd00:8::1", b"words"),
    ]
    for packet in others:
        hand.node.inject(packet)
    assert sent(hand, 2) == others


# --- block-ipv6 --------------------------------------------------------------------------------


def test_answers_ipv6_with_an_error_and_sends_none(made: Bench, engine: str) -> None:
    source = IPv6Address("fd00:8::1")
    hand = facing(made, engine, payload=PayloadTerms(block_ipv6=source))
    asked = udp_packet("fd00:8::6", "2001:db8::9", b"leak")
    hand.node.inject(asked)
    hand.node.inject(INNER)
    assert sent(hand, 1) == [INNER]
    answer = hand.delivered(1)[0]
    assert answer[8:24] == source.packed
    assert answer[24:40] == asked[8:24]
    assert answer[6] == 58
    assert answer[40:42] == b"\x01\x00"
    assert answer[48:] == asked
    assert transport_checksum_is_right(answer)
    assert hand.node.drops() == {"blocked-ipv6": 1}
    hand.send_data(1, udp_packet("2001:db8::9", "fd00:8::6", b"in"))
    assert len(hand.delivered(2)) == 2


def test_terms_change_while_packets_flow(made: Bench, engine: str) -> None:
    hand = facing(made, engine)
    six = udp_packet("fd00:8::6", "fd00:8::1", b"before")
    hand.node.inject(six)
    assert sent(hand, 1) == [six]
    hand.node.plane.set_payload(PEER, PayloadTerms(block_ipv6=IPv6Address("fe80::7")))
    hand.node.inject(six)
    hand.dropped("blocked-ipv6")
    hand.node.plane.set_payload(PEER, PayloadTerms())
    hand.node.inject(six)
    assert sent(hand, 2) == [six, six]


def test_answers_ipv6_in_frames(made: Bench, engine: str) -> None:
    hand = facing(
        made, engine, ethernet=True, payload=PayloadTerms(block_ipv6=IPv6Address("fd00:8::1"))
    )
    asked = udp_packet("fd00:8::6", "2001:db8::9", b"leak")
    hand.node.inject(MACS + b"\x86\xdd" + asked)
    hand.node.inject(ARP)
    assert sent(hand, 1) == [ARP]
    answer = hand.delivered(1)[0]
    assert answer[:14] == MACS[6:] + MACS[:6] + b"\x86\xdd"
    assert answer[14 + 48 :] == asked
    assert transport_checksum_is_right(answer[14:])


def test_errors_and_multicast_get_no_answer(made: Bench, engine: str) -> None:
    hand = facing(made, engine, payload=PayloadTerms(block_ipv6=IPv6Address("fe80::7")))
    hand.node.inject(ip_packet("fd00:8::6", "2001:db8::9", 58, b"\x01\x00" + bytes(6)))
    hand.node.inject(udp_packet("fd00:8::6", "ff02::1", b"all"))
    hand.node.inject(udp_packet("::", "2001:db8::9", b"nobody"))
    hand.dropped("blocked-ipv6", 3)
    assert hand.node.delivered == []


# --- shaper and passtos ------------------------------------------------------------------------


def test_a_limit_holds_packets_back_in_the_device(made: Bench, engine: str) -> None:
    hand = facing(made, engine, payload=PayloadTerms(shaper=100))
    started = time.monotonic()
    for _ in range(3):
        hand.node.inject(udp_packet("10.8.0.6", "10.8.0.1", b""))
    hand.expect(3)
    # Two packets of 52 bytes have to be paid for before the third may go.
    assert time.monotonic() - started >= 1.0


def test_pings_go_out_while_data_is_held_back(made: Bench, engine: str) -> None:
    hand = facing(made, engine, payload=PayloadTerms(shaper=100))
    hand.node.inject(LARGE)
    hand.node.inject(LARGE)
    hand.expect(1)
    set_keepalive(hand.node, ping_interval=1)
    assert sent(hand, 2)[1] == PING


@pytest.mark.parametrize("family", [4, 6])
def test_copies_the_type_of_service(made: Bench, engine: str, family: int) -> None:
    hand = facing(made, engine, family=family, payload=PayloadTerms(passtos=True))
    asked = (
        (socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS)
        if family == 6
        else (socket.IPPROTO_IP, socket.IP_RECVTOS)
    )
    hand.socket.setsockopt(*asked, 1)
    marked = bytearray(INNER)
    marked[1] = 0xB8
    six = bytearray(udp_packet("fd00:8::6", "fd00:8::1", b"six"))
    six[0], six[1] = 0x62, 0x80
    for packet in (bytes(marked), INNER, bytes(six)):
        hand.node.inject(packet)
    seen: list[int] = []

    def collect() -> bool:
        while len(seen) < 3:
            try:
                _, ancillary, _, _ = hand.socket.recvmsg(2048, 64)
            except BlockingIOError:
                return False
            value = ancillary[0][2] if ancillary else b"\x00"
            seen.append(struct.unpack("@i", value)[0] if len(value) == 4 else value[0])
        return True

    hand.settle(collect, "three datagrams")
    assert seen == [0xB8, 0, 0x28]


# --- Ethernet ----------------------------------------------------------------------------------


def test_carries_frames_of_every_kind(made: Bench, engine: str) -> None:
    hand = facing(made, engine, ethernet=True)
    four = MACS + b"\x08\x00" + INNER
    tagged = MACS + b"\x81\x00\x00\x05\x86\xdd" + udp_packet("fd00:8::6", "fd00:8::1", b"six")
    for frame in (ARP, four, tagged):
        hand.node.inject(frame)
    assert sent(hand, 3) == [ARP, four, tagged]
    hand.node.inject(b"short")
    for number, frame in enumerate((ARP, four, tagged, b"short"), 1):
        hand.send_data(number, frame)
    assert hand.delivered(3) == [ARP, four, tagged]
    hand.dropped("not-ip")


def test_rules_reach_into_frames(made: Bench, engine: str) -> None:
    terms = PayloadTerms(framing=Framing.SWAP, fragment=1000, client_nat=RULES)
    hand = facing(made, engine, ethernet=True, mss_ipv4=900, payload=terms)
    hand.node.inject(
        MACS + b"\x08\x00" + tcp_packet("10.8.0.6", "10.9.0.1", options=mss_option(1400))
    )
    frame = sent(hand, 1)[0]
    expected = tcp_packet("172.16.5.6", "10.9.0.1", options=mss_option(900))
    assert frame == bytes(4) + FRAMED[Framing.SWAP](MACS + b"\x08\x00" + expected)
    hand.send_data(1, bytes(4) + FRAMED[Framing.SWAP](ARP))
    assert hand.delivered(1) == [ARP]
