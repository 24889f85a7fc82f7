"""What a server may ask for while it decides about a login."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ginnel.core.pending import (
    BadRequest,
    TextChallenge,
    WebLogin,
    is_safe_address,
    parse_pending,
)

PAGE = "https://idp.example/x?a=1&b=2"


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("CR_TEXT:R,E:Code?", TextChallenge(text="Code?", echo=True, response_required=True)),
        ("CR_TEXT:R:a:b", TextChallenge(text="a:b", echo=False, response_required=True)),
        ("CR_TEXT::bye", TextChallenge(text="bye", echo=False, response_required=False)),
        ("CR_TEXT", TextChallenge(text="", echo=False, response_required=False)),
        (f"WEB_AUTH::{PAGE}", WebLogin(address=PAGE)),
        (f"WEB_AUTH:hidden:{PAGE}", WebLogin(address=PAGE, hidden=True)),
        ("OPEN_URL:http://idp.example:8080/", WebLogin(address="http://idp.example:8080/")),
        ("hello", None),
        ("", None),
    ],
)  # fmt: skip
def test_requests(text: str, request_: object) -> None:
    assert parse_pending(text) == request_


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "ftp://example.com/",
        "https://",
        "https:///x",
        "//example.com",
        "--help",
        "https://example.com/\n",
        "https://example.com/ x",
        "https://example.com/'$(id)'",
        'https://example.com/"',
        "https://exämple.com/",
        "https://example.com:99999/",
        "https://[::1/",
        "https://example.com/" + "x" * 3000,
        "",
    ],
)
def test_addresses_that_are_not_opened(address: str) -> None:
    assert not is_safe_address(address)
    assert isinstance(parse_pending(f"OPEN_URL:{address}"), BadRequest)
    assert isinstance(parse_pending(f"WEB_AUTH::{address}"), BadRequest)


@given(st.text(max_size=200))
def test_no_text_raises(text: str) -> None:
    for method in ("", "CR_TEXT:", "WEB_AUTH:", "OPEN_URL:", "OPEN_URL:https://"):
        parse_pending(method + text)
