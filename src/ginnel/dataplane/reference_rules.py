"""Rules about inner packets in the reference engine: ``client-nat``, ``block-ipv6``, and what is
too long for the path.

Also knows where the IP packet of an Ethernet frame begins. Hostile bytes are left as they are.
"""

from collections.abc import Sequence
from ipaddress import IPv6Address

from ginnel.enumeration import Enum
from ginnel.options.model import NatRule

ETHERNET_HEADER = 14
_VLAN_TAG = 4
_ETHER_VLAN = b"\x81\x00"
_ETHER_IP = (b"\x08\x00", b"\x86\xdd")
_ICMP, _TCP, _UDP, _ICMPV6 = 1, 6, 17, 58
_ICMP_ERRORS = frozenset({3, 4, 5, 11, 12})
"""Types: unreachable, quench, redirect, exceeded, bad parameter."""
_MORE, _PLACE = 0x2000, 0x1FFF
"""Of a fragment: more follow, and where it is, in units of 8 bytes."""
_MAX_ICMP = 576
"""Longest ICMP error (RFC 1812, 4.3.2.3)."""
_LEAST_IPV6_MTU = 1280
"""What IPv6 packets are never asked to be shorter than (RFC 8200, 5)."""
_MAX_ERROR = 1280
"""Longest ICMPv6 error, so that it passes everywhere (RFC 4443, 2.4)."""


class Direction(Enum):
    OUT = "out"
    """From tun to the peer."""
    IN = "in"


def ip_offset(frame: bytes) -> int | None:
    """Where the IP packet of a frame with at most one VLAN tag begins; None for all others."""
    offset = ETHERNET_HEADER + (_VLAN_TAG if frame[12:14] == _ETHER_VLAN else 0)
    return offset if frame[offset - 2 : offset] in _ETHER_IP else None


def type_of_service(packet: bytes) -> int:
    """Type of service or traffic class of an IP packet; 0 for what is none."""
    if len(packet) < 2:
        return 0
    match packet[0] >> 4:
        case 4:
            return packet[1]
        case 6:
            return (packet[0] << 4 | packet[1] >> 4) & 0xFF
        case _:
            return 0


def translate(rules: Sequence[NatRule], packet: bytes, direction: Direction) -> bytes:
    """Translates the addresses of an IPv4 packet; of several rules for one the first counts."""
    header = (packet[0] & 0x0F) * 4 if packet else 0
    if len(packet) < 20 or packet[0] >> 4 != 4 or header < 20:
        return packet
    length = int.from_bytes(packet[2:4], "big")
    if not header <= length <= len(packet):
        return packet
    changed = bytearray(packet)
    sums = [10, *_transport_sum(packet, header, length)]
    for at in (12, 16):
        for rule in rules:
            if ((direction is Direction.OUT) == rule.is_source) != (at == 12):
                continue
            old = int.from_bytes(packet[at : at + 4], "big")
            new = _translated(rule, old, direction)
            if new is not None:
                _replace(changed, at, new, sums)
                break
    return bytes(changed)


def no_route(packet: bytes, source: IPv6Address) -> bytes | None:
    """The ICMPv6 error that answers an IPv6 packet; None when nothing must be answered."""
    return _icmpv6_error(packet, source.packed, b"\x01\x00", 0)


def too_long(packet: bytes, mtu: int) -> bytes | None:
    """The ICMP error that answers a packet, as if from where it goes.

    That is the only address which is sure to be on this side of the sender's routes and filters.
    None when the packet is not longer than ``mtu``, may be cut, or must not be answered.
    """
    if packet[:1] and packet[0] >> 4 == 6:
        mtu = max(mtu, _LEAST_IPV6_MTU)
        is_long = len(packet) > mtu
        return _icmpv6_error(packet, packet[24:40], b"\x02\x00", mtu) if is_long else None
    header = (packet[0] & 0x0F) * 4 if packet else 0
    length = int.from_bytes(packet[2:4], "big")
    if len(packet) < 20 or packet[0] >> 4 != 4 or not 20 <= header <= length <= len(packet):
        return None
    flags = int.from_bytes(packet[6:8], "big")
    is_error = packet[9] == _ICMP and (len(packet) == header or packet[header] in _ICMP_ERRORS)
    if len(packet) <= mtu or not flags & 0x4000 or flags & 0x1FFF or is_error:
        return None
    if not all(0 < first < 224 for first in (packet[12], packet[16])):
        return None
    quoted = packet[: _MAX_ICMP - 28]
    total = (28 + len(quoted)).to_bytes(2, "big")
    outer = b"\x45\x00" + total + bytes((0, 0, 0, 0, 255, _ICMP, 0, 0)) + packet[16:20]
    body = b"\x03\x04" + bytes(4) + mtu.to_bytes(2, "big") + quoted
    return _with_sum(outer + packet[12:16], 10) + _with_sum(body, 2)


