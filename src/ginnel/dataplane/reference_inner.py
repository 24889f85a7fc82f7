"""Looks into the IP packets inside the tunnel: destination, MSS of TCP SYNs; and the iroute table.

Bytes from either side are hostile here: whatever does not parse is left as it is. Not responsible
for what happens to a packet.
"""

from collections.abc import Iterator

from ginnel.core.types import IPNetwork, PeerId

PROTOCOL_TCP = 6
_TCP_SYN = 0x02
_PLAIN_IPV4 = 0x45
"""First byte of an IPv4 packet without options."""
_OPTION_END, _OPTION_NOP, _OPTION_MSS = 0, 1, 2


def destination(packet: bytes) -> bytes | None:
    """Destination address, 4 or 16 bytes; None for what is not a whole IP header."""
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        return packet[16:20]
    if len(packet) >= 40 and packet[0] >> 4 == 6:
        return packet[24:40]
    return None


def source(packet: bytes) -> bytes | None:
    """Source address, 4 or 16 bytes; None for what is not a whole IP header."""
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        return packet[12:16]
    if len(packet) >= 40 and packet[0] >> 4 == 6:
        return packet[8:24]
    return None


def ends(packet: bytes) -> bytes:
    """Both addresses with version and type of service; empty for what is not a whole IP header.

    Packets that have them in common go the same way.
    """
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        return packet[:2] + packet[12:20]
    if len(packet) >= 40 and packet[0] >> 4 == 6:
        return packet[:2] + packet[8:40]
    return b""


def clamp_mss(packet: bytes, mss_ipv4: int, mss_ipv6: int) -> bytes:
    """Lowers the MSS option of a TCP SYN (protocol-facts 14); 0 leaves that family alone."""
    if len(packet) > 33 and packet[0] == _PLAIN_IPV4 and not packet[33] & _TCP_SYN:
        return packet  # whatever it is: nearly all are told here
    located = _locate_tcp(packet)
    if located is None:
        return packet
    start, limit = located, mss_ipv4 if packet[0] >> 4 == 4 else mss_ipv6
    if not limit or len(packet) < start + 20 or not packet[start + 13] & _TCP_SYN:
        return packet
    end = start + (packet[start + 12] >> 4) * 4
    if end > len(packet):
        return packet
    changed: bytearray | None = None
    for at in _mss_options(packet, start + 20, end):
        old = int.from_bytes(packet[at + 2 : at + 4], "big")
        if old > limit:
            changed = bytearray(packet) if changed is None else changed
            _replace_word(changed, at + 2, limit, start, start + 16)
    return packet if changed is None else bytes(changed)


class RouteTable:
    """Prefixes of both families to peers; the longest prefix wins."""

    def __init__(self) -> None:
        self._prefixes: dict[int, dict[int, dict[int, PeerId]]] = {4: {}, 16: {}}
        self._of_peer: dict[PeerId, set[IPNetwork]] = {}

    def add(self, prefix: IPNetwork, peer_id: PeerId) -> None:
        """Adds a prefix, or gives it to another peer."""
        networks, key = self._locate(prefix)
        if key in networks:
            self._of_peer[networks[key]].discard(prefix)
        networks[key] = peer_id
        self._of_peer.setdefault(peer_id, set()).add(prefix)

    def remove(self, prefix: IPNetwork, peer_id: PeerId) -> None:
        """Takes a prefix from a peer, if it is the peer's."""
        networks, key = self._locate(prefix)
        if networks.get(key) == peer_id:
            del networks[key]
            self._of_peer[peer_id].discard(prefix)

    def remove_peer(self, peer_id: PeerId) -> None:
        """Forgets all prefixes of a peer."""
        for prefix in self._of_peer.pop(peer_id, set()):
            networks, key = self._locate(prefix)
            del networks[key]

    def _locate(self, prefix: IPNetwork) -> tuple[dict[int, PeerId], int]:
        family = self._prefixes[len(prefix.network_address.packed)]
        shift = prefix.max_prefixlen - prefix.prefixlen
        return family.setdefault(shift, {}), int(prefix.network_address) >> shift

    def find(self, address: bytes) -> PeerId | None:
        """The peer whose prefix matches the packed address best."""
        family = self._prefixes[len(address)]
        number = int.from_bytes(address, "big")
        for shift in sorted(family):
            found = family[shift].get(number >> shift)
            if found is not None:
                return found
        return None


def _locate_tcp(packet: bytes) -> int | None:
    """Offset of the TCP header of a first fragment; IPv6 only without extension headers."""
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        length = (packet[0] & 0x0F) * 4
        is_first = not int.from_bytes(packet[6:8], "big") & 0x1FFF
        return length if length >= 20 and is_first and packet[9] == PROTOCOL_TCP else None
    if len(packet) >= 40 and packet[0] >> 4 == 6 and packet[6] == PROTOCOL_TCP:
        return 40
    return None


def _mss_options(packet: bytes, at: int, end: int) -> Iterator[int]:
    """Offsets of the well-formed MSS options between two offsets; stops at nonsense."""
    while at < end:
        kind = packet[at]
        if kind == _OPTION_END:
            return
        if kind == _OPTION_NOP:
            at += 1
            continue
        if at + 1 >= end or packet[at + 1] < 2 or at + packet[at + 1] > end:
            return
        if kind == _OPTION_MSS and packet[at + 1] == 4:
            yield at
        at += packet[at + 1]


def _replace_word(packet: bytearray, at: int, word: int, start: int, checksum_at: int) -> None:
    """Writes a 16-bit word of a TCP header and corrects its checksum (RFC 1624, equation 3).

    A word at an odd offset is summed with its bytes exchanged.
    """
    old = int.from_bytes(packet[at : at + 2], "big")
    packet[at : at + 2] = word.to_bytes(2, "big")
    if (at - start) % 2:
        old, word = _swapped(old), _swapped(word)
    checksum = int.from_bytes(packet[checksum_at : checksum_at + 2], "big")
    total = (~checksum & 0xFFFF) + (~old & 0xFFFF) + word
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    packet[checksum_at : checksum_at + 2] = (~total & 0xFFFF).to_bytes(2, "big")


def _swapped(word: int) -> int:
    return (word & 0xFF) << 8 | word >> 8
