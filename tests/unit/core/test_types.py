"""Sides of a session, and addresses of the link that may not be known."""

from ipaddress import ip_address

from ginnel.core.types import Endpoint, Side


def test_an_unspecified_address_is_anybody() -> None:
    anybody = Endpoint(ip_address("::"), 0)
    assert anybody.is_anybody
    assert anybody.known is None
    somebody = Endpoint(ip_address("192.0.2.1"), 1194)
    assert somebody.known == somebody


def test_each_side_has_another() -> None:
    assert (Side.CLIENT.other, Side.SERVER.other) == (Side.SERVER, Side.CLIENT)


def test_ipv4_in_ipv6_shows_as_ipv4() -> None:
    assert str(Endpoint(ip_address("::ffff:192.0.2.7"), 5)) == "[AF_INET6]::ffff:192.0.2.7:5"
    assert str(Endpoint(ip_address("2001:db8::7"), 5)) == "[AF_INET6]2001:db8::7:5"
