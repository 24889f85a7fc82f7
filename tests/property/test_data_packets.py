"""Data packets: whatever is sealed opens again, and no bytes do anything but open or drop."""

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from ginnel.core.data_key import (
    AEAD_CIPHERS,
    AEAD_FORMATS,
    OLD_CIPHERS,
    OLD_FORMATS,
    DataCipher,
    DataFormat,
)
from ginnel.core.errors import Malformed
from ginnel.dataplane import formats
from ginnel.dataplane.open_key import open_key
from ginnel.dataplane.reference_inner import clamp_mss, destination
from ginnel.dataplane.reference_keys import Dropped, PacketKey, UsageLimits
from ginnel.options.ciphers import DATA_DIGESTS, CipherMode
from tests.unit.dataplane.inner_packets import SYN, tcp_packet, transport_checksum_is_right
from tests.unit.dataplane.rig import PEER, make_key, reversed_key

layouts = st.sampled_from(AEAD_FORMATS)
ciphers = st.sampled_from(AEAD_CIPHERS)


old_ciphers = st.sampled_from(OLD_CIPHERS)
digests = st.sampled_from(DATA_DIGESTS)


def both_ends(layout: DataFormat, cipher: DataCipher, key_id: int) -> tuple[PacketKey, PacketKey]:
    key = make_key("property", layout=layout, cipher=cipher, key_id=key_id)
    left, right = (
        open_key(half, send_peer_id=PEER, replay_window=64, replay_time=15, limits=UsageLimits())
        for half in (key, reversed_key(key))
    )
    return left, right


@given(layouts, ciphers, st.integers(0, 7), st.lists(st.binary(min_size=1, max_size=1500)))
def test_what_is_sealed_opens_again(
    layout: DataFormat, cipher: DataCipher, key_id: int, payloads: list[bytes]
) -> None:
    sender, receiver = both_ends(layout, cipher, key_id)
    for payload in payloads:
        packet = sender.seal(payload)
        header = formats.decode_header(packet)
        assert header.key_id == key_id
        assert receiver.open(header, packet, 0.0) == payload


@given(layouts, ciphers, st.binary(min_size=1, max_size=200), st.data())
def test_any_change_to_a_packet_is_noticed(
    layout: DataFormat, cipher: DataCipher, payload: bytes, data: st.DataObject
) -> None:
    sender, receiver = both_ends(layout, cipher, 0)
    packet = bytearray(sender.seal(payload))
    # The first byte of DATA_V1 is not authenticated: it only chooses the key (protocol-facts 9).
    first = 1 if layout is DataFormat.V1 else 0
    at = data.draw(st.integers(first, len(packet) - 1))
    packet[at] ^= data.draw(st.integers(1, 255))
    try:
        header = formats.decode_header(bytes(packet))
        opened = receiver.open(header, bytes(packet), 0.0)
    except (Dropped, Malformed):
        return
    raise AssertionError(f"a changed packet opened as {opened!r}")


def old_ends(
    layout: DataFormat, cipher: DataCipher, auth: str
) -> tuple[PacketKey, PacketKey] | None:
    """Both ends of a key with an HMAC; None where the format has no such cipher."""
    if layout is DataFormat.STATIC and cipher.mode in (CipherMode.CFB, CipherMode.OFB):
        return None
    key = make_key("property", layout=layout, cipher=cipher, auth=auth)
    left, right = (
        open_key(half, send_peer_id=PEER, replay_window=64, replay_time=15, limits=UsageLimits())
        for half in (key, reversed_key(key))
    )
    return left, right


def header_of(layout: DataFormat, packet: bytes) -> formats.DataHeader:
    return formats.NO_HEADER if layout is DataFormat.STATIC else formats.decode_header(packet)


old_layouts = st.sampled_from(OLD_FORMATS)


@given(old_layouts, old_ciphers, digests, st.lists(st.binary(min_size=1, max_size=1500)))
def test_what_is_sealed_with_an_hmac_opens_again(
    layout: DataFormat, cipher: DataCipher, auth: str, payloads: list[bytes]
) -> None:
    ends = old_ends(layout, cipher, auth)
    if ends is None:
        return
    sender, receiver = ends
    for payload in payloads:
        packet = sender.seal(payload)
        assert receiver.open(header_of(layout, packet), packet, 0.0) == payload


@given(old_layouts, old_ciphers, digests, st.binary(min_size=1, max_size=200), st.data())
def test_any_change_behind_the_header_is_noticed(
    layout: DataFormat, cipher: DataCipher, auth: str, payload: bytes, data: st.DataObject
) -> None:
    ends = old_ends(layout, cipher, auth)
    if ends is None:
        return
    sender, receiver = ends
    packet = bytearray(sender.seal(payload))
    header = header_of(layout, bytes(packet))
    at = data.draw(st.integers(header.length, len(packet) - 1))
    packet[at] ^= data.draw(st.integers(1, 255))
    try:
        opened = receiver.open(header, bytes(packet), 0.0)
    except (Dropped, Malformed):
        return
    raise AssertionError(f"a changed packet opened as {opened!r}")


@given(old_layouts, old_ciphers, st.binary(max_size=200))
def test_arbitrary_bytes_without_a_digest_open_or_drop(
    layout: DataFormat, cipher: DataCipher, packet: bytes
) -> None:
    """Nobody vouches for a packet here; it must do no more than come through."""
    ends = old_ends(layout, cipher, "none")
    if ends is None:
        return
    _, receiver = ends
    with suppress(Dropped, Malformed):
        assert receiver.open(header_of(layout, packet), packet, 0.0)


@given(layouts, st.binary(max_size=200))
def test_arbitrary_bytes_are_dropped(layout: DataFormat, packet: bytes) -> None:
    _, receiver = both_ends(layout, DataCipher.AES_256_GCM, 0)
    try:
        opened = receiver.open(formats.decode_header(packet), packet, 0.0)
    except (Dropped, Malformed):
        return
    raise AssertionError(f"arbitrary bytes opened as {opened!r}")


@given(st.binary(max_size=120), st.integers(0, 65535), st.integers(0, 65535))
def test_clamping_any_bytes_keeps_their_length(packet: bytes, mss4: int, mss6: int) -> None:
    assert len(clamp_mss(packet, mss4, mss6)) == len(packet)
    assert destination(packet) is None or len(packet) >= 20


@settings(max_examples=200)
@given(
    st.sampled_from([("10.8.0.6", "10.8.0.1"), ("fd00::6", "fd00::1")]),
    st.binary(max_size=40).map(lambda options: options[: len(options) // 4 * 4]),
    st.binary(max_size=60),
    st.integers(1, 65535),
)
def test_clamping_any_options_keeps_the_checksum_right(
    ends: tuple[str, str], options: bytes, payload: bytes, limit: int
) -> None:
    packet = tcp_packet(*ends, flags=SYN, options=options, payload=payload)
    clamped = clamp_mss(packet, limit, limit)
    assert transport_checksum_is_right(clamped)
    assert clamp_mss(clamped, limit, limit) == clamped
