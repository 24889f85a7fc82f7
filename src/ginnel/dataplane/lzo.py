"""Decompression of LZO1X, the only LZO format of OpenVPN; bounded and in plain Python.

Written after the format's description in the Linux kernel's documentation (staging/lzo).
"""

from ginnel.core.errors import Malformed

_FAR_SHORT = 0x800
"""Distances of the short match right after literals begin behind this."""
_FAR_LONG = 0x4000
"""Distances of the longest kind begin here; exactly this one ends the stream."""


def decompress_lzo(data: bytes, limit: int) -> bytes:
    """Decompresses a whole stream; raises Malformed for another one, or a result past ``limit``."""
    stream = _Stream(data, limit)
    try:
        return _run(stream)
    except IndexError as end:
        raise Malformed("decompression") from end


def _run(stream: "_Stream") -> bytes:
    # How many literals came just before: it decides what a small instruction byte means.
    literals = stream.first_run()
    while True:
        code = stream.byte()
        if code < 16 and literals == 0:
            stream.copy_literals(stream.long(code, 15) + 3)
            literals = 4
            continue
        if code < 16:
            far = _FAR_SHORT if literals == 4 else 0
            length = 3 if literals == 4 else 2
            distance = (code >> 2) + (stream.byte() << 2) + far + 1
            literals = code & 3
        elif code < 32:
            length = stream.long(code & 7, 7) + 2
            word = stream.word()
            distance = ((code & 8) << 11) + (word >> 2) + _FAR_LONG
            literals = word & 3
            if distance == _FAR_LONG:
                return stream.finish()
        elif code < 64:
            length = stream.long(code & 31, 31) + 2
            word = stream.word()
            distance, literals = (word >> 2) + 1, word & 3
        else:
            length = (code >> 5) + 1
            distance = ((code >> 2) & 7) + (stream.byte() << 3) + 1
            literals = code & 3
        stream.copy_match(distance, length)
        stream.copy_literals(literals)


class _Stream:
    """The input with its position, and what came out. Its end shows as IndexError."""

    def __init__(self, data: bytes, limit: int) -> None:
        self._data = data
        self._at = 0
        self._limit = limit
        self._out = bytearray()

    def first_run(self) -> int:
        """A stream may begin with literals, whose count its first byte names."""
        count = self._data[0] - 17
        if count <= 0:
            return 0
        self._at = 1
        self.copy_literals(count)
        return min(count, 4)

    def byte(self) -> int:
        value = self._data[self._at]
        self._at += 1
        return value

    def word(self) -> int:
        return self.byte() | self.byte() << 8

    def long(self, held: int, most: int) -> int:
        """A length that an instruction holds, or, when it holds 0, the bytes after it."""
        if held:
            return held
        length = most
        while (value := self.byte()) == 0:
            length += 255
        return length + value

    def copy_literals(self, count: int) -> None:
        if self._at + count > len(self._data):
            raise IndexError
        self._require_room(count)
        self._out += self._data[self._at : self._at + count]
        self._at += count

    def copy_match(self, distance: int, length: int) -> None:
        """Repeats what came out ``distance`` bytes ago; the two may overlap."""
        start = len(self._out) - distance
        if start < 0:
            raise IndexError
        self._require_room(length)
        for at in range(start, start + length):
            self._out.append(self._out[at])

    def finish(self) -> bytes:
        if self._at != len(self._data):
            raise IndexError
        return bytes(self._out)

    def _require_room(self, count: int) -> None:
        if len(self._out) + count > self._limit:
            raise Malformed("decompression")
