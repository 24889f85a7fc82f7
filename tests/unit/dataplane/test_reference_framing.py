"""Compression framing of the reference engine, where the conformance suite does not look."""

import pytest

from ginnel.core.errors import Malformed
from ginnel.core.payload import Framing
from ginnel.dataplane.reference_framing import frame, looks_framed, unframe


@pytest.mark.parametrize("framing", [None, *Framing])
@pytest.mark.parametrize("payload", [b"\x45abc", b"\x50", b"\x50\x01x", b"\xfa"])
def test_reads_what_it_writes(framing: Framing | None, payload: bytes) -> None:
    framed = frame(framing, payload)
    assert unframe(framing, framed, decompress=False, limit=1500) == payload


@pytest.mark.parametrize("framing", list(Framing))
def test_nothing_is_no_framing(framing: Framing) -> None:
    with pytest.raises(Malformed) as bad:
        unframe(framing, b"", decompress=True, limit=1500)
    assert bad.value.reason == "framing"


def test_knows_the_marks() -> None:
    assert all(looks_framed(bytes((mark,))) for mark in (0x66, 0x69, 0xFA, 0xFB, 0x50))
    assert not looks_framed(b"\x45")
    assert not looks_framed(b"")
