"""Super-packets of the reference engine: cutting and joining, each the other's oracle."""

import struct

import pytest

from ginnel.core.errors import Malformed
from ginnel.dataplane.reference_offload import MAX_JOINED, checksum, joined, packets_of
from tests.interop.lab import crafted
from tests.interop.lab.decode import decode

ENDS = (("10.8.0.6", "10.8.0.1"), ("fd00:8::6", "fd00:8::1"))


def cut_again(packets: list[bytes], most: int = MAX_JOINED) -> tuple[list[bytes], list[int]]:
    """What the device hands on of what is written, and how many packets each write had."""
    joins = joined(packets, most)
    out = [packet for join in joins for packet in packets_of(b"".join(join.parts()))]
    return out, [len(join.packets) for join in joins]


@pytest.mark.parametrize("ends", ENDS, ids=["4", "6"])
def test_a_stream_is_joined_and_cut_to_what_it_was(ends: tuple[str, str]) -> None:
    maker = crafted.Maker(*ends, seed=1)
    packets = list(maker.plain_flow(7, 200))
    out, counts = cut_again(packets)
    assert out == packets
    assert counts == [64, 64, 64, 8]
    for packet in out:
        decode(packet)
    assert cut_again(packets, most=1) == (packets, [1] * 200)


def test_what_differs_stays_apart_and_in_order() -> None:
    for seed in range(20):
        packets = [packet for _, packet in crafted.mixed(ENDS, 1000, seed)]
        out, counts = cut_again(packets)
        assert out == packets
        assert max(counts) > 1


def test_the_last_flags_go_to_the_last_segment_and_cwr_to_the_first() -> None:
    segment = next(crafted.Maker(*ENDS[0], seed=1).plain_flow(7, 1))
    header = bytearray(segment[:40])
    header[33] = 0x99  # CWR, ACK, PSH, FIN
    whole = header + bytes(2500)
    whole[2:4] = len(whole).to_bytes(2, "big")
    pseudo = whole[12:20] + struct.pack("!II", len(whole) - 20, 6)
    whole[36:38] = (0xFFFF - checksum(pseudo)).to_bytes(2, "big")
    plan = struct.pack("=BBHHHH", 1, 0x81, 40, 1000, 20, 16)
    packets = packets_of(plan + whole)
    assert [packet[33] for packet in packets] == [0x90, 0x10, 0x19]
    assert [len(decode(packet).payload) for packet in packets] == [1000, 1000, 500]


def test_a_begun_checksum_is_completed() -> None:
    packet = next(crafted.Maker(*ENDS[1], seed=1).udp_flow(7, 1))
    pseudo = packet[8:40] + struct.pack("!II", len(packet) - 40, 17)
    begun = packet[:46] + (0xFFFF - checksum(pseudo)).to_bytes(2, "big") + packet[48:]
    assert packets_of(struct.pack("=BBHHHH", 1, 0, 0, 0, 40, 6) + begun) == [packet]


@pytest.mark.parametrize(
    "plan",
    [
        (0, 1, 40, 100, 20, 16),
        (1, 1, 40, 0, 20, 16),
        (1, 1, 40, 100, 19, 16),
        (1, 1, 40, 100, 65_535, 16),
        (1, 1, 40, 100, 20, 6),
        (1, 3, 40, 100, 20, 6),
        (1, 0, 0, 0, 0, 0),
        (1, 0, 0, 0, 65_535, 65_535),
    ],
)
def test_a_header_that_does_not_fit_is_refused(plan: tuple[int, ...]) -> None:
    packet = next(crafted.Maker(*ENDS[0], seed=1).plain_flow(7, 1))
    with pytest.raises(Malformed):
        packets_of(struct.pack("=BBHHHH", *plan) + packet)


def test_short_and_strange_reads_are_refused_or_left_alone() -> None:
    packet = next(crafted.Maker(*ENDS[0], seed=1).plain_flow(7, 1))
    plan = struct.pack("=BBHHHH", 1, 1, 40, 100, 20, 16)
    for length in range(40):
        with pytest.raises(Malformed):
            packets_of(plan + packet[:length])
        assert cut_again([packet[:length] or b"x"] * 2)[1] == [1, 1]
