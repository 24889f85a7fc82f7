"""Fragments of the reference engine: bounds that only its own clock and counters show."""

import pytest

from ginnel.core.errors import Malformed
from ginnel.dataplane.reference_fragment import MAX_AGE, MAX_UNFINISHED, Fragments


@pytest.mark.parametrize("length", [101, 200, 399, 1500])
def test_every_length_comes_back_in_any_order(length: int) -> None:
    fragments = Fragments(100, 1628)
    payload = bytes(at * 7 % 256 for at in range(length))
    *parts, last = reversed(fragments.cut(payload))
    assert all(len(part) <= 104 for part in [*parts, last])
    assert [fragments.take(part, 0.0) for part in parts] == [None] * len(parts)
    assert fragments.take(last, 0.0) == payload
    assert fragments.unfinished == 0


def test_too_many_parts_are_none() -> None:
    fragments = Fragments(103, 5000)
    assert len(fragments.cut(bytes(3200))) == 32
    assert fragments.cut(bytes(3201)) == []


def test_unfinished_payloads_are_few_and_age() -> None:
    fragments = Fragments(1200, 1628)
    for sequence in range(256):
        part = (1 | sequence << 2).to_bytes(4, "big") + bytes(1200)
        assert fragments.take(part, float(sequence) / 100) is None
        assert fragments.unfinished <= MAX_UNFINISHED
    late = (1 | 3 << 2).to_bytes(4, "big") + bytes(8)
    assert fragments.take(late, 3.0 + MAX_AGE) is None
    assert fragments.unfinished == 1


def test_a_part_longer_than_any_payload_is_refused() -> None:
    with pytest.raises(Malformed):
        Fragments(1200, 1628).take(b"\x00\x00\x00\x01" + bytes(1632), 0.0)
