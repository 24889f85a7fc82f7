"""Keeps what a management client has yet to read, within bounds.

A client that does not read loses lines that only inform (log, traffic), then the connection: the
program never waits for it and never grows for it. Which line is which is ``session``'s decision.
"""

from collections import deque
from collections.abc import Iterator

PAUSE_BYTES = 64 * 1024
"""With more than this waiting, no further command of the client is carried out."""

DROP_BYTES = 256 * 1024
"""With more than this waiting, lines that only inform are dropped."""

CLOSE_BYTES = 1024 * 1024
SERVER_CLOSE_BYTES = 32 * 1024 * 1024
"""With more than this waiting, the next line that may not be lost costs the client the connection.
A server's is for the environments of its clients, when thousands come back at once.
Replies do not count towards it: they are bounded by the histories, or rendered as the client reads
(``stream``), and come one at a time."""


class Outbox:
    """A queue of bytes for one client."""

    def __init__(self, close_bytes: int = CLOSE_BYTES) -> None:
        self._close_bytes = close_bytes
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._stream: Iterator[str] | None = None
        self._behind: list[bytes] = []
        """Lines that wait for the end of the stream: nothing comes into the middle of a reply."""
        self._behind_size = 0
        self.dropped = 0
        """Lines that were dropped since this client came."""
        self.overflowed = False
        """True when the client must go."""

    def __len__(self) -> int:
        return self._size + self._behind_size

    @property
    def streaming(self) -> bool:
        """True while a long reply is being rendered."""
        return self._stream is not None

    @property
    def waiting(self) -> bool:
        """True while there is something to read."""
        return len(self) > 0 or self.streaming

    @property
    def paused(self) -> bool:
        """True while commands of the client have to wait."""
        return self._size > PAUSE_BYTES or self.streaming

    def reply(self, line: str) -> None:
        """Adds a line of a reply."""
        self._add(line)

    def stream(self, lines: Iterator[str]) -> None:
        """Adds lines that are rendered piece by piece as the client reads; one stream at a time."""
        assert self._stream is None, "commands wait while there is a stream"
        self._stream = lines

    def raw(self, text: bytes) -> None:
        """Adds bytes without a line end, such as a prompt."""
        self._chunks.append(text)
        self._size += len(text)

    def inform(self, line: str) -> None:
        """Adds a line that a slow client can do without."""
        if len(self) > DROP_BYTES:
            self.dropped += 1
            return
        self._add(line)

    def notify(self, line: str) -> None:
        """Adds a line that the client must get."""
        if len(self) > self._close_bytes:
            self.overflowed = True
            return
        self._add(line)

    def peek(self, limit: int) -> bytes:
        """Returns the oldest bytes, about ``limit`` of them; empty when there are none."""
        self._render(limit)
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
        encoded = _encoded(line)
        if self._stream is None:
            self.raw(encoded)
        else:
            self._behind.append(encoded)
            self._behind_size += len(encoded)

    def _render(self, limit: int) -> None:
        """Takes lines of the stream until there are ``limit`` bytes; at its end, what waited."""
        while self._stream is not None and self._size < limit:
            line = next(self._stream, None)
            if line is not None:
                self.raw(_encoded(line))
                continue
            self._stream = None
            behind, self._behind, self._behind_size = self._behind, [], 0
            for chunk in behind:
                self.raw(chunk)


def _encoded(line: str) -> bytes:
    try:
        return line.encode("utf-8", "surrogateescape") + b"\r\n"
    except UnicodeEncodeError:  # half a character, which no bytes stand for
        return line.encode("utf-8", "replace") + b"\r\n"
