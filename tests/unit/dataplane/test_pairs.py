"""Two engines joined by their links, in every combination: each is the other's oracle."""

import random

import pytest

from ginnel.core.data_key import (
    AEAD_CIPHERS,
    AEAD_FORMATS,
    DataCipher,
    DataFormat,
    KeySlot,
)
from ginnel.core.types import Transport
from tests.unit.dataplane.inner_packets import udp_packet
from tests.unit.dataplane.rig import (
    PEER,
    Bench,
    Node,
    add_peer,
    make_key,
    reversed_key,
    set_keepalive,
    settle,
)

Pair = tuple[str, str]
IN_FLIGHT = 8
"""Packets between the two TUNs at once: a socket that stands for a TUN holds only a few."""


def join(
    made: Bench,
    pair: Pair,
    *,
    layout: DataFormat = DataFormat.V2,
    cipher: DataCipher = DataCipher.AES_256_GCM,
    transport: Transport = Transport.UDP,
    family: int = 4,
) -> tuple[Node, Node]:
    """Two nodes with one key between them, key_id 1 where there are key_ids."""
    if transport is Transport.TCP:
        links = made.tcp_pair(family)
    else:
        links = made.udp(family), made.udp(family)
    left, right = (
        made.node(engine, link, transport=transport)
        for engine, link in zip(pair, links, strict=True)
    )
    key_id = 0 if layout is DataFormat.STATIC else 1
    key = make_key("pair", key_id=key_id, cipher=cipher, layout=layout)
    udp = transport is Transport.UDP
    add_peer(left, right.endpoint if udp else None, key, mss_ipv4=1300)
    add_peer(right, left.endpoint if udp else None, reversed_key(key))
    return left, right


def numbered(number: int, size: int) -> bytes:
    """A packet that differs from every other of the test."""
    body = random.Random(number).randbytes(size)
    return udp_packet("10.8.0.6", "10.8.0.1", body, identity=number)


def stream_across(left: Node, right: Node, packets: list[bytes], first: int = 0) -> None:
    """Sends each packet from left to right, a few at a time, and loses none."""
    for number, packet in enumerate(packets, start=1):
        left.inject(packet)
        behind = first + number - IN_FLIGHT
        if len(right.delivered) < behind:
            settle(
                [left, right],
                lambda behind=behind: len(right.delivered) >= behind,  # type: ignore[misc] # mypy sees no type for a defaulted lambda
                f"packet {behind}",
            )
    total = first + len(packets)
    settle([left, right], lambda: len(right.delivered) >= total, f"{total} packets")


COMBINATIONS = [
    *((layout, cipher) for layout in AEAD_FORMATS for cipher in AEAD_CIPHERS),
    # Each engine alone does every old cipher in the conformance suite.
    (DataFormat.V1, DataCipher.AES_256_CBC),
    (DataFormat.V2, DataCipher.BF_CBC),
    (DataFormat.V2, DataCipher.AES_128_CFB),
    (DataFormat.STATIC, DataCipher.DES_EDE3_CBC),
    (DataFormat.STATIC, DataCipher.NONE),
]


@pytest.mark.parametrize(("layout", "cipher"), COMBINATIONS, ids=lambda it: it.value)
def test_every_cipher_and_format_joins(
    made: Bench, pair: Pair, layout: DataFormat, cipher: DataCipher
) -> None:
    left, right = join(made, pair, layout=layout, cipher=cipher)
    out = [numbered(number, number * 71 % 1400) for number in range(20)]
    back = [numbered(number + 1000, number * 53 % 1400) for number in range(20)]
    stream_across(left, right, out)
    stream_across(right, left, back)
    assert right.delivered == out
    assert left.delivered == back


@pytest.mark.parametrize("transport", list(Transport), ids=lambda it: it.value)
@pytest.mark.parametrize("family", [4, 6])
def test_a_thousand_packets_keep_order_and_content(
    made: Bench, pair: Pair, transport: Transport, family: int
) -> None:
    left, right = join(made, pair, transport=transport, family=family)
    packets = [numbered(number, 100 + number % 1200) for number in range(1000)]
    stream_across(left, right, packets)
    assert right.delivered == packets
    sent, got = left.plane.stats(PEER), right.plane.stats(PEER)
    assert sent.link_write_packets == got.link_read_packets == 1000
    assert sent.link_write_bytes == got.link_read_bytes
    assert sent.tun_read_bytes == got.tun_write_bytes == sum(map(len, packets))
    assert got.drops == ()


@pytest.mark.parametrize("layout", AEAD_FORMATS, ids=lambda layout: layout.value)
def test_keys_change_under_traffic_without_loss(
    made: Bench, pair: Pair, layout: DataFormat
) -> None:
    left, right = join(made, pair, layout=layout)
    sent: list[bytes] = []
    for round_number in range(2, 10):
        packets = [numbered(1000 * round_number + number, 900) for number in range(30)]
        for packet in packets[: IN_FLIGHT // 2]:
            left.inject(packet)
        key = make_key(f"round {round_number}", key_id=round_number % 8, layout=layout)
        right.plane.new_key(PEER, KeySlot.SECONDARY, reversed_key(key))
        left.plane.new_key(PEER, KeySlot.SECONDARY, key)
        left.plane.swap_keys(PEER)
        rest = packets[IN_FLIGHT // 2 :]
        stream_across(left, right, rest, first=len(sent) + IN_FLIGHT // 2)
        right.plane.swap_keys(PEER)
        sent += packets
    assert right.delivered == sent
    assert right.plane.stats(PEER).drops == ()
    assert left.plane.stats(PEER).drops == ()


def test_pings_keep_both_ends_awake(made: Bench, pair: Pair) -> None:
    left, right = join(made, pair)
    for node in (left, right):
        set_keepalive(node, ping_interval=1, ping_timeout=2)

    def both_pinged() -> bool:
        return all(node.plane.stats(PEER).link_read_packets >= 2 for node in (left, right))

    settle([left, right], both_pinged, "two pings each way")
    assert left.reports == right.reports == []
