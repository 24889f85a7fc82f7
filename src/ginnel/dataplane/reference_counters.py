"""Counters of one peer in the reference engine.

Not responsible for what is counted.
"""

from collections import Counter
from collections.abc import Sequence

from ginnel.dataplane.api import PeerStats

Refused = Sequence[tuple[str, Sequence[bytes]]]
"""Packets that a device or a link did not take, by reason."""


class PeerCounters:
    """Mutable counters behind PeerStats: of each pair the packets, then the bytes."""

    def __init__(self) -> None:
        self.tun_read = [0, 0]
        self.tun_write = [0, 0]
        self.link_read = [0, 0]
        self.link_write = [0, 0]
        self.drops: Counter[str] = Counter()

    def count(self, pair: list[int], packets: Sequence[bytes], refused: Refused = ()) -> list[int]:
        """Counts packets in a pair, but the refused among them as drops; returns what it added."""
        added = [len(packets), sum(map(len, packets))]
        for reason, lost in refused:
            self.drops[reason] += len(lost)
            added[0] -= len(lost)
            added[1] -= sum(map(len, lost))
        pair[0] += added[0]
        pair[1] += added[1]
        return added

    def snapshot(self) -> PeerStats:
        return PeerStats(
            tun_read_packets=self.tun_read[0],
            tun_read_bytes=self.tun_read[1],
            tun_write_packets=self.tun_write[0],
            tun_write_bytes=self.tun_write[1],
            link_read_packets=self.link_read[0],
            link_read_bytes=self.link_read[1],
            link_write_packets=self.link_write[0],
            link_write_bytes=self.link_write[1],
            drops=tuple(sorted(self.drops.items())),
        )
