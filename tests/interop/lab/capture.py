"""Captures packets with tcpdump and reads them back, to show what is on a wire.

Reads classic pcap files only, of Ethernet and raw-IP devices. Not a protocol analyser.
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from tests.deadlines import wait_until
from tests.interop.lab.namespaces import Namespace
from tests.interop.lab.process import Process

LINKTYPE_ETHERNET = 1
LINKTYPE_RAW = 101
ICMP = 1
UDP = 17
ICMPV6 = 58
BUFFER_KIB = 32 << 10
"""Holds what arrives at full speed while tcpdump does not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One captured IP packet, with the link-layer header that stood before it."""

    link_header: bytes
    source: IPv4Address | IPv6Address
    destination: IPv4Address | IPv6Address
    protocol: int
    payload: bytes
    """What follows the IP header."""
    whole: bytes
    """From the IP header on."""


class Capture:
    """A running tcpdump on one device; stop it, then read the packets."""

    def __init__(self, process: Process, path: Path) -> None:
        self._process = process
        self.path = path

    def stop(self) -> list[Packet]:
        """Ends the capture and returns all packets, oldest first."""
        self._process.stop()
        return read_pcap(self.path)

    def wait_packets(self, wanted: int, *, payload_from: int = 0, timeout: float = 40.0) -> None:
        """Waits for that many packets with at least so many bytes after the IP header."""
        wait_until(
            lambda: sum(len(p.payload) >= payload_from for p in read_pcap(self.path)) >= wanted,
            timeout=timeout,
            what=f"{wanted} captured packets in {self.path.name}",
        )


def start_capture(
    namespace: Namespace, device: str, expression: str, name: str, *, arriving: bool = False
) -> Capture:
    """Starts tcpdump and returns when it listens; it may see only what arrives at the device."""
    path = namespace.directory / f"{name}.pcap"
    argv = ["tcpdump", "-n", "-U", "--immediate-mode", "-Z", "root", "-i", device]
    argv += ["-Q", "in", f"--buffer-size={BUFFER_KIB}"] if arriving else []
    process = namespace.spawn([*argv, "-w", str(path), expression], name=f"tcpdump-{name}")
    process.wait_for("listening on")
    return Capture(process, path)


def read_pcap(path: Path) -> list[Packet]:
    """Reads complete records; a record that tcpdump is still writing is left for later."""
    content = path.read_bytes() if path.exists() else b""
    if len(content) < 24:
        return []
    order = "<" if content[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    link_type = struct.unpack_from(f"{order}I", content, 20)[0]
    packets: list[Packet] = []
    offset = 24
    while offset + 16 <= len(content):
        length = struct.unpack_from(f"{order}I", content, offset + 8)[0]
        offset += 16
        if offset + length > len(content):
            break
        packet = _decode(content[offset : offset + length], link_type)
        if packet is not None:
            packets.append(packet)
        offset += length
    return packets


def _decode(frame: bytes, link_type: int) -> Packet | None:
    header_size = 14 if link_type == LINKTYPE_ETHERNET else 0
    header, body = frame[:header_size], frame[header_size:]
    if len(body) >= 20 and body[0] >> 4 == 4:
        return Packet(
            link_header=header,
            source=IPv4Address(body[12:16]),
            destination=IPv4Address(body[16:20]),
            protocol=body[9],
            payload=body[(body[0] & 0x0F) * 4 :],
            whole=body,
        )
    if len(body) >= 40 and body[0] >> 4 == 6:
        return Packet(
            link_header=header,
            source=IPv6Address(body[8:24]),
            destination=IPv6Address(body[24:40]),
            protocol=body[6],
            payload=body[40:],
            whole=body,
        )
    return None


def same_address(one: IPv4Address | IPv6Address, text: str) -> bool:
    return one == ip_address(text)
