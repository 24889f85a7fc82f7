"""Reads DER, the encoding of certificates: strict, bounds-checked, without recursion.

Knows shapes, not meanings. Every function raises ValueError for what is not DER.
"""

from functools import lru_cache

BIT_STRING, OCTET_STRING, OBJECT_IDENTIFIER = 0x03, 0x04, 0x06
INTEGER, SEQUENCE, SET = 0x02, 0x30, 0x31

_SHORT = 16
"""Octets of an object identifier up to which it is remembered: all that are in use have fewer."""


def elements(content: bytes) -> list[tuple[int, bytes]]:
    """Splits into the elements that stand side by side: each one's tag and content."""
    found, at, end = [], 0, len(content)
    while at < end:
        if end - at < 2:
            raise ValueError("a DER element is cut short")
        tag, length = content[at], content[at + 1]
        at += 2
        if tag & 0x1F == 0x1F:
            raise ValueError("a DER tag of more than one octet")
        if length >= 0x80:
            size = length - 0x80
            if not 1 <= size <= 4 or end - at < size:
                raise ValueError("a DER length that is none")
            length = int.from_bytes(content[at : at + size], "big")
            at += size
            if length < 0x80 or length >> 8 * (size - 1) == 0:
                raise ValueError("a DER length that is not the shortest")
        if end - at < length:
            raise ValueError("a DER element is cut short")
        found.append((tag, content[at : at + length]))
        at += length
    return found


def inside(tag: int, element: tuple[int, bytes]) -> bytes:
    """The content of an element that has to be of this kind."""
    if element[0] != tag:
        raise ValueError(f"DER tag {element[0]:#04x} in place of {tag:#04x}")
    return element[1]


def only(tag: int, content: bytes) -> bytes:
    """The content of the one element that there is."""
    found = elements(content)
    if len(found) != 1:
        raise ValueError(f"{len(found)} DER elements in place of one")
    return inside(tag, found[0])


def dotted(content: bytes) -> str:
    """The content of an object identifier, as numbers with dots between."""
    return _known(content) if len(content) <= _SHORT else _dotted(content)


def _dotted(content: bytes) -> str:
    if not content or content[-1] & 0x80:
        raise ValueError("an object identifier is cut short")
    arcs, value = [], 0
    for position, octet in enumerate(content):
        if octet == 0x80 and (position == 0 or not content[position - 1] & 0x80):
            raise ValueError("an object identifier that is not the shortest")
        value = value << 7 | octet & 0x7F
        if value >> 128:
            raise ValueError("an object identifier with too large a number")
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(str(arc) for arc in (first, arcs[0] - 40 * first, *arcs[1:]))


_known = lru_cache(maxsize=64)(_dotted)
"""Each certificate has the same few."""


def integer(content: bytes) -> int:
    """The content of an integer."""
    value = int.from_bytes(content, "big", signed=True)
    bits_needed = (value if value >= 0 else ~value).bit_length() + 1
    if len(content) != (bits_needed + 7) // 8:
        raise ValueError("an integer that is none, or not the shortest")
    return value


def bits(content: bytes) -> bytes:
    """The content of a bit string, its first bit the highest of the first octet."""
    if not content or content[0] > 7 or (len(content) == 1 and content[0]):
        raise ValueError("a bit string that is none")
    if content[-1] & (1 << content[0]) - 1 and len(content) > 1:
        raise ValueError("a bit string with bits after its end")
    return content[1:]
