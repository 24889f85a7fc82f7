"""Inner packets and what is around them, as the Python engine looks at them."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import IPv4Address

from ginnel.core.errors import Malformed
from ginnel.core.payload import Framing, PayloadTerms
from ginnel.dataplane.reference_inner import clamp_mss, destination
from ginnel.dataplane.reference_payload import INNER_SLACK, Payload
from ginnel.dataplane.reference_rules import Direction, too_long
from ginnel.dataplane.reference_rules import cut as cut_packet
from ginnel.options.model import NatRule
from tests.fuzz.pieces import cut

MTU = 1500
FRAMINGS = (None, Framing.PREFIX, Framing.SWAP, Framing.V2)


def inner_packet(data: bytes) -> None:
    destination(data)
    clamped = clamp_mss(data, 1200, 1180)
    assert len(clamped) == len(data)
    assert clamp_mss(clamped, 1200, 1180) == clamped
    parts = cut_packet(data, 100)
    assert parts == [data] or all(len(part) <= 100 for part in parts)
    answer = too_long(data, 20)
    if answer is not None:
        assert len(answer) <= 1280
        assert destination(answer) == (data[12:16] if data[0] >> 4 == 4 else data[8:24])
        assert too_long(answer, 20) is None


def payloads(data: bytes) -> None:
    """The first byte chooses the terms, as for the Rust target of this name."""
    flags = data[0] if data else 0
    rule = NatRule(
        is_source=bool(flags & 16),
        network=IPv4Address("10.0.0.0"),
        netmask=IPv4Address("255.0.0.0"),
        alias=IPv4Address("11.0.0.0"),
    )
    terms = PayloadTerms(
        framing=FRAMINGS[flags & 3],
        decompress=bool(flags & 4),
        fragment=100 if flags & 8 else 0,
        client_nat=(rule,),
    )
    payload = Payload(terms, mtu=MTU, is_ethernet=bool(flags & 32))
    for number, piece in enumerate(cut(data[1:])):
        with suppress(Malformed):
            whole = payload.unwrap(piece, number / 10)
            if whole is not None:
                assert len(whole) <= max(len(piece), MTU + INNER_SLACK + 2)
                payload.translate(whole, Direction.IN)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "inner-packet": inner_packet,
    "payloads": payloads,
}
