"""Rules about inner packets in the reference engine, with bytes that are no packets."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from ginnel.dataplane.reference_rules import (
    Direction,
    ip_offset,
    no_route,
    too_long,
    translate,
    type_of_service,
)
from ginnel.options.model import NatRule
from tests.unit.dataplane.inner_packets import udp_packet

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


def test_finds_what_is_in_a_frame() -> None:
    addresses = bytes(12)
    assert ip_offset(addresses + b"\x08\x00" + b"x") == 14
    assert ip_offset(addresses + b"\x81\x00\x00\x01\x86\xdd") == 18
    assert ip_offset(addresses + b"\x08\x06") is None
    assert ip_offset(b"") is None


def test_type_of_service_of_what_is_none() -> None:
    assert [type_of_service(packet) for packet in (b"", b"E", b"\x00\xff")] == [0, 0, 0]
