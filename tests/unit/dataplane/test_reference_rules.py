"""Rules about inner packets in the reference engine, with bytes that are no packets."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from ginnel.dataplane.reference_rules import (
    Direction,
    cut,
    ip_offset,
    no_route,
    too_long,
    translate,
    type_of_service,
)
from ginnel.options.model import NatRule
from tests.unit.dataplane.inner_packets import checksum, udp_packet

RULE = NatRule(
    is_source=True,
    network=IPv4Address("10.8.0.0"),
    netmask=IPv4Address("255.255.0.0"),
    alias=IPv4Address("172.16.0.0"),
)


@pytest.mark.parametrize("length", range(0, 28, 3))
def test_cut_packets_are_left_alone(length: int) -> None:
    packet = udp_packet("10.8.0.1", "10.9.0.1", b"words")[:length]
    assert translate([RULE], packet, Direction.OUT) == packet
    assert no_route(packet, IPv6Address("fe80::7")) is None
    assert too_long(packet, 0) is None
    assert cut(packet, 28) == [packet]
    assert too_long(udp_packet("fd00:8::6", "fd00:8::1", bytes(1300))[:length], 0) is None


def test_the_first_rule_for_an_address_counts() -> None:
    other = NatRule(
        is_source=True,
        network=IPv4Address("10.8.0.0"),
        netmask=IPv4Address("255.0.0.0"),
        alias=IPv4Address("192.0.2.0"),
    )
    packet = udp_packet("10.8.0.1", "10.9.0.1", b"words")
    assert translate([RULE, other], packet, Direction.OUT)[12:16] == bytes((172, 16, 0, 1))


def test_later_fragments_keep_their_bytes() -> None:
    packet = bytearray(udp_packet("10.8.0.1", "10.9.0.1", b"words"))
    packet[7] = 9
    assert translate([RULE], bytes(packet), Direction.OUT)[20:] == packet[20:]


def test_an_answer_is_never_answered() -> None:
    for ends, most in ((("10.8.0.6", "10.8.0.1"), 576), (("fd00:8::6", "fd00:8::1"), 1280)):
        answer = too_long(udp_packet(*ends, bytes(1400)), 100)
        assert answer is not None
        assert len(answer) == most
        assert too_long(answer, 100) is None


def test_parts_are_cut_again_and_lose_nothing() -> None:
    """With places in units of 8 bytes, and right sums."""
    packet = udp_packet("10.8.0.1", "10.9.0.1", bytes(range(256)) * 4)
    packet = packet[:6] + b"\x00" + packet[7:]
    for parts in (cut(packet, 127), [it for part in cut(packet, 527) for it in cut(part, 127)]):
        places = [int.from_bytes(part[6:8], "big") for part in parts]
        assert [place & 0x1FFF for place in places] == [
            sum(len(part) - 20 for part in parts[:number]) // 8 for number in range(len(parts))
        ]
        assert [place >> 13 for place in places] == [1] * (len(parts) - 1) + [0]
        assert all(len(part) <= 127 and checksum(part[:20]) == 0 for part in parts)
        assert b"".join(part[20:] for part in parts) == packet[20:]


@pytest.mark.parametrize(
    ("at", "value", "mtu"),
    [
        (0, b"\x46", 127),
        (0, b"\x65", 127),
        (6, b"\x40", 127),
        (6, b"\x1f\xff", 127),
        (6, b"\0", 27),
    ],
    ids=["options", "ipv6", "whole", "past the end", "no room"],
)
def test_what_may_not_be_cut_stays(at: int, value: bytes, mtu: int) -> None:
    packet = udp_packet("10.8.0.1", "10.9.0.1", bytes(1400))
    packet = packet[:6] + b"\x00" + packet[7:]
    packet = packet[:at] + value + packet[at + len(value) :]
    assert cut(packet, mtu) == [packet]


def test_finds_what_is_in_a_frame() -> None:
    addresses = bytes(12)
    assert ip_offset(addresses + b"\x08\x00" + b"x") == 14
    assert ip_offset(addresses + b"\x81\x00\x00\x01\x86\xdd") == 18
    assert ip_offset(addresses + b"\x08\x06") is None
    assert ip_offset(b"") is None


def test_type_of_service_of_what_is_none() -> None:
    assert [type_of_service(packet) for packet in (b"", b"E", b"\x00\xff")] == [0, 0, 0]
