"""Inner packets: destinations, the iroute table, and hostile TCP options."""

from ipaddress import ip_address, ip_network

import pytest

from ginnel.core.types import PeerId
from ginnel.dataplane.reference_inner import RouteTable, clamp_mss, destination
from tests.unit.dataplane.inner_packets import (
    SYN,
    mss_option,
    tcp_packet,
    transport_checksum_is_right,
    udp_packet,
)


def test_finds_the_destination_of_both_families() -> None:
    assert destination(udp_packet("10.8.0.6", "10.8.0.1", b"")) == ip_address("10.8.0.1").packed
    assert destination(udp_packet("fd00::6", "fd00::1", b"")) == ip_address("fd00::1").packed


@pytest.mark.parametrize(
    "junk", [b"", b"\x45", b"\x45" + bytes(18), b"\x60" + bytes(38), b"\x20" * 60]
)
def test_what_is_no_whole_header_has_no_destination(junk: bytes) -> None:
    assert destination(junk) is None


@pytest.mark.parametrize("value", [1301, 1302, 0x0514 + 0xFF, 0x8000, 0xFFFF])
@pytest.mark.parametrize("padding", range(4))
def test_clamping_keeps_the_checksum_right(value: int, padding: int) -> None:
    before = tcp_packet("10.8.0.6", "10.8.0.1", options=b"\x01" * padding + mss_option(value))
    after = clamp_mss(before, 1300, 0)
    assert after == tcp_packet("10.8.0.6", "10.8.0.1", options=b"\x01" * padding + mss_option(1300))
    assert transport_checksum_is_right(after)


def test_ip_options_do_not_hide_the_tcp_header() -> None:
    plain = tcp_packet("10.8.0.6", "10.8.0.1", options=mss_option(1460))
    longer = bytes((0x46,)) + plain[1:20] + b"\x01\x01\x01\x00" + plain[20:]
    assert clamp_mss(longer, 1300, 0)[-4:] == mss_option(1300)


def test_later_fragments_are_left_alone() -> None:
    packet = bytearray(tcp_packet("10.8.0.6", "10.8.0.1", flags=SYN, options=mss_option(1460)))
    packet[7] = 5
    assert clamp_mss(bytes(packet), 1300, 0) == bytes(packet)


def test_a_header_length_past_the_packet_is_left_alone() -> None:
    packet = bytearray(tcp_packet("10.8.0.6", "10.8.0.1", options=mss_option(1460)))
    packet[32] = 0xF0
    assert clamp_mss(bytes(packet), 1300, 0) == bytes(packet)


def test_routes_move_between_peers_and_leave_with_them() -> None:
    table = RouteTable()
    table.add(ip_network("10.0.0.0/8"), PeerId(1))
    table.add(ip_network("0.0.0.0/0"), PeerId(2))
    table.add(ip_network("::/0"), PeerId(2))
    inside = ip_address("10.1.2.3").packed
    assert table.find(inside) == 1
    assert table.find(ip_address("192.0.2.1").packed) == 2
    assert table.find(ip_address("2001:db8::1").packed) == 2
    table.add(ip_network("10.0.0.0/8"), PeerId(3))
    assert table.find(inside) == 3
    table.remove_peer(PeerId(3))
    assert table.find(inside) == 2
    table.remove_peer(PeerId(2))
    assert table.find(inside) is None
