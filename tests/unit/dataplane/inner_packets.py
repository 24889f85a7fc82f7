"""Inner IP packets with right checksums, for tests of every data plane."""

import ipaddress

from ginnel.core.types import IPAddress

SYN, ACK = 0x02, 0x10


def checksum(*parts: bytes) -> int:
    """The Internet checksum over the parts, each padded to 16 bits on its own."""
    total = 0
    for part in parts:
        padded = part + b"\x00" * (len(part) % 2)
        total += sum(int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip_packet(source: str, target: str, protocol: int, body: bytes, *, identity: int = 1) -> bytes:
    """An IPv4 or IPv6 packet around a transport segment."""
    start, end = ipaddress.ip_address(source), ipaddress.ip_address(target)
    if start.version == 6:
        fixed = b"\x60\x00\x00\x00" + len(body).to_bytes(2, "big") + bytes((protocol, 64))
        return fixed + start.packed + end.packed + body
    head = bytearray(20)
    head[0] = 0x45
    head[2:4] = (20 + len(body)).to_bytes(2, "big")
    head[4:6] = (identity & 0xFFFF).to_bytes(2, "big")
    head[6] = 0x40
    head[8], head[9] = 64, protocol
    head[12:16], head[16:20] = start.packed, end.packed
    head[10:12] = checksum(bytes(head)).to_bytes(2, "big")
    return bytes(head) + body


def udp_packet(
    source: str, target: str, payload: bytes, *, port: int = 7, identity: int = 1
) -> bytes:
    """A UDP datagram from port 40000."""
    length = (8 + len(payload)).to_bytes(2, "big")
    head = (40000).to_bytes(2, "big") + port.to_bytes(2, "big") + length
    total = checksum(
        pseudo_header(source, target, 17, 8 + len(payload)), head + b"\x00\x00" + payload
    )
    body = head + (total or 0xFFFF).to_bytes(2, "big") + payload
    return ip_packet(source, target, 17, body, identity=identity)


def tcp_packet(
    source: str,
    target: str,
    *,
    flags: int = SYN,
    options: bytes = b"",
    payload: bytes = b"",
    sequence: int = 1,
) -> bytes:
    """A TCP segment; options are padded to 32 bits."""
    options += b"\x00" * (-len(options) % 4)
    head = (40000).to_bytes(2, "big") + (80).to_bytes(2, "big") + sequence.to_bytes(4, "big")
    head += bytes(4) + bytes(((20 + len(options)) // 4 << 4, flags)) + (65535).to_bytes(2, "big")
    tail = bytes(2) + options + payload
    length = len(head) + 2 + len(tail)
    total = checksum(pseudo_header(source, target, 6, length), head + bytes(2) + tail)
    return ip_packet(source, target, 6, head + total.to_bytes(2, "big") + tail)


def mss_option(value: int) -> bytes:
    return b"\x02\x04" + value.to_bytes(2, "big")


def pseudo_header(source: str, target: str, protocol: int, length: int) -> bytes:
    start, end = ipaddress.ip_address(source), ipaddress.ip_address(target)
    return _pseudo(start, end, protocol, length)


def transport_checksum_is_right(packet: bytes) -> bool:
    """Sums a packet of ``tcp_packet`` or ``udp_packet`` again, as its receiver would."""
    if packet[0] >> 4 == 4:
        start, end = ipaddress.ip_address(packet[12:16]), ipaddress.ip_address(packet[16:20])
        protocol, body = packet[9], packet[20:]
    else:
        start, end = ipaddress.ip_address(packet[8:24]), ipaddress.ip_address(packet[24:40])
        protocol, body = packet[6], packet[40:]
    return checksum(_pseudo(start, end, protocol, len(body)), body) == 0


def _pseudo(start: IPAddress, end: IPAddress, protocol: int, length: int) -> bytes:
    return start.packed + end.packed + length.to_bytes(4, "big") + bytes((0, 0, 0, protocol))
