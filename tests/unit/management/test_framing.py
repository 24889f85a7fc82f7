"""Cutting lines: the bounds, and that no stream of bytes makes it hold more than its buffer."""

from hypothesis import given
from hypothesis import strategies as st

from ginnel.management.framing import LINE_BYTES, LineBuffer


def test_lines_may_come_in_pieces_and_together() -> None:
    buffer = LineBuffer()
    assert buffer.feed(b"pi") == []
    assert buffer.feed(b"d\r\nho") == ["pid"]
    assert buffer.feed(b"ld\n\nexit\n") == ["hold", "", "exit"]


def test_control_characters_are_left_out() -> None:
    assert LineBuffer().feed(b"p\x00i\x1bd\x7f\t\n") == ["pid"]


def test_bytes_that_are_not_text_survive() -> None:
    (line,) = LineBuffer().feed(b"password Auth \xff\xc3\xa9\n")
    assert line.encode("utf-8", "surrogateescape") == b"password Auth \xff\xc3\xa9"


def test_the_longest_line() -> None:
    longest = b"x" * (LINE_BYTES - 1)
    assert LineBuffer().feed(longest + b"\n") == [longest.decode()]
    assert LineBuffer().feed(longest + b"x\npid\n") == ["pid"]


@given(st.lists(st.binary(max_size=3000), max_size=8))
def test_pieces_do_not_matter(pieces: list[bytes]) -> None:
    one, many = LineBuffer(), LineBuffer()
    whole = one.feed(b"".join(pieces))
    assert [line for piece in pieces for line in many.feed(piece)] == whole
    assert all(len(line.encode("utf-8", "surrogateescape")) < LINE_BYTES for line in whole)
