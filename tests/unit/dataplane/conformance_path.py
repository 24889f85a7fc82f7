"""What every data plane must do where a peer's path takes only shorter packets than it is given."""

import time

import pytest

from ginnel.dataplane.api import ServingRules
from tests.unit.dataplane.conformance import facing
from tests.unit.dataplane.inner_packets import (
    checksum,
    ip_packet,
    transport_checksum_is_right,
    udp_packet,
)
from tests.unit.dataplane.rig import PEER, Bench, Hand, unseal
from tests.unit.dataplane.serving import Office

NARROW = 1300
ENDS = {4: ("10.8.0.6", "10.8.0.1"), 6: ("fd00:8::6", "fd00:8::1")}
HEADERS = {4: 20, 6: 40}
ICMP, UDP = 1, 17
ECHO, UNREACHABLE = b"\x08\x00", b"\x03\x01"
IPV4 = b"\x08\x00"


def of_length(length: int, family: int = 4, ends: tuple[str, str] | None = None) -> bytes:
    """A datagram that no router may cut."""
    return udp_packet(*(ends or ENDS[family]), bytes(length - HEADERS[family] - 8))


def changed(packet: bytes, at: int, value: bytes) -> bytes:
    """With other bytes; nobody sums these headers on their way."""
    return packet[:at] + value + packet[at + len(value) :]


def narrow(made: Bench, engine: str, mtu: int = NARROW) -> Hand:
    hand = facing(made, engine)
    hand.node.plane.set_path(PEER, (0, 0), mtu)
    return hand


def assert_answers(answer: bytes, asked: bytes, mtu: int) -> None:
    """It is what a router tells the sender of a packet."""
    if asked[0] >> 4 == 4:
        assert (answer[12:16], answer[16:20]) == (asked[16:20], asked[12:16])
        assert (answer[9], answer[20:22]) == (ICMP, b"\x03\x04")
        assert int.from_bytes(answer[24:28], "big") == mtu
        assert answer[28:] == asked[:548]
        assert int.from_bytes(answer[2:4], "big") == len(answer)
        assert checksum(answer[:20]) == checksum(answer[20:]) == 0
    else:
        assert (answer[8:24], answer[24:40]) == (asked[24:40], asked[8:24])
        assert (answer[6], answer[40:42]) == (58, b"\x02\x00")
        assert int.from_bytes(answer[44:48], "big") == mtu
        assert answer[48:] == asked[:1232]
        assert transport_checksum_is_right(answer)


@pytest.mark.parametrize("family", [4, 6])
def test_what_is_too_long_is_answered_with_how_long_it_may_be(
    made: Bench, engine: str, family: int
) -> None:
    hand = narrow(made, engine)
    longest, longer = of_length(NARROW, family), of_length(NARROW + 1, family)
    hand.node.inject(longest)
    assert unseal(hand.key, hand.expect(1)[-1]).payload == longest
    hand.node.inject(longer)
    assert_answers(hand.delivered(1)[0], longer, NARROW)
    hand.dropped("link-emsgsize")
    assert len(hand.collect()) == 1
    hand.node.plane.set_path(PEER, (0, 0), None)
    hand.node.inject(longer)
    assert unseal(hand.key, hand.expect(2)[-1]).payload == longer


def test_an_echo_is_answered_and_an_error_is_not(made: Bench, engine: str) -> None:
    hand = narrow(made, engine)
    echo, error = (ip_packet(*ENDS[4], ICMP, kind + bytes(1400)) for kind in (ECHO, UNREACHABLE))
    hand.node.inject(error)
    assert unseal(hand.key, hand.expect(1)[-1]).payload == error
    hand.node.inject(echo)
    assert_answers(hand.delivered(1)[0], echo, NARROW)


def test_what_must_not_be_answered_is_sent(made: Bench, engine: str) -> None:
    """Where the system does not take it, it is lost there."""
    hand = narrow(made, engine, 1200)
    whole = of_length(1280)
    packets = [
        of_length(1280, 6),  # which every path of IPv6 takes
        changed(changed(whole, 6, b"\x00"), 0, b"\x46"),  # may be cut, but has options
        changed(whole, 6, b"\x40\x01"),  # not a first part
        changed(whole, 12, bytes(4)),  # from nobody
        changed(whole, 12, b"\xff\xff\xff\xff"),
        changed(whole, 16, b"\xe0\x00\x00\xfb"),  # to many
        changed(of_length(1281, 6), 8, bytes(16)),
        changed(of_length(1281, 6), 24, b"\xff\x02"),
        changed(whole, 2, b"\xff\xff"),  # longer than it is
    ]
    for packet in packets:
        hand.node.inject(packet)
    sent = [unseal(hand.key, one).payload for one in hand.expect(len(packets))]
    assert sent == packets
    assert hand.node.delivered == []


