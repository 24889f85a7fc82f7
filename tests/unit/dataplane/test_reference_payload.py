"""One peer's payloads in the reference engine: order of the steps, and the limit on sending."""

import pytest

from ginnel.core.errors import Malformed
from ginnel.core.payload import Framing, PayloadTerms
from ginnel.dataplane.reference_payload import Payload


def made(terms: PayloadTerms) -> Payload:
    return Payload(terms, mtu=1500, is_ethernet=False)


def test_framing_lies_inside_the_fragments() -> None:
    payload = made(PayloadTerms(framing=Framing.PREFIX, fragment=100))
    parts = payload.wrap(b"\x45" + bytes(150))
    assert [len(part) for part in parts] == [80, 80]
    assert parts[0][4:6] == b"\xfa\x45"
    assert payload.unwrap(parts[0], 0.0) is None
    assert payload.unwrap(parts[1], 0.0) == b"\x45" + bytes(150)


def test_remembers_what_was_refused() -> None:
    payload = made(PayloadTerms(framing=Framing.SWAP))
    with pytest.raises(Malformed):
        payload.unwrap(b"\x45abc", 0.0)
    assert payload.refused == 0x45


def test_what_was_sent_costs_its_time() -> None:
    payload = made(PayloadTerms(shaper=1000))
    payload.charge(500, 10.0)
    payload.charge(500, 10.1)
    assert payload.ready_at == pytest.approx(11.0)
    free = made(PayloadTerms(passtos=True))
    free.charge(500, 10.0)
    assert free.ready_at == 0
