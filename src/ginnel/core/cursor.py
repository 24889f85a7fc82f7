"""Bounds-checked reading and writing of big-endian fields.

Responsible for: never reading past the end, never accepting a field that does not fit.
Not responsible for: what the fields mean. Per-packet hot paths use ``struct`` directly.
"""

from ginnel.core.errors import Malformed


class Reader:
    """Reads fields from the front of a byte string; every method raises ``Malformed("short")``."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def remaining(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._position

    def take(self, length: int) -> bytes:
        """Returns the next ``length`` bytes."""
        end = self._position + length
        if length < 0 or end > len(self._data):
            raise Malformed("short")
        piece = self._data[self._position : end]
        self._position = end
        return piece

    def rest(self) -> bytes:
        """Returns all bytes not read yet."""
        return self.take(self.remaining)

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "big")


class Writer:
    """Collects fields; a number out of range raises ``OverflowError``, which is a bug of ours."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    def put(self, piece: bytes | memoryview) -> None:
        self._data += piece

    def u8(self, value: int) -> None:
        self._data += value.to_bytes(1, "big")

    def u16(self, value: int) -> None:
        self._data += value.to_bytes(2, "big")

    def u32(self, value: int) -> None:
        self._data += value.to_bytes(4, "big")

    def bytes(self) -> bytes:
        """Returns what was written so far."""
        return bytes(self._data)

    def buffer(self) -> bytearray:
        """Returns what was written so far, without a copy: for who wants to wipe it after use."""
        return self._data