def test_what_may_be_cut_is_sent_in_parts(made: Bench, engine: str) -> None:
    hand = narrow(made, engine)
    whole = udp_packet(*ENDS[4], bytes(range(250)) * 12)
    hand.node.inject(changed(whole, 6, b"\x00"))
    parts = [unseal(hand.key, packet).payload for packet in hand.expect(3)]
    assert [len(part) for part in parts] == [1300, 1300, 20 + 3008 - 2 * 1280]
    assert [part[6:8] for part in parts] == [b"\x20\x00", b"\x20\xa0", b"\x01\x40"]
    assert b"".join(part[20:] for part in parts) == whole[20:]
    for part in parts:
        assert int.from_bytes(part[2:4], "big") == len(part)
        assert (part[4:6], part[12:20]) == (whole[4:6], whole[12:20])
        assert checksum(part[:20]) == 0
    assert hand.node.drops() == {}


def test_a_flood_of_what_is_too_long_gets_few_answers(made: Bench, engine: str) -> None:
    hand = narrow(made, engine)
    started = time.monotonic()
    longer = of_length(NARROW + 1)
    for sent in range(1, 401):
        hand.node.inject(longer)
        if sent % 50 == 0:
            hand.dropped("link-emsgsize", sent)
    at_once, a_second = 51, 1000
    hand.settle(lambda: len(hand.node.delivered) >= at_once, "as many answers as come at once")
    most = at_once + (time.monotonic() - started) * a_second + 1
    assert len(hand.node.delivered) <= most


@pytest.mark.parametrize("family", [4, 6])
def test_another_peer_is_answered_as_the_device_is(made: Bench, engine: str, family: int) -> None:
    office = Office(made, engine, ServingRules(client_to_client=True))
    first, second = office.client(), office.client()
    office.node.plane.set_path(second.peer_id, (0, 0), NARROW)
    ends = (first.address, second.address) if family == 4 else (first.address6, second.address6)
    longest, longer = (of_length(length, family, ends) for length in (NARROW, NARROW + 1))
    back = of_length(NARROW + 1, family, (ends[1], ends[0]))
    first.send(longer)
    office.settle(first.opened, "the answer")
    (answer,) = first.opened()
    assert_answers(answer, longer, NARROW)
    second.dropped("link-emsgsize")
    second.send(back)
    first.gets(answer, back)
    first.send(longest)
    second.gets(longest)
    assert office.delivered == []


def test_frames_are_answered_whence_they_came(made: Bench, engine: str) -> None:
    office = Office(made, engine, ethernet=True)
    client = office.client()
    host, everybody = bytes((2, 0, 0, 0, 9, 9)), b"\xff" * 6
    client.send(host + client.mac + b"\x88\xb5" + bytes(46))
    office.settle(lambda: office.delivered, "the client's address")
    office.node.plane.set_path(client.peer_id, (0, 0), NARROW)
    there, back = client.mac + host, host + client.mac
    tag = b"\x81\x00\x00\x07"
    fitting = [
        there + IPV4 + of_length(NARROW),
        there + tag + IPV4 + of_length(NARROW - 4),
        everybody + host + IPV4 + of_length(NARROW + 1),  # and may not be cut
        there + b"\x88\xb5" + bytes(NARROW + 1),
    ]
    for frame in fitting:
        office.node.inject(frame)
    client.gets(*fitting)
    for front, mtu in ((IPV4, NARROW), (tag + IPV4, NARROW - 4)):
        packet = of_length(mtu + 1)
        office.node.inject(there + front + packet)
        office.settle(lambda: len(office.delivered) > 1, "the answer")
        answer = office.node.delivered.pop()
        assert answer.startswith(back + front)
        assert_answers(answer[12 + len(front) :], packet, mtu)
