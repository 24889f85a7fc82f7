"""A wire between two machines with a virtual clock: it loses, doubles, reorders and corrupts.

Everything follows from a seed, so that a failure can be run again.
"""

import heapq
from dataclasses import dataclass
from random import Random

from ginnel.core.types import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Probabilities for each packet, and the delay in seconds."""

    loss: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    delay: float = 0.01
    jitter: float = 0.0
    """Extra delay, up to this; more than the gap between packets reorders them."""


class Wire:
    """One direction of a link."""

    def __init__(self, seed: int, faults: Faults) -> None:
        self._random = Random(seed)
        self.faults = faults
        self._queue: list[tuple[Instant, int, bytes]] = []
        self._count = 0
        self._drop_next = 0
        self.cut = False
        """While True nothing gets through."""
        self.sent: list[bytes] = []
        """Every packet that was put on the wire; cleared by tests that run long."""

    def drop_next(self, count: int) -> None:
        """Loses the next packets for sure."""
        self._drop_next += count

    def send(self, packet: bytes, now: Instant) -> None:
        """Puts a packet on the wire."""
        self.sent.append(packet)
        if self._drop_next:
            self._drop_next -= 1
            return
        faults, draw = self.faults, self._random
        if self.cut or draw.random() < faults.loss:
            return
        copies = 2 if draw.random() < faults.duplicate else 1
        for _ in range(copies):
            carried = packet
            if draw.random() < faults.corrupt:
                position = draw.randrange(len(packet))
                flipped = packet[position] ^ (1 << draw.randrange(8))
                carried = packet[:position] + bytes((flipped,)) + packet[position + 1 :]
            at = Instant(now + faults.delay + draw.random() * faults.jitter)
            self._count += 1
            heapq.heappush(self._queue, (at, self._count, carried))

    def arrived(self, now: Instant) -> list[bytes]:
        """Takes what has arrived by now."""
        packets = []
        while self._queue and self._queue[0][0] <= now:
            packets.append(heapq.heappop(self._queue)[2])
        return packets

    def next_arrival(self) -> Instant | None:
        """When the next packet arrives."""
        return self._queue[0][0] if self._queue else None
