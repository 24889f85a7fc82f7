"""Serialized ids in pkcs11-helper's form, as Debian's openvpn printed them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ginnel.core.token_id import ObjectId, TokenId, parse_object_id, render_object_id

SOFTHSM = "SoftHSM\\x20project/SoftHSM\\x20v2/006636d97fea5232"
TEXTS = st.text(max_size=20)


def named(label: str, number: bytes, serial: str = "006636d97fea5232") -> ObjectId:
    token = TokenId(manufacturer="SoftHSM project", model="SoftHSM v2", serial=serial, label=label)
    return ObjectId(token=token, id=number)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (named("my token", b"\x01"), f"{SOFTHSM}/my\\x20token/01"),
        (
            named("a.b-c_(d)/é~^=", b"\xa1\xb2"),
            f"{SOFTHSM}/a\\x2Eb\\x2Dc_\\x28d\\x29\\x2F\\xC3\\xA9~^=/A1B2",
        ),
    ],
)
def test_as_openvpn_prints_them(name: ObjectId, text: str) -> None:
    assert render_object_id(name) == text
    assert parse_object_id(text) == name


@given(TEXTS, TEXTS, st.binary(max_size=20))
def test_every_name_comes_back(label: str, serial: str, number: bytes) -> None:
    name = named(label, number, serial)
    assert parse_object_id(render_object_id(name)) == name


@pytest.mark.parametrize(
    "text", ["", "x", "a/b/c/d", "a/b/c/d/e/01", "a/b/c/d/0", "a/b/c/d/zz", "a\\x2/b/c/d/01"]
)
def test_rubbish_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_object_id(text)


@given(st.text(max_size=60))
def test_nothing_else_is_raised(text: str) -> None:
    try:
        parse_object_id(text)
    except ValueError:
        return
