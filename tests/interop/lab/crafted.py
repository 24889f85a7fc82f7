"""Packets that are easy to spoil on the way, and a program that sends them.

What is cut and joined in a tunnel must come out as it went in: flows whose packets differ in
flags, options, marks, lengths and checksums, right ones and wrong ones. As a program, inside a
namespace, it sends a file of them (hexadecimal, one a line) to the next router.
"""

import argparse
import random
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

TCP, UDP, ESP, SCTP = 6, 17, 50, 132
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))
HOP_BY_HOP, FRAGMENT, DESTINATION_OPTIONS = 0, 44, 60
SEGMENT = 700
BURST = 32
PAUSE = 0.008
TWISTED = 0.3
_RESERVED, _DONT_FRAGMENT, _MORE = 0x8000, 0x4000, 0x2000
_TIMESTAMPS = b"\x01\x01\x08\x0a" + bytes(range(8))
_ROUTER_ALERT = b"\x94\x04\x00\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a packet looks like; the defaults are those of a bulk transfer."""

    size: int = SEGMENT
    skip: int = 0
    """Added to the sequence number of TCP."""
    flags: int = ACK
    reserved: int = 0
    acknowledged: int = 1
    window: int = 500
    urgent: int = 0
    options: bytes = b""
    checksum: str = "right"
    """Or ``wrong``, or in UDP ``none``."""
    claimed: int = 0
    """Added to the length in the UDP header."""
    tos: int = 0
    label: int = 0
    ttl: int = 64
    fragment: int = _DONT_FRAGMENT
    identity: int = 0
    counts: bool = True
    """The IPv4 identity goes up by one."""
    ip_options: bytes = b""
    extension: int | None = None


TCP_LOOKS: Sequence[Look] = (
    Look(flags=ACK | PSH),
    Look(flags=ACK | FIN),
    Look(flags=ACK | RST),
    Look(flags=ACK | ECE),
    Look(flags=ACK | CWR),
    Look(flags=ACK | URG, urgent=5),
    Look(flags=SYN, options=b"\x02\x04\x02\x18"),
    Look(flags=PSH),
    Look(reserved=1),
    Look(window=7),
    Look(acknowledged=99),
    Look(urgent=9),
    Look(options=_TIMESTAMPS),
    Look(options=b"\x01" * 40),
    Look(checksum="wrong"),
    Look(skip=1000),
    Look(skip=-SEGMENT),
    Look(size=0),
    Look(size=1),
    Look(size=SEGMENT + 1),
)
UDP_LOOKS: Sequence[Look] = (
    Look(checksum="none"),
    Look(checksum="wrong"),
    Look(size=0),
    Look(size=1),
    Look(size=SEGMENT - 1),
    Look(size=SEGMENT + 1),
    Look(claimed=-3),
)
IP_LOOKS: Sequence[Look] = (
    Look(tos=1),
    Look(tos=3),
    Look(tos=0xB8),
    Look(label=0x12345),
    Look(ttl=33),
    Look(fragment=0),
    Look(fragment=_RESERVED),
    Look(counts=False),
    Look(ip_options=_ROUTER_ALERT),
    Look(ip_options=b"\x01\x01\x01\x00"),
    Look(extension=HOP_BY_HOP),
    Look(extension=DESTINATION_OPTIONS),
)


def checksum(covered: bytes) -> int:
    """The Internet checksum; 2**16 is 1 modulo 0xFFFF, so one division sums up all words."""
    total = int.from_bytes(covered + bytes(len(covered) % 2), "big") % 0xFFFF
    return 0xFFFF - total if total else 0


def forwarded(packet: bytes, hops: int) -> bytes:
    """The packet after so many routers."""
    if packet[0] >> 4 == 6:
        return packet[:7] + bytes((packet[7] - hops,)) + packet[8:]
    header = (packet[0] & 0x0F) * 4
    return _with_sum(packet[:8] + bytes((packet[8] - hops,)) + packet[9:header]) + packet[header:]


