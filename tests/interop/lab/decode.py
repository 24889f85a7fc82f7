"""Checks captured IP packets down to their checksums, and tells which flow each belongs to.

Strict: a length that does not fit or a checksum that is wrong is a Flaw. Not responsible for what
is inside TCP and UDP.
"""

from collections.abc import Iterable
from dataclasses import dataclass

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _DESTINATION = 0, 43, 44, 60
_EXTENSIONS = frozenset({_HOP_BY_HOP, _ROUTING, _DESTINATION})


class Flaw(AssertionError):
    """A packet that no correct sender sends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What the order of packets is judged by."""

    flow: tuple[bytes, int, int]
    """Both addresses; the protocol; the ports of TCP and UDP, or the number of what is in parts."""
    identity: int
    """Of IPv4; 0 in IPv6."""
    is_fragment: bool
    sequence: int
    """Of TCP, else 0."""
    flags: int
    """Of TCP, else 0."""
    payload: bytes

    @property
    def protocol(self) -> int:
        return self.flow[1]

    @property
    def ports(self) -> tuple[int, int]:
        return self.flow[2] >> 16, self.flow[2] & 0xFFFF

    @property
    def is_ipv6(self) -> bool:
        return len(self.flow[0]) == 32


def is_summed(covered: bytes) -> bool:
    """True when the ones-complement sum over what a checksum covers, itself included, is zero.

    2**16 is 1 modulo 0xFFFF: the remainder of the whole is that of the sum of its 16-bit words.
    """
    return int.from_bytes(covered + b"\x00" * (len(covered) % 2), "big") % 0xFFFF == 0


def decode(packet: bytes) -> Decoded:
    """Checks one packet; raises Flaw."""
    try:
        match packet[0] >> 4:
            case 4:
                return _decode_v4(packet)
            case 6:
                return _decode_v6(packet)
    except IndexError as short:
        raise Flaw(f"a packet that ends early: {packet.hex()}") from short
    raise Flaw(f"neither IPv4 nor IPv6: {packet.hex()}")


def _decode_v4(packet: bytes) -> Decoded:
    header = (packet[0] & 0x0F) * 4
    length = int.from_bytes(packet[2:4], "big")
    _require(20 <= header <= length == len(packet), "lengths", packet)
    _require(is_summed(packet[:header]), "header checksum", packet)
    identity = int.from_bytes(packet[4:6], "big")
    addresses, protocol = packet[12:20], packet[9]
    if int.from_bytes(packet[6:8], "big") & 0x3FFF:
        return _part(addresses, protocol, identity, packet[header:])
    return _transport(addresses, protocol, identity, packet[header:])


def _decode_v6(packet: bytes) -> Decoded:
    _require(40 + int.from_bytes(packet[4:6], "big") == len(packet), "length", packet)
    addresses, kind, body = packet[8:40], packet[6], packet[40:]
    while kind in _EXTENSIONS:
        size = (body[1] + 1) * 8
        _require(size <= len(body), "extension header", packet)
        kind, body = body[0], body[size:]
    if kind == _FRAGMENT:
        return _part(addresses, body[0], int.from_bytes(body[4:8], "big"), body[8:])
    return _transport(addresses, kind, 0, body)


def _part(addresses: bytes, protocol: int, identity: int, body: bytes) -> Decoded:
    """A datagram in parts has ports in the first one only: its number stands for them."""
    return Decoded(
        flow=(addresses, protocol, identity),
        identity=identity,
        is_fragment=True,
        sequence=0,
        flags=0,
        payload=body,
    )


def _transport(addresses: bytes, protocol: int, identity: int, body: bytes) -> Decoded:
    ports = start = sequence = flags = 0
    has_sum = protocol in (TCP, UDP, ICMP, ICMPV6)
    if protocol in (TCP, UDP):
        ports, start = int.from_bytes(body[:4], "big"), 8
    if protocol == TCP:
        start = (body[12] >> 4) * 4
        _require(20 <= start <= len(body), "TCP header length", body)
        sequence, flags = int.from_bytes(body[4:8], "big"), body[13]
    elif protocol == UDP:
        _require(int.from_bytes(body[4:6], "big") == len(body), "UDP length", body)
        has_sum = body[6:8] != b"\x00\x00"
        _require(has_sum or len(addresses) == 8, "UDP over IPv6 without a checksum", body)
    pseudo = addresses + len(body).to_bytes(4, "big") + protocol.to_bytes(4, "big")
    covered = body if protocol == ICMP else pseudo + body
    _require(not has_sum or is_summed(covered), "transport checksum", body)
    return Decoded(
        flow=(addresses, protocol, ports),
        identity=identity,
        is_fragment=False,
        sequence=sequence,
        flags=flags,
        payload=body[start:],
    )


def _require(condition: bool, what: str, packet: bytes) -> None:
    if not condition:
        raise Flaw(f"{what} is wrong in {packet.hex()}")


def steps_back(numbers: Iterable[int], bits: int) -> int:
    """How many numbers are not after all those before them; they count round in so many bits."""
    found, highest = 0, None
    for number in numbers:
        if highest is not None and not 0 < (number - highest) % (1 << bits) < 1 << (bits - 1):
            found += 1
        else:
            highest = number
    return found
