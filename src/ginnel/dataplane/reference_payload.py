"""What the reference engine does to one peer's payloads beside sealing them.

Order on the way out: packet, address translation, compression framing, fragment header. Not
responsible for descriptors, keys or counters.
"""

from ginnel.core.payload import PayloadTerms
from ginnel.dataplane.reference_fragment import Fragments
from ginnel.dataplane.reference_framing import frame, unframe
from ginnel.dataplane.reference_rules import Direction, ip_offset, translate, type_of_service

INNER_SLACK = 128
"""How much longer than our device's MTU a packet of the peer may become."""
_NEVER_SHAPED = 0.0


class Payload:
    """The state of one peer."""

    def __init__(self, terms: PayloadTerms, *, mtu: int, is_ethernet: bool) -> None:
        self._terms = terms
        self._is_ethernet = is_ethernet
        self._limit = max(mtu, 1500) + INNER_SLACK
        # Framing adds up to two bytes to what fragments carry.
        self._fragments = Fragments(terms.fragment, self._limit + 2) if terms.fragment else None
        self.ready_at = _NEVER_SHAPED
        """The instant from which ``shaper`` lets more be sent."""
        self.refused = 0
        """First byte of the payload that was last refused for its framing."""

    def wrap(self, payload: bytes) -> list[bytes]:
        """What is to be sealed for a payload; empty when it is too long to be sent."""
        framed = frame(self._terms.framing, self.translate(payload, Direction.OUT))
        return [framed] if self._fragments is None else self._fragments.cut(framed)

    def unwrap(self, payload: bytes, now: float) -> bytes | None:
        """A received payload as its sender had it; None while parts of it are missing.

        Raises Malformed with the reason to count the drop by.
        """
        whole = payload if self._fragments is None else self._fragments.take(payload, now)
        if whole is None:
            return None
        terms = self._terms
        self.refused = whole[0] if whole else 0
        return unframe(terms.framing, whole, decompress=terms.decompress, limit=self._limit)

    def translate(self, packet: bytes, direction: Direction) -> bytes:
        """Translates the addresses of a packet or of the one in a frame."""
        rules = self._terms.client_nat
        start = self._ip_at(packet) if rules else None
        if start is None:
            return packet
        return packet[:start] + translate(rules, packet[start:], direction)

    def tos_of(self, packet: bytes) -> int:
        """Type of service of the datagram that carries a packet from tun."""
        start = self._ip_at(packet) if self._terms.passtos else None
        return 0 if start is None else type_of_service(packet[start:])

    def charge(self, size: int, now: float) -> None:
        """Notes that so many bytes were sent."""
        if self._terms.shaper:
            self.ready_at = max(self.ready_at, now) + size / self._terms.shaper

    @property
    def is_shaped(self) -> bool:
        return self._terms.shaper > 0

    def _ip_at(self, packet: bytes) -> int | None:
        return ip_offset(packet) if self._is_ethernet else 0
