"""Session ids that are computed instead of remembered."""

from ipaddress import ip_address

import pytest

from ginnel.core.cookie import CookieMaker
from ginnel.core.types import Endpoint, Instant, SessionId

CLIENT = SessionId(b"client!!")
SOURCE = Endpoint(ip_address("192.0.2.10"), 40000)
NOW = Instant(6000.0)


def maker(secret: bytes = b"s" * 32) -> CookieMaker:
    return CookieMaker(secret, hand_window=60)


def test_a_cookie_is_good_for_its_client_and_address() -> None:
    cookie = maker().make(SOURCE, CLIENT, NOW)
    assert len(cookie) == 8
    assert maker().is_good(cookie, SOURCE, CLIENT, NOW)


@pytest.mark.parametrize(
    ("source", "client"),
    [
        (Endpoint(ip_address("192.0.2.11"), 40000), CLIENT),
        (Endpoint(ip_address("192.0.2.10"), 40001), CLIENT),
        (Endpoint(ip_address("2001:db8::10"), 40000), CLIENT),
        (SOURCE, SessionId(b"another!")),
    ],
)
def test_a_cookie_is_nothing_to_anybody_else(source: Endpoint, client: SessionId) -> None:
    assert not maker().is_good(maker().make(SOURCE, CLIENT, NOW), source, client, NOW)


def test_a_cookie_of_another_process_is_no_good() -> None:
    assert not maker().is_good(maker(b"x" * 32).make(SOURCE, CLIENT, NOW), SOURCE, CLIENT, NOW)


def test_a_cookie_lasts_for_its_slot_and_two_more() -> None:
    made = maker().make(SOURCE, CLIENT, NOW)
    assert maker().is_good(made, SOURCE, CLIENT, Instant(NOW + 89.0))
    assert not maker().is_good(made, SOURCE, CLIENT, Instant(NOW + 90.0))
    assert maker().lifetime == 90.0


def test_a_cookie_from_the_future_is_no_good() -> None:
    made = maker().make(SOURCE, CLIENT, Instant(NOW + 30.0))
    assert not maker().is_good(made, SOURCE, CLIENT, NOW)


def test_a_window_of_a_second_still_has_slots() -> None:
    short = CookieMaker(b"s" * 32, hand_window=0)
    assert short.is_good(short.make(SOURCE, CLIENT, NOW), SOURCE, CLIENT, NOW)
