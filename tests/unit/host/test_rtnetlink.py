"""Netlink bytes both ways; the golden ones were written out by hand from the kernel's headers."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from struct import pack

import pytest

from ginnel.host import rtnetlink
from ginnel.host.rtnetlink import (
    Flag,
    Message,
    MessageType,
    NetlinkMalformed,
    decode_address,
    decode_error,
    decode_link,
    decode_messages,
    decode_route,
    encode_address,
    encode_attribute,
    encode_link,
    encode_message,
    encode_route,
    encode_route_lookup,
    is_cloned,
    may_be_of_table,
)


def test_message_has_length_type_flags_and_sequence() -> None:
    encoded = encode_message(MessageType.NEWROUTE, Flag.REQUEST | Flag.ACK, 9, b"body")
    assert encoded == pack("=IHHII", 20, 24, 5, 9, 0) + b"body"
    assert list(decode_messages(encoded)) == [Message(24, 5, 9, b"body")]


def test_messages_are_aligned_to_four() -> None:
    one = encode_message(MessageType.DONE, 0, 1, b"\x01") + bytes(3)
    assert [m.body for m in decode_messages(one + one)] == [b"\x01", b"\x01"]


@pytest.mark.parametrize("length", [0, 15, 17, 0xFFFFFFFF])
def test_message_length_that_lies_is_malformed(length: int) -> None:
    with pytest.raises(NetlinkMalformed):
        list(decode_messages(pack("=IHHII", length, 3, 0, 0, 0)))


def test_attribute_is_padded() -> None:
    assert encode_attribute(5, b"abcde") == pack("=HH", 9, 5) + b"abcde\0\0\0"


def test_route_as_the_kernel_wants_it() -> None:
    body = encode_route(
        IPv4Network("10.0.0.0/8"), gateway=IPv4Address("10.8.0.1"), index=7, metric=50
    )
    head = bytes([2, 8, 0, 0, 254, 3, 0, 1]) + bytes(4)
    destination = pack("=HH", 8, 1) + bytes([10, 0, 0, 0])
    gateway = pack("=HH", 8, 5) + bytes([10, 8, 0, 1])
    assert body == head + destination + gateway + pack("=HHIHHI", 8, 4, 7, 8, 6, 50)


def test_route_on_the_link_says_so_by_its_scope() -> None:
    body = encode_route(IPv4Network("192.0.2.7/32"), gateway=None, index=3, metric=None)
    assert body[6] == rtnetlink.SCOPE_LINK
    body6 = encode_route(IPv6Network("fd00::/8"), gateway=None, index=3, metric=None)
    assert body6[6] == rtnetlink.SCOPE_UNIVERSE


@pytest.mark.parametrize(
    ("network", "gateway", "index", "metric"),
    [
        (IPv4Network("0.0.0.0/0"), IPv4Address("192.0.2.1"), 3, 100),
        (IPv4Network("10.0.0.0/8"), IPv6Address("fe80::1"), 3, 1),
        (IPv6Network("::/3"), None, 7, 1024),
        (IPv6Network("2001:db8::7/128"), IPv6Address("fe80::1"), 3, 1),
    ],
)
def test_route_reads_back(
    network: IPv4Network | IPv6Network,
    gateway: IPv4Address | IPv6Address | None,
    index: int,
    metric: int,
) -> None:
    body = encode_route(network, gateway=gateway, index=index, metric=metric)
    route = decode_route(body)
    assert route is not None
    assert (route.network, route.gateway, route.index, route.metric) == (
        network,
        gateway,
        index,
        metric,
    )
    assert (route.table, route.protocol, route.kind) == (254, 3, 1)
    assert route.message == body


def test_replay_of_a_route_drops_counters_and_state_but_keeps_its_metrics() -> None:
    head = pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 16, 0, 1, 0x10 | rtnetlink.ROUTE_FLAG_ONLINK)
    gateway = encode_attribute(rtnetlink.RTA_GATEWAY, bytes([192, 0, 2, 1]))
    metrics = encode_attribute(8, encode_attribute(2, pack("=I", 1400)))
    cache = encode_attribute(rtnetlink.RTA_CACHEINFO, bytes(32))
    route = decode_route(head + gateway + cache + metrics)
    assert route is not None
    kept = head[:-4] + pack("=I", rtnetlink.ROUTE_FLAG_ONLINK)
    assert route.message == kept + gateway + metrics


def test_cached_exception_is_known() -> None:
    normal = encode_route(IPv4Network("10.0.0.0/8"), gateway=None, index=1, metric=None)
    cloned = normal[:8] + pack("=I", rtnetlink.ROUTE_FLAG_CLONED) + normal[12:]
    assert not is_cloned(normal)
    assert is_cloned(cloned)


@pytest.mark.parametrize("table", [1, 252, 254, 255, 256, 70_000])
def test_routes_of_other_tables_are_told_undecoded(table: int) -> None:
    body = encode_route(IPv4Network("10.0.0.0/8"), gateway=None, index=3, metric=None, table=table)
    assert may_be_of_table(body, table)
    others = {1, 252, 253, 254, 255} - {table}
    assert [other for other in others if may_be_of_table(body, other)] == []


def test_lookup_asks_for_one_address() -> None:
    body = encode_route_lookup(IPv4Address("198.51.100.7"))
    assert body[:2] == bytes([2, 32])
    assert body.endswith(bytes([198, 51, 100, 7]))


def test_addresses_read_back() -> None:
    plain = decode_address(encode_address(7, IPv4Address("10.8.0.4"), 24, None))
    assert plain is not None
    assert (plain.index, str(plain.local), plain.prefix, plain.peer) == (7, "10.8.0.4", 24, None)
    peer = decode_address(encode_address(7, IPv4Address("10.8.0.6"), 32, IPv4Address("10.8.0.5")))
    assert peer is not None
    assert (str(peer.local), str(peer.peer)) == ("10.8.0.6", "10.8.0.5")


def test_other_families_are_not_ours() -> None:
    assert decode_address(pack("=BBBBI", 7, 0, 0, 0, 1)) is None
    assert decode_route(pack("=BBBBBBBBI", 28, 0, 0, 0, 254, 0, 0, 1, 0)) is None


def test_link_reads_back() -> None:
    body = encode_link(7, up=True, mtu=1360, txqueuelen=100)
    body += encode_attribute(3, b"tun0\0")
    body += encode_attribute(18, encode_attribute(1, b"tun\0"))
    link = decode_link(body)
    assert (link.index, link.name, link.mtu, link.txqueuelen) == (7, "tun0", 1360, 100)
    assert (link.up, link.kind) == (True, "tun")


def test_link_that_is_left_as_it_is_changes_no_flag() -> None:
    assert encode_link(7)[8:] == bytes(8)
    assert encode_link(7, up=False)[8:] == pack("=II", 0, 1)


def test_error_carries_number_and_words() -> None:
    echoed = encode_message(24, 5, 9, b"")
    words = encode_attribute(1, b"Nexthop has invalid gateway\0")
    body = pack("=i", -101) + echoed
    assert decode_error(Message(2, 0, 9, body)) == (101, "")
    assert decode_error(Message(2, Flag.ACK_TLVS, 9, body + words)) == (
        101,
        "Nexthop has invalid gateway",
    )
    assert decode_error(Message(2, Flag.CAPPED, 9, pack("=i", 0) + echoed)) == (0, "")


@pytest.mark.parametrize("decode", [decode_link, decode_address, decode_route])
def test_short_bodies_are_malformed(decode: object) -> None:
    with pytest.raises(NetlinkMalformed):
        decode(b"\x02")  # type: ignore[operator]  # each is a decoder


def test_attribute_length_that_lies_is_malformed() -> None:
    head = pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 3, 0, 1, 0)
    for lie in (0, 3, 9, 0xFFFF):
        with pytest.raises(NetlinkMalformed):
            decode_route(head + pack("=HHI", lie, 4, 1))
