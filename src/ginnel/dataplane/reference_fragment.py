"""``fragment`` of the reference engine: cut payloads, and put them together (protocol-facts 14).

What is kept of unfinished payloads is bounded in number, size and age.
"""

from ginnel.core.errors import Malformed
from ginnel.dataclass import dataclass, field

HEADER_LENGTH = 4
MAX_PARTS = 32
MAX_UNFINISHED = 25
MAX_AGE = 10.0
_UNIT = 4
"""Sizes on the wire count in units of this many bytes."""
_WHOLE, _NOT_LAST, _LAST = 0, 1, 2
_ALL_PARTS = 2**MAX_PARTS - 1


@dataclass(slots=True)
class _Unfinished:
    size: int
    touched_at: float
    parts: int = 0
    """One bit for each part that has come; those behind the last one count as come."""
    body: bytearray = field(default_factory=bytearray)


class Fragments:
    """One peer's state, both directions."""

    def __init__(self, chunk: int, limit: int) -> None:
        """``chunk`` is the most bytes behind a header, ``limit`` the longest payload we take."""
        self._size = max(chunk // _UNIT * _UNIT, _UNIT)
        self._limit = limit
        self._sequence = 0
        self._unfinished: dict[int, _Unfinished] = {}

    def cut(self, payload: bytes) -> list[bytes]:
        """The payload behind a header, in parts when it is too long; empty when it cannot go."""
        if len(payload) <= self._size:
            return [bytes(HEADER_LENGTH) + payload]
        count = -(-len(payload) // self._size)
        if count > MAX_PARTS:
            return []
        size = -(-len(payload) // count)
        size = -(-size // _UNIT) * _UNIT
        self._sequence = (self._sequence + 1) % 256
        starts = range(0, len(payload), size)
        return [
            self._header(index, size, is_last=index + 1 == len(starts))
            + payload[start : start + size]
            for index, start in enumerate(starts)
        ]

    def take(self, packet: bytes, now: float) -> bytes | None:
        """A payload that is whole now; None while parts are missing. Raises Malformed."""
        if len(packet) < HEADER_LENGTH:
            raise Malformed("fragment")
        flags, part = int.from_bytes(packet[:HEADER_LENGTH], "big"), packet[HEADER_LENGTH:]
        kind, sequence, index = flags & 3, flags >> 2 & 0xFF, flags >> 10 & 0x1F
        if kind == _WHOLE and not sequence and not index:
            return part
        if kind not in (_NOT_LAST, _LAST):
            raise Malformed("fragment")
        size = len(part) if kind == _NOT_LAST else (flags >> 15 & 0x3FFF) * _UNIT
        end = index * size + len(part)
        if not 0 < len(part) <= size or size % _UNIT or end > self._limit:
            raise Malformed("fragment")
        held = self._place(sequence, size, now)
        held.body.extend(bytes(max(end - len(held.body), 0)))
        held.body[index * size : end] = part
        held.touched_at = now
        held.parts |= (_ALL_PARTS << index if kind == _LAST else 1 << index) & _ALL_PARTS
        if held.parts != _ALL_PARTS:
            return None
        return bytes(self._unfinished.pop(sequence).body)

    @property
    def unfinished(self) -> int:
        """How many unfinished payloads are kept."""
        return len(self._unfinished)

    def _place(self, sequence: int, size: int, now: float) -> _Unfinished:
        """The payload that a part belongs to, or a new one in place of the oldest."""
        kept = self._unfinished
        for gone in [number for number, held in kept.items() if now - held.touched_at > MAX_AGE]:
            del kept[gone]
        found = kept.get(sequence)
        if found is not None and found.size == size:
            return found
        if found is None and len(kept) >= MAX_UNFINISHED:
            del kept[min(kept, key=lambda number: kept[number].touched_at)]
        kept[sequence] = _Unfinished(size, now)
        return kept[sequence]

    def _header(self, index: int, size: int, *, is_last: bool) -> bytes:
        flags = self._sequence << 2 | index << 10
        flags |= _LAST | size // _UNIT << 15 if is_last else _NOT_LAST
        return flags.to_bytes(HEADER_LENGTH, "big")
