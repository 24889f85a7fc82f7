"""Values that came from a file or another process are checked before they are used."""

from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network

import pytest

from ginnel.host import records
from ginnel.host.records import BadRecord, Record


def test_fields_read_back() -> None:
    record: Record = {
        "text": "words",
        "number": 7,
        "flag": True,
        "list": [1, 2],
        "device": "wlp3s0",
        "address": "2001:db8::1",
        "network": "fd00::/8",
        "bytes": "00ff",
        "nothing": None,
    }
    assert records.text_field(record, "text") == "words"
    assert records.number_field(record, "number") == 7
    assert records.flag_field(record, "flag") is True
    assert records.list_field(record, "list", 2) == [1, 2]
    assert records.device_field(record, "device") == "wlp3s0"
    assert records.address_field(record, "address") == IPv6Address("2001:db8::1")
    assert records.network_field(record, "network") == IPv6Network("fd00::/8")
    assert records.bytes_field(record, "bytes") == b"\x00\xff"
    assert records.optional_number(record, "nothing") is None
    assert records.optional_device(record, "absent") is None
    assert records.optional_address(record, "nothing") is None


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (records.text_field, 7),
        (records.text_field, "x" * 5000),
        (records.text_field, "zero\0byte"),
        (records.text_field, "half a pair \ud800"),
        (records.number_field, "7"),
        (records.number_field, True),
        (records.number_field, -1),
        (records.number_field, 1 << 32),
        (records.number_field, 1.5),
        (records.flag_field, 1),
        (records.device_field, ""),
        (records.device_field, "a/b"),
        (records.device_field, ".."),
        (records.device_field, "a b"),
        (records.device_field, "sixteen-letters-"),
        (records.device_field, "line\n"),
        (records.address_field, "192.0.2.256"),
        (records.address_field, None),
        (records.network_field, "192.0.2.1/24"),
        (records.network_field, "1" * 70),
        (records.bytes_field, "0"),
        (records.bytes_field, "zz"),
    ],
)
def test_value_of_the_wrong_kind_is_refused(
    read: Callable[[Record, str], object], value: object
) -> None:
    with pytest.raises(BadRecord, match=r"^it$"):
        read({"it": value}, "it")


def test_list_that_is_too_long_is_refused() -> None:
    with pytest.raises(BadRecord):
        records.list_field({"it": [1, 2, 3]}, "it", 2)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"1", b"\xff", b"{", b"{} {}", "\xa0{}".encode(), b"[" * 100_000]
)
def test_only_an_object_is_a_record(text: bytes) -> None:
    with pytest.raises(BadRecord):
        records.parse_record(text)


def test_record_is_one_line() -> None:
    rendered = records.render_record({"a": "line\nbreak", "b": [1]})
    assert b"\n" not in rendered
    assert records.parse_record(rendered) == {"a": "line\nbreak", "b": [1]}
