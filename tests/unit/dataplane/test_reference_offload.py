"""Super-packets of the reference engine: joining, with cutting as its oracle."""

import struct

import pytest

from ginnel.dataplane.reference_offload import MAX_JOINED, checksum, joined
from tests.interop.lab import crafted
from tests.interop.lab.decode import decode
from tests.unit.dataplane.cutting import packets_of

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


def test_short_and_strange_packets_stay_alone() -> None:
    packet = next(crafted.Maker(*ENDS[0], seed=1).plain_flow(7, 1))
    for length in range(40):
        assert cut_again([packet[:length] or b"x"] * 2)[1] == [1, 1]


@pytest.mark.parametrize("ends", ENDS, ids=["4", "6"])
def test_numbers_that_begin_anew_begin_a_new_super_packet(ends: tuple[str, str]) -> None:
    packets = list(crafted.Maker(*ends, seed=1).plain_flow(7, 5))
    start = 20 if ends == ENDS[0] else 40
    size = len(packets[0]) - start - 20
    first = 2**32 - 2 * size
    moved = [with_numbers(it, start, first + at * size, 7 + at) for at, it in enumerate(packets)]
    assert cut_again(moved) == (moved, [2, 3])
    if start == 20:
        moved = [with_numbers(it, 20, at * size, 65_533 + at) for at, it in enumerate(packets)]
        assert cut_again(moved) == (moved, [3, 2])


@pytest.mark.parametrize("ends", ENDS, ids=["4", "6"])
@pytest.mark.parametrize("damaged", range(3))
def test_a_packet_with_a_wrong_checksum_stays_alone(ends: tuple[str, str], damaged: int) -> None:
    packets = list(crafted.Maker(*ends, seed=1).plain_flow(7, 3))
    wrong = bytearray(packets[damaged])
    wrong[-1] ^= 1
    packets[damaged] = bytes(wrong)
    assert cut_again(packets) == (packets, [[1, 2], [1, 1, 1], [2, 1]][damaged])


def test_an_ip_header_with_a_wrong_checksum_stays_alone() -> None:
    packets = list(crafted.Maker(*ENDS[0], seed=1).plain_flow(7, 3))
    wrong = bytearray(packets[1])
    wrong[10] ^= 1
    packets[1] = bytes(wrong)
    assert cut_again(packets) == (packets, [1, 1, 1])


def with_numbers(segment: bytes, start: int, sequence: int, identity: int) -> bytes:
    """The segment with another sequence number, and identity where it has one."""
    changed = bytearray(segment)
    changed[start + 4 : start + 8] = (sequence % 2**32).to_bytes(4, "big")
    changed[start + 16 : start + 18] = bytes(2)
    addresses = segment[12:20] if start == 20 else segment[8:40]
    pseudo = addresses + struct.pack("!II", len(segment) - start, 6)
    changed[start + 16 : start + 18] = checksum(pseudo + changed[start:]).to_bytes(2, "big")
    if start == 20:
        changed[4:6] = (identity % 2**16).to_bytes(2, "big")
        changed[10:12] = bytes(2)
        changed[10:12] = checksum(changed[:20]).to_bytes(2, "big")
    return bytes(changed)
