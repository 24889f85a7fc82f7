"""Super-packets of the device in the reference engine: cut when read, joined when written.

The kernel hands over and takes up to 64 KiB of one TCP connection at once, behind a header that
says how to cut it (``struct virtio_net_hdr``): most of a packet's cost does not come from its
length. Joined is only what cutting would give back. Not responsible for the device
(``reference_ports``).
"""

import struct
from collections.abc import Sequence

from ginnel.core.errors import Malformed
from ginnel.dataplane.reference_inner import PROTOCOL_TCP

HEADER_LENGTH = 10
PLAIN = bytes(HEADER_LENGTH)
"""The header of a packet that needs nothing done."""
_HEADER = struct.Struct("=BBHHHH")
_WORD, _WORDS = struct.Struct("!H"), struct.Struct("!HH")
_NEEDS_CHECKSUM = 0x01
_TCP4, _TCP6, _ECN = 1, 4, 0x80
_FIN, _SYN, _PUSH, _ACK, _CWR = 0x01, 0x02, 0x08, 0x10, 0x80
_CHECKSUM_AT, _UDP_CHECKSUM_AT = 16, 6
MAX_JOINED = 64
_MAX_LENGTH = 65535
_OTHER = (0, b"")
"""The shape of what is not joined."""


def checksum(covered: bytes | bytearray) -> int:
    """The Internet checksum (RFC 1071).

    2**16 is 1 modulo 0xFFFF, so the remainder of all is that of the sum of the 16-bit words.
    """
    total = int.from_bytes(covered, "big") << 8 * (len(covered) % 2)
    return -total % 0xFFFF


def packets_of(read: bytes) -> list[bytes]:
    """The packets that one read stands for, whose addresses are the same; raises Malformed."""
    if len(read) <= HEADER_LENGTH:
        raise Malformed("malformed")
    flags, kind, _, size, start, offset = _HEADER.unpack_from(read)
    packet = read[HEADER_LENGTH:]
    if kind:
        is_sound = flags & _NEEDS_CHECKSUM and offset == _CHECKSUM_AT and size
        if kind & ~_ECN not in (_TCP4, _TCP6) or not is_sound:
            raise Malformed("malformed")
        return _cut(packet, start, size)
    if flags & _NEEDS_CHECKSUM:
        return [_summed(packet, start, start + offset)]
    return [packet]


def _summed(packet: bytes, start: int, at: int) -> bytes:
    """Completes a checksum, in whose place the sum of the pseudo-header stands."""
    if not 0 < start < at <= len(packet) - 2:
        raise Malformed("malformed")
    total = checksum(packet[start:])
    if at - start == _UDP_CHECKSUM_AT:
        total = total or 0xFFFF  # 0 says that there is none
    return packet[:at] + total.to_bytes(2, "big") + packet[at + 2 :]


def _cut(packet: bytes, start: int, size: int) -> list[bytes]:
    """The segments as TCP itself would have sent them."""
    if start < 20 or len(packet) < start + 20:
        raise Malformed("malformed")
    end = start + (packet[start + 12] >> 4) * 4
    flags = packet[start + 13]
    if end < start + 20 or end >= len(packet) or flags & _SYN:
        raise Malformed("malformed")
    is_ipv6 = packet[0] >> 4 == 6
    identity = int.from_bytes(packet[4:6], "big")
    sequence = int.from_bytes(packet[start + 4 : start + 8], "big")
    # In place of the checksum stands the sum of the pseudo-header, which has the length of all.
    pseudo = int.from_bytes(packet[start + 16 : start + 18], "big") - (len(packet) - start)
    head = bytearray(packet[:end])
    segments = []
    for number, at in enumerate(range(end, len(packet), size)):
        payload = packet[at : at + size]
        length = end + len(payload)
        if is_ipv6:
            _WORD.pack_into(head, 4, length - 40)
        else:
            _WORDS.pack_into(head, 2, length, (identity + number) & 0xFFFF)
            _WORD.pack_into(head, 10, 0)
            _WORD.pack_into(head, 10, checksum(head[:start]))
        head[start + 4 : start + 8] = (sequence & 0xFFFFFFFF).to_bytes(4, "big")
        head[start + 13] = flags & ~(_CWR if number else 0)
        if at + size < len(packet):
            head[start + 13] &= ~(_FIN | _PUSH)
        _WORD.pack_into(head, start + 16, (pseudo + length - start) % 0xFFFF)
        _WORD.pack_into(head, start + 16, checksum(head[start:] + payload))
        segments.append(bytes(head) + payload)
        sequence += size
    return segments


