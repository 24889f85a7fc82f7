"""Answers to an end that measures the MTU."""

import pytest

from ginnel.core.mtu_mirror import MtuMirror
from ginnel.core.occ import (
    OCC_MAGIC,
    OccOperation,
    mtu_load_payload,
    mtu_load_request_payload,
    mtu_reply_payload,
    mtu_request_payload,
)

OVERHEAD = 24


def answer(mirror: MtuMirror, operation: OccOperation, payload: bytes) -> bytes | None:
    return mirror.answer(operation, payload, overhead=OVERHEAD, largest=1524)


def test_a_datagram_of_the_wanted_size_is_sent() -> None:
    mirror = MtuMirror()
    sent = answer(mirror, OccOperation.MTU_LOAD_REQUEST, mtu_load_request_payload(1000))
    assert sent == mtu_load_payload(1000 - OVERHEAD)
    assert mirror.sent == 1000


@pytest.mark.parametrize(("wanted", "length"), [(0, len(OCC_MAGIC) + 1), (65535, 1500)])
def test_sizes_are_kept_within_bounds(wanted: int, length: int) -> None:
    sent = answer(MtuMirror(), OccOperation.MTU_LOAD_REQUEST, mtu_load_request_payload(wanted))
    assert sent is not None
    assert len(sent) == length


def test_what_was_seen_is_told() -> None:
    mirror = MtuMirror()
    assert answer(mirror, OccOperation.MTU_LOAD, mtu_load_payload(900)) is None
    answer(mirror, OccOperation.MTU_LOAD, mtu_load_payload(500))
    told = answer(mirror, OccOperation.MTU_REQUEST, mtu_request_payload())
    assert told == mtu_reply_payload(900 + OVERHEAD, 0)


def test_a_message_that_is_cut_is_left_out() -> None:
    assert answer(MtuMirror(), OccOperation.MTU_LOAD_REQUEST, OCC_MAGIC + b"\x02") is None
