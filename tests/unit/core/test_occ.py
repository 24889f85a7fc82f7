"""OCC messages: which operations are known, and the bytes of ours (protocol-facts 12)."""

import pytest

from ginnel.core.occ import OCC_MAGIC, OccOperation, exit_payload, read_occ, reply_payload


@pytest.mark.parametrize(
    ("rest", "operation"),
    [
        (b"\x00", OccOperation.REQUEST),
        (b"\x01V4", OccOperation.REPLY),
        (b"\x06", OccOperation.EXIT),
        (b"\x04", OccOperation.MTU_REQUEST),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_operations(rest: bytes, operation: OccOperation | None) -> None:
    assert read_occ(OCC_MAGIC + rest) is operation


def test_other_payloads_are_no_occ() -> None:
    assert read_occ(b"") is None
    assert read_occ(bytes(16) + b"\x06") is None


def test_our_messages() -> None:
    assert exit_payload().hex() == "287f346bd4ef7a812d56b8d3afc5459c06"
    reply = reply_payload("V4,dev-type tun")
    assert reply == OCC_MAGIC + b"\x01V4,dev-type tun\0"