class Maker:
    """Makes packets from one address to another."""

    def __init__(self, source: str, target: str, seed: int) -> None:
        self._addresses = ip_address(source).packed + ip_address(target).packed
        self._is_ipv6 = ":" in source
        self._random = random.Random(seed)

    def plain_flow(self, port: int, count: int) -> Iterator[bytes]:
        """Segments that follow each other."""
        return self._segments(port, self._looks((Look(),), count))

    def tcp_flow(self, port: int, count: int) -> Iterator[bytes]:
        """Segments that follow each other, where nothing about them is unusual."""
        return self._segments(port, self._looks((*TCP_LOOKS, *IP_LOOKS), count))

    def _segments(self, port: int, looks: Iterator[Look]) -> Iterator[bytes]:
        sequence = self._random.choice((1, (1 << 32) - 3 * SEGMENT))
        for look in looks:
            sequence = (sequence + look.skip) % (1 << 32)
            payload = self._random.randbytes(look.size)
            yield self._ip(TCP, self._tcp(port, sequence, payload, look), look)
            sequence = (sequence + len(payload)) % (1 << 32)

    def udp_flow(self, port: int, count: int) -> Iterator[bytes]:
        """Datagrams of one size, where nothing about them is unusual."""
        for look in self._looks((*UDP_LOOKS, *IP_LOOKS), count):
            yield self._ip(UDP, self._udp(port, self._random.randbytes(look.size), look), look)

    def parts(self, port: int) -> Iterator[bytes]:
        """A datagram in three parts."""
        body = self._udp(port, self._random.randbytes(1992), Look())
        for start in range(0, len(body), 800):
            part, more = body[start : start + 800], start + 800 < len(body)
            if self._is_ipv6:
                head = struct.pack("!BBHI", UDP, 0, start | more, port)
                yield self._ip(FRAGMENT, head + part, Look())
            else:
                fragment = start // 8 | (_MORE if more else 0)
                yield self._ip(UDP, part, Look(fragment=fragment, identity=port))

    def other(self, protocol: int) -> bytes:
        """A packet of a protocol that nobody on the way looks into."""
        return self._ip(protocol, self._random.randbytes(200), Look())

    def _looks(self, unusual: Sequence[Look], count: int) -> Iterator[Look]:
        """Often the usual look, else an unusual one for up to three packets."""
        identity = self._random.randrange(1 << 16)
        look, left = Look(), 0
        for _ in range(count):
            if not left:
                is_unusual = self._random.random() < TWISTED
                look = self._random.choice(unusual) if is_unusual else Look()
                left = self._random.randrange(1, 4)
            left -= 1
            identity = (identity + look.counts) & 0xFFFF
            yield replace(look, identity=identity)

    def _tcp(self, port: int, sequence: int, payload: bytes, look: Look) -> bytes:
        words = (5 + len(look.options) // 4) << 4 | look.reserved
        head = struct.pack("!HHIIBB", port, port, sequence, look.acknowledged, words, look.flags)
        tail = struct.pack("!H", look.urgent) + look.options + payload
        return self._summed(TCP, head + struct.pack("!H", look.window), tail, look)

    def _udp(self, port: int, payload: bytes, look: Look) -> bytes:
        length = 8 + len(payload) + look.claimed
        return self._summed(UDP, struct.pack("!HHH", port, port, max(length, 8)), payload, look)

    def _summed(self, protocol: int, before: bytes, after: bytes, look: Look) -> bytes:
        """Puts the checksum between what stands before and after it."""
        length = len(before) + 2 + len(after)
        pseudo = self._addresses + length.to_bytes(4, "big") + protocol.to_bytes(4, "big")
        total = checksum(pseudo + before + bytes(2) + after)
        if protocol == UDP and not total:
            total = 0xFFFF
        total = {"right": total, "wrong": total ^ 0x0F00, "none": 0}[look.checksum]
        return before + total.to_bytes(2, "big") + after

    def _ip(self, protocol: int, body: bytes, look: Look) -> bytes:
        if self._is_ipv6:
            if look.extension is not None:
                # Options that stand for nothing fill the header.
                body = bytes((protocol, 0, 1, 4, 0, 0, 0, 0)) + body
                protocol = look.extension
            word = 6 << 28 | look.tos << 20 | look.label
            fixed = struct.pack("!IHBB", word, len(body), protocol, look.ttl)
            return fixed + self._addresses + body
        header = 20 + len(look.ip_options)
        first = struct.pack("!BBH", 4 << 4 | header // 4, look.tos, header + len(body))
        second = struct.pack("!HHBBH", look.identity, look.fragment, look.ttl, protocol, 0)
        return _with_sum(first + second + self._addresses + look.ip_options) + body


def mixed(ends: Sequence[tuple[str, str]], first_port: int, seed: int) -> list[tuple[int, bytes]]:
    """Packets of many flows with the number of their flow, shuffled among but not within flows."""
    flows: list[list[bytes]] = []
    for source, target in ends:
        maker = Maker(source, target, seed)
        for _ in range(5):
            flows.append(list(maker.tcp_flow(first_port + len(flows), 30)))
            flows.append(list(maker.udp_flow(first_port + len(flows), 20)))
        flows += [list(maker.parts(first_port + len(flows) + n)) for n in range(3)]
        flows += [[maker.other(protocol) for _ in range(3)] for protocol in (ESP, SCTP)]
    order = [number for number, flow in enumerate(flows) for _ in flow]
    # Mostly some of a flow in a row, so that there is something to join.
    runs = [order[at : at + 6] for at in range(0, len(order), 6)]
    random.Random(seed).shuffle(runs)
    left = [iter(flow) for flow in flows]
    return [(number, next(left[number])) for run in runs for number in run]


def _with_sum(header: bytes) -> bytes:
    """An IPv4 header with the right checksum."""
    total = checksum(header[:10] + bytes(2) + header[12:])
    return header[:10] + total.to_bytes(2, "big") + header[12:]


def main() -> int:
    parser = argparse.ArgumentParser(description="sends packets as they are")
    parser.add_argument("device")
    parser.add_argument("router", help="hardware address of the next router")
    parser.add_argument("packets", type=Path)
    given = parser.parse_args()
    router = bytes.fromhex(given.router.replace(":", ""))
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as sock:
        for number, line in enumerate(given.packets.read_text().split()):
            packet = bytes.fromhex(line)
            kind = 0x86DD if packet[0] >> 4 == 6 else 0x0800
            sock.sendto(packet, (given.device, kind, 0, 0, router))
            if number % BURST == BURST - 1:
                time.sleep(PAUSE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
