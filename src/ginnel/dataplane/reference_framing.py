"""Compression framing of the reference engine (protocol-facts 15). It never compresses."""

from ginnel.core.errors import Malformed
from ginnel.core.payload import Framing
from ginnel.dataplane.lz4 import decompress_lz4
from ginnel.dataplane.lzo import decompress_lzo

_LZO, _LZ4, _PLAIN, _PLAIN_SWAPPED, _V2 = 0x66, 0x69, 0xFA, 0xFB, 0x50
_V2_NONE, _V2_LZ4, _V2_LZO = 0, 1, 2
_V2_NONE_IN_PRACTICE = 0x0A
"""Every sender of the 2.x series escapes with this in place of ``_V2_NONE``."""
_MARKERS = frozenset({_LZO, _LZ4, _PLAIN, _PLAIN_SWAPPED, _V2})


def frame(framing: Framing | None, payload: bytes) -> bytes:
    """Marks a payload, which is not empty, as not compressed."""
    match framing:
        case None:
            return payload
        case Framing.PREFIX:
            return bytes((_PLAIN,)) + payload
        case Framing.SWAP:
            return bytes((_PLAIN_SWAPPED,)) + payload[1:] + payload[:1]
        case Framing.V2 if payload[0] == _V2:
            return bytes((_V2, _V2_NONE)) + payload
        case Framing.V2:
            return payload


def unframe(framing: Framing | None, framed: bytes, *, decompress: bool, limit: int) -> bytes:
    """The payload without framing, at most ``limit`` bytes when it was compressed.

    Raises Malformed with the reason to count the drop by: ``framing`` for the wrong one,
    ``compressed`` where that is not allowed, ``decompression`` for nonsense.
    """
    if framing is None:
        return framed
    first = framed[0] if framed else -1
    if framing is Framing.V2:
        if first != _V2:
            if not framed:
                raise Malformed("framing")
            return framed
        kind = framed[1] if len(framed) > 1 else -1
        if kind in (_V2_NONE, _V2_NONE_IN_PRACTICE):
            return framed[2:]
        if kind not in (_V2_LZ4, _V2_LZO):
            raise Malformed("framing")
        return _decompress(framed[2:], kind == _V2_LZO, decompress=decompress, limit=limit)
    match first:
        case 0xFA:
            return framed[1:]
        case 0xFB:
            return _swapped_back(framed)
        case 0x66:
            return _decompress(framed[1:], True, decompress=decompress, limit=limit)
        case 0x69:
            body = _swapped_back(framed)
            return _decompress(body, False, decompress=decompress, limit=limit)
        case _:
            raise Malformed("framing")


def looks_framed(payload: bytes) -> bool:
    """True for what is no packet but looks like one with a framing."""
    return bool(payload) and payload[0] in _MARKERS


def _swapped_back(framed: bytes) -> bytes:
    return framed[-1:] + framed[1:-1] if len(framed) > 1 else b""


def _decompress(body: bytes, is_lzo: bool, *, decompress: bool, limit: int) -> bytes:
    if not decompress:
        raise Malformed("compressed")
    return decompress_lzo(body, limit) if is_lzo else decompress_lz4(body, limit)