def cut(packet: bytes, mtu: int) -> list[bytes]:
    """Cuts an IPv4 packet into fragments that are no longer (RFC 791, 3.2), as a router does.

    Only itself when it is not longer, or may not be cut; nor is one with options, which are not all
    for every part.
    """
    length, field = (int.from_bytes(packet[at : at + 2], "big") for at in (2, 6))
    room, first = (mtu - 20) // 8 * 8, field & _PLACE
    is_plain = packet[:1] == b"\x45" and 20 <= length <= len(packet)
    if not is_plain or length <= mtu or room <= 0 or field & 0x4000:
        return [packet]
    if first * 8 + length - 20 > _PLACE * 8:
        return [packet]
    parts = []
    for start in range(20, length, room):
        end = min(start + room, length)
        place = (_MORE if end < length else field & _MORE) | first + (start - 20) // 8
        size = (20 + end - start).to_bytes(2, "big")
        header = packet[:2] + size + packet[4:6] + place.to_bytes(2, "big") + packet[8:10]
        parts.append(_with_sum(header + bytes(2) + packet[12:20], 10) + packet[start:end])
    return parts


def _with_sum(packet: bytes, at: int) -> bytes:
    return packet[:at] + (~_sum(packet) & 0xFFFF).to_bytes(2, "big") + packet[at + 2 :]


def _icmpv6_error(packet: bytes, source: bytes, kind: bytes, value: int) -> bytes | None:
    if len(packet) < 40 or len(packet) < 40 + int.from_bytes(packet[4:6], "big"):
        return None
    asker, target = packet[8:24], packet[24:40]
    is_error = packet[6] == _ICMPV6 and (len(packet) == 40 or packet[40] < 128)
    if is_error or not any(asker) or 0xFF in (asker[0], target[0]):
        return None
    quoted = packet[: _MAX_ERROR - 48]
    body = kind + bytes(2) + value.to_bytes(4, "big") + quoted
    length = len(body).to_bytes(2, "big")
    pseudo = source + asker + b"\x00\x00" + length + bytes((0, 0, 0, _ICMPV6))
    total = _sum(pseudo + body)
    body = body[:2] + (~total & 0xFFFF).to_bytes(2, "big") + body[4:]
    return b"\x60\x00\x00\x00" + length + bytes((_ICMPV6, 255)) + source + asker + body


def _translated(rule: NatRule, address: int, direction: Direction) -> int | None:
    mask = int(rule.netmask)
    known, new = int(rule.network), int(rule.alias)
    if direction is Direction.IN:
        known, new = new, known
    return (new & mask) | (address & ~mask) if address & mask == known & mask else None


def _transport_sum(packet: bytes, header: int, length: int) -> list[int]:
    """Offset of the transport's checksum, which covers the addresses; empty when there is none."""
    if int.from_bytes(packet[6:8], "big") & 0x1FFF:
        return []
    at = header + {_TCP: 16, _UDP: 6}.get(packet[9], length)
    if at + 2 > length or (packet[9] == _UDP and packet[at : at + 2] == b"\x00\x00"):
        return []
    return [at]


def _replace(packet: bytearray, at: int, address: int, sums: Sequence[int]) -> None:
    """Writes an address and corrects the checksums (RFC 1624, equation 3)."""
    new = address.to_bytes(4, "big")
    change = _sum(bytes(~byte & 0xFF for byte in packet[at : at + 4]) + new)
    packet[at : at + 4] = new
    for place in sums:
        old = int.from_bytes(packet[place : place + 2], "big")
        value = ~_sum((~old & 0xFFFF).to_bytes(2, "big") + change.to_bytes(2, "big")) & 0xFFFF
        if not value and packet[9] == _UDP and place != 10:
            value = 0xFFFF
        packet[place : place + 2] = value.to_bytes(2, "big")


def _sum(data: bytes) -> int:
    """The folded ones-complement sum of 16-bit words."""
    total = sum(
        int.from_bytes(data[at : at + 2].ljust(2, b"\x00"), "big") for at in range(0, len(data), 2)
    )
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
