"""Super-packets for the device in the reference engine: segments of one TCP connection, joined.

The kernel takes up to 64 KiB of a connection at once, behind a header that says how to cut it
(``struct virtio_net_hdr``): most of a packet's cost does not come from its length. Joined is only
what cutting would give back. Not responsible for the device (``reference_ports``).
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from ginnel.dataplane.reference_inner import PROTOCOL_TCP

HEADER_LENGTH = 10
PLAIN = bytes(HEADER_LENGTH)
"""The header of a packet that needs nothing done."""
MAX_JOINED = 64
_HEADER = struct.Struct("=BBHHHH")
_WORD = struct.Struct("!H")
_NEEDS_CHECKSUM = 0x01
_TCP4, _TCP6 = 1, 4
_PUSH, _ACK = 0x08, 0x10
_IDENTITY_AT, _CHECKSUM4_AT = 4, 10
_SEQUENCE_AT, _FLAGS_AT, _CHECKSUM_AT = 4, 13, 16
"""Behind the start of TCP."""
_MAX_LENGTH = 65535


def checksum(covered: bytes | bytearray) -> int:
    """The Internet checksum (RFC 1071).

    2**16 is 1 modulo 0xFFFF, so the remainder of all is that of the sum of the 16-bit words.
    """
    total = int.from_bytes(covered, "big") << 8 * (len(covered) % 2)
    return -total % 0xFFFF


class Join(NamedTuple):
    """Packets that are written at once: one of any kind, or TCP segments that follow each other."""

    packets: Sequence[bytes]
    end: int
    """Where the payload of segments begins."""

    def parts(self) -> list[bytes | bytearray]:
        """What is written, in parts: the header, then the packet or super-packet."""
        if len(self.packets) == 1:
            return [PLAIN, *self.packets]
        first, last, end = self.packets[0], self.packets[-1], self.end
        start = _start_of(first)
        payloads = [packet[end:] for packet in self.packets]
        length = end + sum(map(len, payloads))
        head = bytearray(first[:end])
        _WORD.pack_into(head, _length_at(start), length if start == 20 else length - 40)
        if start == 20:
            _WORD.pack_into(head, _CHECKSUM4_AT, 0)
            _WORD.pack_into(head, _CHECKSUM4_AT, checksum(head[:20]))
        head[start + _FLAGS_AT] = last[start + _FLAGS_AT]
        # The kernel completes the sum from that of the pseudo-header.
        pseudo = -checksum(_pseudo_header(first, start, length - start)) % 0xFFFF
        _WORD.pack_into(head, start + _CHECKSUM_AT, pseudo)
        kind = _TCP4 if start == 20 else _TCP6
        plan = _HEADER.pack(_NEEDS_CHECKSUM, kind, end, len(payloads[0]), start, _CHECKSUM_AT)
        return [plan, head, *payloads]


def joined(packets: Sequence[bytes], most: int) -> list[Join]:
    """Joins neighbours only, ``most`` at a time: no packet changes its place."""
    joins: list[Join] = []
    at = 0
    while at < len(packets):
        end = _payload_of(packets[at]) if at + 1 < len(packets) else 0
        count = _count_followers(packets[at : at + most], end) + 1 if end else 1
        joins.append(Join(packets[at : at + count], end))
        at += count
    return joins


def _count_followers(packets: Sequence[bytes], end: int) -> int:
    """How many segments behind the first one cutting the super-packet would give back.

    Headers are compared as numbers: from one to the next, sequence number and identity grow.
    """
    first = packets[0]
    start, size = _start_of(first), len(first) - end
    mask = _copied(start, end)
    expected = int.from_bytes(first[:end], "big")
    step = size << _shift(start + _SEQUENCE_AT, 4, end)
    room = min(len(packets), (_MAX_LENGTH - end) // size, _room(first, start + 4, 4) // size + 1)
    if start == 20:
        step += 1 << _shift(_IDENTITY_AT, 2, end)
        room = min(room, _room(first, _IDENTITY_AT, 2) + 1)
    for number in range(1, room):
        packet = packets[number]
        missing = len(first) - len(packet)
        expected += step
        wanted = expected - (missing << _shift(_length_at(start), 2, end))
        if not 0 <= missing < size or int.from_bytes(packet[:end], "big") & mask != wanted & mask:
            return number - 1
        if not _is_sound(packet, start) or (number == 1 and not _is_sound(first, start)):
            return number - 1
        if missing or packet[start + _FLAGS_AT] & _PUSH:
            return number
    return max(room - 1, 0)


def _room(packet: bytes, at: int, length: int) -> int:
    """How far a number in a header may grow."""
    most: int = (1 << 8 * length) - 1
    return most - int.from_bytes(packet[at : at + length], "big")


def _shift(at: int, length: int, end: int) -> int:
    """Where a field lies in a header that is read as a number."""
    return 8 * (end - at - length)


@lru_cache
def _copied(start: int, end: int) -> int:
    """The bits of the headers that are to be as expected: all but checksums and PSH."""
    copied = bytearray(b"\xff" * end)
    copied[start + _FLAGS_AT] = 0xFF & ~_PUSH
    copied[start + _CHECKSUM_AT : start + _CHECKSUM_AT + 2] = bytes(2)
    if start == 20:
        copied[_CHECKSUM4_AT : _CHECKSUM4_AT + 2] = bytes(2)
    return int.from_bytes(copied, "big")


def _is_sound(packet: bytes, start: int) -> bool:
    """Tells whether the checksums are right, from one sum over all: Python sums up what is long
    in the time that it takes for single words.

    The header of IPv4 adds nothing when its own is right; of IPv6 only the addresses belong in.
    """
    if start == 20:
        others = int.from_bytes(packet[12:20], "big") + len(packet) - start
    else:
        others = -int.from_bytes(packet[:4], "big") - int.from_bytes(packet[6:8], "big")
    # What is long is touched twice only: once to read it, once for the remainder.
    whole = int.from_bytes(packet, "big") % 0xFFFF << 8 * (len(packet) % 2)
    return (whole + others + PROTOCOL_TCP) % 0xFFFF == 0


def _start_of(packet: bytes) -> int:
    """Where TCP begins behind plain IP headers."""
    return 20 if packet[0] >> 4 == 4 else 40


def _length_at(start: int) -> int:
    return 2 if start == 20 else 4


def _payload_of(packet: bytes) -> int:
    """Where the payload of a plain TCP segment begins that others may follow; 0 for all else."""
    start = _start_of(packet)
    if len(packet) <= start + 20 or packet[start + _FLAGS_AT] != _ACK:
        return 0
    if start == 20:
        whole = int.from_bytes(packet[2:4], "big")
        is_plain = packet[0] == 0x45 and not int.from_bytes(packet[6:8], "big") & 0x3FFF
        protocol = packet[9]
    else:
        whole = 40 + int.from_bytes(packet[4:6], "big")
        is_plain = packet[0] >> 4 == 6
        protocol = packet[6]
    end = start + (packet[start + 12] >> 4) * 4
    is_segment = is_plain and whole == len(packet) and protocol == PROTOCOL_TCP
    return end if is_segment and start + 20 <= end < whole else 0


def _pseudo_header(packet: bytes, start: int, length: int) -> bytes:
    addresses = packet[12:20] if start == 20 else packet[8:40]
    return addresses + length.to_bytes(4, "big") + PROTOCOL_TCP.to_bytes(4, "big")
