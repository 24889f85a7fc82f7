"""Keeps what a management client has yet to read, within bounds.

A client that does not read loses lines that only inform (log, traffic), then the connection: the
program never waits for it and never grows for it. Which line is which is ``session``'s decision.
"""

from collections import deque

PAUSE_BYTES = 64 * 1024
"""With more than this waiting, no further command of the client is carried out."""

DROP_BYTES = 256 * 1024
"""With more than this waiting, lines that only inform are dropped."""

CLOSE_BYTES = 1024 * 1024
"""With more than this waiting, the next line that may not be lost costs the client the connection.
Replies do not count towards it: they are bounded by the histories and come one at a time."""


class Outbox:
    """A queue of bytes for one client."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self.dropped = 0
        """Lines that were dropped since this client came."""
        self.overflowed = False
        """True when the client must go."""

    def __len__(self) -> int:
        return self._size

    @property
    def paused(self) -> bool:
        """True while commands of the client have to wait."""
        return self._size > PAUSE_BYTES

    def reply(self, line: str) -> None:
        """Adds a line of a reply."""
        self._add(line)

    def raw(self, text: bytes) -> None:
        """Adds bytes without a line end, such as a prompt."""
        self._chunks.append(text)
        self._size += len(text)

    def inform(self, line: str) -> None:
        """Adds a line that a slow client can do without."""
        if self._size > DROP_BYTES:
            self.dropped += 1
            return
        self._add(line)

    def notify(self, line: str) -> None:
        """Adds a line that the client must get."""
        if self._size > CLOSE_BYTES:
            self.overflowed = True
            return
        self._add(line)

    def peek(self, limit: int) -> bytes:
        """Returns the oldest bytes, about ``limit`` of them; empty when there are none."""
        taken = bytearray()
        for chunk in self._chunks:
            taken += chunk
            if len(taken) >= limit:
                break
        return bytes(taken[:limit])

    def sent(self, count: int) -> None:
        """Forgets the oldest ``count`` bytes: they are on their way."""
        assert count <= self._size, "more was sent than there was"
        self._size -= count
        while count:
            chunk = self._chunks.popleft()
            if len(chunk) > count:
                self._chunks.appendleft(chunk[count:])
                return
            count -= len(chunk)

    def _add(self, line: str) -> None:
        self.raw(line.encode("utf-8", "surrogateescape") + b"\r\n")
