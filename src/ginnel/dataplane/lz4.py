"""Decompression of single LZ4 blocks; bounded and in plain Python.

Written after the format's public description (LZ4 block format).
"""

from ginnel.core.errors import Malformed

_MIN_MATCH = 4
_LONG = 15
"""A length of this is continued in the bytes that follow."""


def decompress_lz4(data: bytes, limit: int) -> bytes:
    """Decompresses a whole block; raises Malformed for another one, or a result past ``limit``."""
    try:
        return _run(data, limit)
    except IndexError as end:
        raise Malformed("decompression") from end


def _run(data: bytes, limit: int) -> bytes:
    out = bytearray()
    at = 0
    while True:
        token = data[at]
        length, at = _length(data, at + 1, token >> 4)
        if at + length > len(data):
            raise IndexError
        _require_room(out, length, limit)
        out += data[at : at + length]
        at += length
        if at == len(data):
            return bytes(out)
        start = len(out) - (data[at] | data[at + 1] << 8)
        if not 0 <= start < len(out):
            raise IndexError
        length, at = _length(data, at + 2, token & 0x0F)
        _require_room(out, length + _MIN_MATCH, limit)
        for place in range(start, start + length + _MIN_MATCH):
            out.append(out[place])


def _length(data: bytes, at: int, held: int) -> tuple[int, int]:
    """A length and where the data goes on."""
    if held < _LONG:
        return held, at
    while True:
        value = data[at]
        held, at = held + value, at + 1
        if value != 255:
            return held, at


def _require_room(out: bytearray, count: int, limit: int) -> None:
    if len(out) + count > limit:
        raise Malformed("decompression")
