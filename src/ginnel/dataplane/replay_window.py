"""The replay window of one data key: each packet-id passes once, old ones never.

Not responsible for the packet-id's place in a packet, nor for the order of check, open and mark:
the caller marks an id only after its packet has authenticated.
"""

SWEEP_INTERVAL = 5.0
"""Seconds between two looks for ids that have grown old (protocol-facts 10)."""


class ReplayWindow:
    """A window of ``size`` ids that ends at the highest one marked (protocol-facts 10).

    ``backtrack`` seconds after an id was marked, no id below it passes any more, so a gap does not
    stay open for ever; 0 switches that off. A ``size`` of 0 demands ids without gaps. An id of 0
    never passes.
    """

    __slots__ = ("_backtrack", "_floor", "_highest", "_marked", "_size", "_swept_at")

    def __init__(self, size: int, backtrack: float) -> None:
        self._size = size
        self._backtrack = backtrack
        self._highest = 0
        self._floor = 0
        self._marked: dict[int, float] = {}
        self._swept_at = 0.0

    @property
    def highest(self) -> int:
        """The highest id marked, 0 before the first."""
        return self._highest

    def check(self, packet_id: int, now: float) -> bool:
        """Tells whether the id may pass; changes nothing that a forged packet could abuse."""
        if packet_id <= 0:
            return False
        if self._size == 0:
            return self._highest == 0 or packet_id == self._highest + 1
        if packet_id > self._highest:
            return True
        self._sweep(now)
        return (
            packet_id > self._floor
            and packet_id > self._highest - self._size
            and packet_id not in self._marked
        )

    def mark(self, packet_id: int, now: float) -> None:
        """Notes that the packet of this id authenticated; ``check`` must have passed it."""
        self._highest = max(self._highest, packet_id)
        if self._size:
            self._marked[packet_id] = now
            if len(self._marked) >= 2 * self._size:
                self._forget()

    def _forget(self) -> None:
        """Drops what the window has left behind, which ``check`` does not ask for any more."""
        oldest = self._highest - self._size + 1
        self._marked = {at: when for at, when in self._marked.items() if at >= oldest}

    def _sweep(self, now: float) -> None:
        """Closes everything up to the highest id that was marked too long ago."""
        if not self._backtrack or now - self._swept_at < SWEEP_INTERVAL:
            return
        self._swept_at = now
        limit = now - self._backtrack
        for packet_id, marked_at in self._marked.items():
            if marked_at < limit:
                self._floor = max(self._floor, packet_id)


class TimedWindow:
    """A window for ids with a time, which start anew when the time goes up (protocol-facts 10).

    A lower time than the last never passes. Ids in their short form have the time 0.
    """

    __slots__ = ("_backtrack", "_ids", "_size", "_time")

    def __init__(self, size: int, backtrack: float) -> None:
        self._size = size
        self._backtrack = backtrack
        self._time = 0
        self._ids = ReplayWindow(size, backtrack)

    def check(self, time: int, packet_id: int, now: float) -> bool:
        """Tells whether the id may pass."""
        if time == self._time:
            return self._ids.check(packet_id, now)
        is_next = packet_id == 1 if self._size == 0 else packet_id > 0
        return time > self._time and is_next

    def mark(self, time: int, packet_id: int, now: float) -> None:
        """Notes that the packet of this id authenticated; ``check`` must have passed it."""
        if time > self._time:
            self._time = time
            self._ids = ReplayWindow(self._size, self._backtrack)
        self._ids.mark(packet_id, now)
