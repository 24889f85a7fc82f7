"""Bounds of the field reader and writer."""

import pytest

from ginnel.core.cursor import Reader, Writer
from ginnel.core.errors import Malformed


def test_fields_are_big_endian_and_in_order() -> None:
    writer = Writer()
    writer.u8(0x01)
    writer.u16(0x0203)
    writer.u32(0x04050607)
    writer.put(b"rest")
    assert writer.bytes() == bytes(range(1, 8)) + b"rest"

    reader = Reader(writer.bytes())
    assert (reader.u8(), reader.u16(), reader.u32()) == (0x01, 0x0203, 0x04050607)
    assert reader.remaining == 4
    assert reader.rest() == b"rest"
    assert reader.rest() == b""


def test_reading_past_the_end_is_malformed_and_moves_nothing() -> None:
    reader = Reader(b"\x00\x01\x02")
    with pytest.raises(Malformed, match="short"):
        reader.u32()
    with pytest.raises(Malformed, match="short"):
        reader.take(-1)
    assert reader.u16() == 1
    assert reader.remaining == 1


def test_a_number_that_does_not_fit_is_our_bug() -> None:
    with pytest.raises(OverflowError):
        Writer().u16(0x10000)
