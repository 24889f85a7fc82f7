"""Which change of network a connection survives, which it must be told of, and which ends it."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from ginnel.core.roaming import (
    NETWORK_CHANGED,
    RESUMED,
    SLEEP_LIMIT,
    Footing,
    Path,
    Reaction,
    react,
)
from ginnel.core.types import Transport

OLD, NEW = ip_address("192.0.2.10"), ip_address("198.51.100.7")
HOME = Path(device="wlan0", index=3, gateway=ip_address("192.0.2.1"), addresses=frozenset({OLD}))
AWAY = Path(device="wlan0", index=3, gateway=ip_address("198.51.100.1"), addresses=frozenset({NEW}))
UDP = Footing(
    transport=Transport.UDP, own_address=None, bound_to=None, established=True, patience=0
)
TCP = replace(UDP, transport=Transport.TCP, own_address=OLD)
NOTHING = (Reaction.NOTHING, "")
ANNOUNCE = (Reaction.ANNOUNCE, "")
RESTART = (Reaction.RESTART, NETWORK_CHANGED)


@pytest.mark.parametrize(
    ("after", "expected"), [(AWAY, ANNOUNCE), (HOME, ANNOUNCE), (None, NOTHING)]
)
def test_udp_goes_on_and_tells_its_address(after: Path | None, expected: object) -> None:
    assert react(HOME, after, UDP, 0.0) == expected


def test_udp_without_keys_begins_anew_elsewhere() -> None:
    fresh = replace(UDP, established=False)
    assert react(HOME, AWAY, fresh, 0.0) == RESTART
    assert react(HOME, HOME, fresh, 0.0) == NOTHING


def test_tcp_ends_with_its_address() -> None:
    assert react(HOME, AWAY, TCP, 0.0) == RESTART
    assert react(HOME, None, TCP, 0.0) == NOTHING, "the cable may be plugged in again"
    assert react(None, AWAY, TCP, 0.0) == RESTART
    assert react(None, HOME, TCP, 0.0) == NOTHING


def test_tcp_survives_another_gateway_and_addresses_that_come() -> None:
    other = replace(HOME, gateway=ip_address("192.0.2.254"))
    assert react(HOME, other, TCP, 0.0) == NOTHING
    assert react(HOME, replace(HOME, addresses=HOME.addresses | {NEW}), TCP, 0.0) == NOTHING


def test_tcp_leaves_a_device_that_no_longer_leads_to_the_server() -> None:
    wired = Path(device="eth0", index=4, gateway=NEW, addresses=frozenset({NEW}))
    assert react(HOME, wired, TCP, 0.0) == RESTART


def test_tcp_from_an_address_that_was_never_on_the_way_is_left_alone() -> None:
    loopback = replace(TCP, own_address=ip_address("127.0.0.1"))
    assert react(HOME, AWAY, loopback, 0.0) == NOTHING
    elsewhere = replace(TCP, own_address=ip_address("203.0.113.5"))
    assert react(HOME, HOME, elsewhere, 0.0) == NOTHING


def test_a_device_that_comes_again_is_not_the_one_that_the_socket_is_bound_to() -> None:
    bound = replace(UDP, bound_to=("wlan0", 3))
    assert react(HOME, HOME, bound, 0.0) == ANNOUNCE
    assert react(None, replace(HOME, index=9), bound, 0.0) == RESTART
    wired = replace(HOME, device="eth0", index=4)
    assert react(HOME, wired, bound, 0.0) == ANNOUNCE, "it may come back as it was"


@pytest.mark.parametrize("footing", [UDP, TCP], ids=["udp", "tcp"])
def test_long_sleep_is_followed_by_a_new_session(footing: Footing) -> None:
    resumed = (Reaction.RESTART, RESUMED)
    assert react(HOME, HOME, footing, SLEEP_LIMIT) == resumed
    assert react(HOME, HOME, footing, SLEEP_LIMIT - 1) != resumed
    assert react(HOME, HOME, replace(footing, patience=120), 119) != resumed
    assert react(HOME, HOME, replace(footing, patience=120), 120) == resumed
    assert react(HOME, None, footing, 3600) == NOTHING, "first there must be a network"
