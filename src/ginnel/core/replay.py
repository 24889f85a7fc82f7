"""Replay window over (time, number) pairs of wrapped control packets.

Responsible for: accepting each authentic packet once (protocol-facts 2 and 10).
Not responsible for: data packets, whose window lives in the data plane.
"""

REPLAY_WINDOW = 64
"""Default of ``replay-window``."""


class ReplayWindow:
    """Remembers which numbers were seen at the newest time.

    A lower time than the newest is refused, a higher one starts the window anew. Ask only after the
    packet has authenticated: ``accept`` moves the window.
    """

    __slots__ = ("_highest", "_seen", "_size", "_time")

    def __init__(self, size: int = REPLAY_WINDOW) -> None:
        self._size = size
        self._time = -1
        self._highest = 0
        self._seen = 0
        """Bit n is set when ``highest - n`` was seen."""

    def accept(self, unix_time: int, number: int) -> bool:
        """Tells whether the pair is new, and marks it as seen."""
        if number == 0 or unix_time < self._time:
            return False
        if self._size == 0:
            return self._accept_next(unix_time, number)
        if unix_time > self._time:
            self._time, self._highest, self._seen = unix_time, number, 1
            return True
        ahead = number - self._highest
        if ahead > 0:
            # A jump past the window clears it; shifting by the jump itself could be 2**32 bits.
            kept = self._seen << ahead if ahead < self._size else 0
            self._seen = (kept | 1) & ((1 << self._size) - 1)
            self._highest = number
            return True
        if -ahead >= self._size:
            return False
        bit = 1 << -ahead
        if self._seen & bit:
            return False
        self._seen |= bit
        return True

    def _accept_next(self, unix_time: int, number: int) -> bool:
        """The rule of ``replay-window 0``: no gaps, no reordering."""
        first = self._time < 0
        expected = self._highest + 1 if unix_time == self._time else 1
        if not first and number != expected:
            return False
        self._time, self._highest = unix_time, number
        return True
