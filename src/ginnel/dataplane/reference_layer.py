"""What the reference engine's device carries: IP packets, or Ethernet frames with IP in them.

Pure functions over packets of one kind. Not responsible for whom a packet is for.
"""

from collections.abc import Sequence
from ipaddress import IPv6Address
from itertools import groupby

from ginnel.dataplane.reference_inner import clamp_mss, destination, ends
from ginnel.dataplane.reference_rules import ETHERNET_HEADER, cut, ip_offset, no_route, too_long

_GROUP_BIT = 1
"""In the first byte of a hardware address: of many stations."""


class Layer:
    """The kind of a device."""

    def __init__(self, *, is_ethernet: bool) -> None:
        self.is_ethernet = is_ethernet

    def is_whole(self, inner: bytes) -> bool:
        """Tells whether it has the header that all packets, or frames, have."""
        if self.is_ethernet:
            return len(inner) >= ETHERNET_HEADER
        return destination(inner) is not None

    def destination(self, inner: bytes) -> bytes | None:
        """Where the IP packet goes, as far as there is one."""
        start = self._ip_at(inner)
        return None if start is None else destination(inner[start:])

    def together(self, packets: Sequence[bytes]) -> list[list[bytes]]:
        """Neighbours with the same addresses; frames one by one, since more tells them apart."""
        if self.is_ethernet:
            return [[frame] for frame in packets]
        return [list(group) for _, group in groupby(packets, key=ends)]

    def clamped(self, packets: Sequence[bytes], mss_ipv4: int, mss_ipv6: int) -> list[bytes]:
        """Lowers the MSS of SYNs."""
        if not self.is_ethernet:
            return [clamp_mss(packet, mss_ipv4, mss_ipv6) for packet in packets]
        clamped = []
        for frame in packets:
            start = ip_offset(frame) or len(frame)
            clamped.append(frame[:start] + clamp_mss(frame[start:], mss_ipv4, mss_ipv6))
        return clamped

    def no_ipv6(self, packets: Sequence[bytes], router: IPv6Address) -> list[bytes] | None:
        """A router's answers to packets that go the same way; None when they are not IPv6."""
        start = self._ip_at(packets[0])
        if start is None or len(packets[0]) <= start or packets[0][start] >> 4 != 6:
            return None
        answers = []
        for inner in packets:
            error = no_route(inner[start:], router)
            answers += [] if error is None else [_returned(inner, start, error)]
        return answers

    def fit(self, inner: bytes, mtu: int) -> tuple[list[bytes], bytes | None]:
        """What is sent in place of a packet on a path that takes no longer ones, or its answer."""
        header = ETHERNET_HEADER if self.is_ethernet else 0
        start = self._ip_at(inner) if len(inner) > mtu + header else None
        if start is None:
            return [inner], None
        packet = inner[start:]
        mtu -= start - header  # a tag takes room
        is_for_one = not self.is_ethernet or not (inner[0] | inner[6]) & _GROUP_BIT
        answer = too_long(packet, mtu) if is_for_one else None
        if answer is not None:
            return [], _returned(inner, start, answer)
        return [inner[:start] + part for part in cut(packet, mtu)], None

    def _ip_at(self, inner: bytes) -> int | None:
        return ip_offset(inner) if self.is_ethernet else 0


def _returned(frame: bytes, start: int, answer: bytes) -> bytes:
    """On tap back to where the frame came from, as if from where it was going."""
    return frame[6:12] + frame[:6] + frame[12:start] + answer if start else answer
