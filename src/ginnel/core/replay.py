"""Replay window over (time, number) pairs of wrapped control packets.

Responsible for: accepting each authentic packet once (protocol-facts 2 and 10).
Not responsible for: data packets, whose window lives in the data plane.
"""

REPLAY_WINDOW = 64
"""Default of ``replay-window``."""


class ReplayWindow:
    """Remembers which numbers were seen at the newest time.

    A lower time than the newest is refused, a higher one starts the window anew. Ask only after the
    packet has authenticated: ``accept`` moves the window, ``is_new`` does not.
    """

    __slots__ = ("_highest", "_seen", "_size", "_time")

    def __init__(self, size: int = REPLAY_WINDOW) -> None:
        self._size = size
        self._time = -1
        self._highest = 0
        self._seen = 0
        """Bit n is set when ``highest - n`` was seen."""

    def is_new(self, unix_time: int, number: int) -> bool:
        """Tells whether the pair would be accepted, and changes nothing."""
        if number == 0 or unix_time < self._time:
            return False
        if self._size == 0:
            # The rule of ``replay-window 0``: no gaps, no reordering.
            expected = self._highest + 1 if unix_time == self._time else 1
            return self._time < 0 or number == expected
        if unix_time > self._time or number > self._highest:
            return True
        behind = self._highest - number
        return behind < self._size and not self._seen & 1 << behind

    def accept(self, unix_time: int, number: int) -> bool:
        """Tells whether the pair is new, and marks it as seen."""
        if not self.is_new(unix_time, number):
            return False
        ahead = number - self._highest
        if unix_time > self._time or self._size == 0:
            self._time, self._highest, self._seen = unix_time, number, 1
        elif ahead > 0:
            # A jump past the window clears it; shifting by the jump itself could be 2**32 bits.
            kept = self._seen << ahead if ahead < self._size else 0
            self._seen = (kept | 1) & ((1 << self._size) - 1)
            self._highest = number
        else:
            self._seen |= 1 << -ahead
        return True
