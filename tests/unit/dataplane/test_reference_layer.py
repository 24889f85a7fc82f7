"""Packets and frames, and what is done to both."""

from ipaddress import IPv6Address

import pytest

from ginnel.dataplane.reference_layer import Layer
from tests.interop.lab import crafted
from tests.unit.dataplane.inner_packets import udp_packet

ROUTER = IPv6Address("fe80::1")
FRONT = bytes(range(12)) + b"\x86\xdd"
LAPTOP, OFFICE = "10.8.0.6", "10.8.0.1"
IPV4 = next(crafted.Maker(LAPTOP, OFFICE, seed=1).plain_flow(7, 1))
BACK = next(crafted.Maker(OFFICE, LAPTOP, seed=1).plain_flow(7, 1))
IPV6 = next(crafted.Maker("fd00:8::6", "fd00:8::1", seed=1).udp_flow(7, 1))


def test_neighbours_that_go_the_same_way_are_together() -> None:
    packets = [IPV4, IPV4, BACK, IPV4, IPV6, b"", b"x"]
    groups = Layer(is_ethernet=False).together(packets)
    assert groups == [[IPV4, IPV4], [BACK], [IPV4], [IPV6], [b"", b"x"]]
    assert Layer(is_ethernet=True).together([IPV4, IPV4]) == [[IPV4], [IPV4]]


def test_another_type_of_service_goes_another_way() -> None:
    marked = IPV4[:1] + b"\xb8" + IPV4[2:]
    assert Layer(is_ethernet=False).together([IPV4, marked]) == [[IPV4], [marked]]


@pytest.mark.parametrize("front", [b"", FRONT], ids=["tun", "tap"])
def test_ipv6_is_answered_whence_it_came(front: bytes) -> None:
    layer = Layer(is_ethernet=bool(front))
    answers = layer.no_ipv6([front + IPV6, front + IPV6[:-1], front + IPV6], ROUTER)
    assert answers is not None
    assert len(answers) == 2, "half a packet gets none"
    for answer in answers:
        assert answer.startswith(front and front[6:12] + front[:6] + front[12:])
        assert layer.destination(answer) == IPV6[8:24]
    assert layer.no_ipv6([front[:12] + (front and b"\x08\x00") + IPV4], ROUTER) is None
    assert layer.no_ipv6([b""], ROUTER) is None


def test_what_is_too_long_is_answered_to_one_station() -> None:
    long = udp_packet(LAPTOP, OFFICE, bytes(1400))
    assert Layer(is_ethernet=False).fit(long, len(long)) == ([long], None)
    sent, answer = Layer(is_ethernet=False).fit(long, len(long) - 1)
    assert (sent, answer is None) == ([], False)
    layer = Layer(is_ethernet=True)
    front = bytes((2,)) + FRONT[1:12] + b"\x08\x00"
    sent, answer = layer.fit(front + long, 1300)
    assert sent == []
    assert answer is not None
    assert answer.startswith(front[6:12] + front[:6] + front[12:])
    for frame, mtu in (
        (front + long, len(long)),
        (b"\xff" + front[1:] + long, 1300),
        (bytes(1400), 1300),
    ):
        assert layer.fit(frame, mtu) == ([frame], None)


@pytest.mark.parametrize("front", [b"", FRONT[:12] + b"\x08\x00"], ids=["tun", "tap"])
def test_what_may_be_cut_is_cut(front: bytes) -> None:
    long = udp_packet(LAPTOP, OFFICE, bytes(1400))
    long = long[:6] + b"\x00" + long[7:]
    sent, answer = Layer(is_ethernet=bool(front)).fit(front + long, 1300)
    assert answer is None
    assert [len(part) - len(front) for part in sent] == [1300, 148]
    assert all(part.startswith(front) for part in sent)


def test_what_is_too_short_is_not_whole() -> None:
    assert Layer(is_ethernet=False).is_whole(IPV4[:20])
    assert not Layer(is_ethernet=False).is_whole(IPV4[:19])
    assert Layer(is_ethernet=True).is_whole(FRONT)
    assert not Layer(is_ethernet=True).is_whole(FRONT[:13])


def test_strange_frames_are_left_as_they_are() -> None:
    frames = [b"", FRONT, FRONT[:12] + b"\x81\x00", bytes(60)]
    assert Layer(is_ethernet=True).clamped(frames, 1000, 1000) == frames