class Join:
    """Packets that are written at once: one of any kind, or TCP segments that follow each other."""

    def __init__(self, first: bytes) -> None:
        self.packets = [first]
        self._shape: tuple[int, bytes] | None = None
        """Of the first one, when it was asked for."""
        self._is_open = True

    def take(self, packet: bytes) -> bool:
        """Adds a segment, if cutting the super-packet would give back all of them."""
        first, number = self.packets[0], len(self.packets)
        if self._shape is None:
            self._shape = _shape_of(first)
            self._is_open = self._shape != _OTHER and not first[_start_of(first) + 13] & _PUSH
        if not self._is_open or len(packet) > len(first) or _shape_of(packet) != self._shape:
            return False
        start, end = _start_of(packet), self._shape[0]
        size = len(first) - end
        if end + (number + 1) * size > _MAX_LENGTH:
            return False
        sequence = int.from_bytes(first[start + 4 : start + 8], "big") + number * size
        identity = int.from_bytes(first[4:6], "big") + number
        if int.from_bytes(packet[start + 4 : start + 8], "big") != sequence & 0xFFFFFFFF or (
            start == 20 and int.from_bytes(packet[4:6], "big") != identity & 0xFFFF
        ):
            return False
        self.packets.append(packet)
        self._is_open = len(packet) == len(first) and not packet[start + 13] & _PUSH
        return True

    def parts(self) -> list[bytes | bytearray]:
        """What is written, in parts: the header, then the packet or super-packet."""
        if self._shape is None or len(self.packets) == 1:
            return [PLAIN, *self.packets]
        first, last, end = self.packets[0], self.packets[-1], self._shape[0]
        start = _start_of(first)
        payloads = [packet[end:] for packet in self.packets]
        length = end + sum(map(len, payloads))
        head = bytearray(first[:end])
        if start == 20:
            _WORD.pack_into(head, 2, length)
            _WORD.pack_into(head, 10, 0)
            _WORD.pack_into(head, 10, checksum(head[:20]))
        else:
            _WORD.pack_into(head, 4, length - 40)
        head[start + 13] = last[start + 13]
        pseudo = _pseudo_header(first, start, length - start)
        _WORD.pack_into(head, start + 16, int.from_bytes(pseudo, "big") % 0xFFFF)
        kind = _TCP4 if start == 20 else _TCP6
        plan = _HEADER.pack(_NEEDS_CHECKSUM, kind, end, len(payloads[0]), start, _CHECKSUM_AT)
        return [plan, head, *payloads]


def joined(packets: Sequence[bytes], most: int) -> list[Join]:
    """Joins neighbours only, ``most`` at a time: no packet changes its place."""
    joins: list[Join] = []
    for packet in packets:
        if not joins or len(joins[-1].packets) == most or not joins[-1].take(packet):
            joins.append(Join(packet))
    return joins


def _start_of(packet: bytes) -> int:
    """Where TCP begins behind plain IP headers."""
    return 20 if packet[0] >> 4 == 4 else 40


def _shape_of(packet: bytes) -> tuple[int, bytes]:
    """Where the payload of a plain TCP segment begins, and what cutting copies of its headers.

    _OTHER for all else, and for a segment whose checksum is wrong.
    """
    start = _start_of(packet)
    if len(packet) <= start + 20:
        return _OTHER
    if start == 20:
        whole = int.from_bytes(packet[2:4], "big")
        is_plain = packet[0] == 0x45 and not int.from_bytes(packet[6:8], "big") & 0x3FFF
        protocol, copied = packet[9], packet[:2] + packet[6:10] + packet[12:20]
    else:
        whole = 40 + int.from_bytes(packet[4:6], "big")
        is_plain = packet[0] >> 4 == 6
        protocol, copied = packet[6], packet[:4] + packet[6:40]
    end = start + (packet[start + 12] >> 4) * 4
    if not is_plain or whole != len(packet) or protocol != PROTOCOL_TCP:
        return _OTHER
    if not start + 20 <= end < whole or packet[start + 13] & ~_PUSH != _ACK:
        return _OTHER
    if checksum(_pseudo_header(packet, start, whole - start) + packet[start:]):
        return _OTHER
    tcp = packet[start:end]
    return end, copied + tcp[:4] + tcp[8:13] + tcp[14:16] + tcp[18:]


def _pseudo_header(packet: bytes, start: int, length: int) -> bytes:
    addresses = packet[12:20] if start == 20 else packet[8:40]
    return addresses + length.to_bytes(4, "big") + PROTOCOL_TCP.to_bytes(4, "big")
