"""Cuts super-packets as the kernel does: what tests hold against joining."""

import struct

from ginnel.core.errors import Malformed
from ginnel.dataplane.reference_offload import HEADER_LENGTH, checksum

_HEADER = struct.Struct("=BBHHHH")
_WORD, _WORDS = struct.Struct("!H"), struct.Struct("!HH")
_NEEDS_CHECKSUM = 0x01
_TCP4, _TCP6, _ECN = 1, 4, 0x80
_FIN, _SYN, _PUSH, _CWR = 0x01, 0x02, 0x08, 0x80
_CHECKSUM_AT, _UDP_CHECKSUM_AT = 16, 6


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
