"""DER, strictly: what is cut short or written longer than need be is refused."""

import pytest

from ginnel.core.der import INTEGER, SEQUENCE, bits, dotted, elements, inside, integer, only


def test_elements_side_by_side() -> None:
    long = bytes(200)
    content = b"\x02\x01\x05\x30\x00\x04\x81\xc8" + long
    assert elements(content) == [(INTEGER, b"\x05"), (SEQUENCE, b""), (4, long)]
    assert elements(b"") == []


@pytest.mark.parametrize(
    "content",
    [
        "02",
        "0201",
        "020205",
        "1f0100",  # a tag of more than one octet
        "3080",  # of indefinite length
        "04817f" + "00" * 127,  # longer than need be
        "04820080" + "00" * 128,
        "0485000000000100",
        "0481",
        "0484ffffffff00",
    ],
)
def test_what_is_not_der(content: str) -> None:
    with pytest.raises(ValueError, match="DER"):
        elements(bytes.fromhex(content))


def test_one_element_of_one_kind() -> None:
    assert only(SEQUENCE, b"\x30\x01\x00") == b"\x00"
    assert inside(INTEGER, (INTEGER, b"\x01")) == b"\x01"
    for content in (b"", b"\x30\x00\x30\x00", b"\x31\x00"):
        with pytest.raises(ValueError, match="in place of"):
            only(SEQUENCE, content)


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("550403", "2.5.4.3"),
        ("2a864886f70d010101", "1.2.840.113549.1.1.1"),
        ("27", "0.39"),
        ("28", "1.0"),
        ("883703", "2.999.3"),
        ("5581" + "ff" * 20 + "7f", None),  # a number past 128 bits
        ("", None),
        ("5581", None),
        ("558001", None),
        ("8055", None),
    ],
)
def test_object_identifiers(content: str, shown: str | None) -> None:
    if shown is not None:
        assert dotted(bytes.fromhex(content)) == shown
        return
    with pytest.raises(ValueError, match="object identifier"):
        dotted(bytes.fromhex(content))


def test_integers() -> None:
    assert [integer(bytes.fromhex(text)) for text in ("00", "7f", "0080", "80", "ff7f")] == [
        *(0, 127, 128, -128, -129)
    ]
    for text in ("", "0000", "007f", "ffff", "ff80"):
        with pytest.raises(ValueError, match="integer"):
            integer(bytes.fromhex(text))


def test_bit_strings() -> None:
    assert bits(b"\x05\xa0") == b"\xa0"
    assert bits(b"\x00") == b""
    for content in (b"", b"\x08\x00", b"\x01", b"\x05\xb0"):
        with pytest.raises(ValueError, match="bit string"):
            bits(content)
