"""The send counter and replay check that wrappings share."""

import pytest

from ginnel.core.errors import LocalMisuse, Malformed
from ginnel.core.wrap.api import ReplayIds


def test_numbers_count_from_the_base_with_one_time() -> None:
    ids = ReplayIds(unix_time=0x01020304, base=0x0F000000)
    assert ids.next() == b"\x0f\0\0\1\1\2\3\4"
    assert ids.next() == b"\x0f\0\0\2\1\2\3\4"


def test_the_time_moves_on_when_the_counter_wraps() -> None:
    ids = ReplayIds(unix_time=7, base=0xFFFFFFFE)
    assert ids.next() == b"\xff\xff\xff\xff\0\0\0\7"
    assert ids.next() == b"\0\0\0\1\0\0\0\x08"


def test_each_id_is_taken_once() -> None:
    sender, receiver = ReplayIds(unix_time=7), ReplayIds(unix_time=9)
    first = sender.next()
    receiver.check(first)
    with pytest.raises(Malformed, match="replay"):
        receiver.check(first)
    receiver.check(sender.next())


@pytest.mark.parametrize("unix_time", [-1, 1 << 32])
def test_a_time_that_does_not_fit_is_our_bug(unix_time: int) -> None:
    with pytest.raises(LocalMisuse):
        ReplayIds(unix_time=unix_time)
