"""Decompression of LZ4: real streams come out whole, everything else is Malformed and bounded."""

import hashlib
import random

import pytest

from ginnel.core.errors import Malformed
from ginnel.dataplane.lz4 import decompress_lz4
from tests.unit.dataplane.compressed_vectors import Compressed, good, malformed

CASES = good("lz4")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_real_streams_come_out_whole_and_no_longer_than_allowed(case: Compressed) -> None:
    plain = decompress_lz4(case.compressed, case.length)
    assert hashlib.sha256(plain).hexdigest() == case.sha256
    with pytest.raises(Malformed):
        decompress_lz4(case.compressed, case.length - 1)


@pytest.mark.parametrize("data", malformed("lz4"), ids=lambda data: data[:6].hex() or "empty")
def test_nonsense_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decompress_lz4(data, 1628)


def test_every_cut_and_many_changes_stay_bounded() -> None:
    source = random.Random(3)
    for case in CASES:
        body = case.compressed[:400]
        for end in range(len(body)):
            _try(body[:end])
        for _ in range(200):
            changed = bytearray(body)
            changed[source.randrange(len(body))] = source.randrange(256)
            _try(bytes(changed))


def _try(data: bytes) -> None:
    try:
        assert len(decompress_lz4(data, 1628)) <= 1628
    except Malformed as bad:
        assert bad.reason == "decompression"  # noqa: PT017 -- either outcome is fine, no other is
