"""Cuts a fuzzer's bytes into pieces, so that one input can be several packets or lines."""

from collections.abc import Iterator

MAX_PIECES = 64


def cut(data: bytes) -> Iterator[bytes]:
    """Yields pieces, each behind its 16-bit length; the last one is what is left."""
    position = 0
    for _ in range(MAX_PIECES):
        if position + 2 > len(data):
            return
        length = int.from_bytes(data[position : position + 2], "big")
        yield data[position + 2 : position + 2 + length]
        position += 2 + length


def join(*pieces: bytes) -> bytes:
    """The input that ``cut`` takes apart again: for the first members of a corpus."""
    return b"".join(len(piece).to_bytes(2, "big") + piece for piece in pieces)
