"""Which change of network a connection survives, which it must be told of, and which ends it."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from ginnel.core.roaming import (
    ABSENCE_LIMIT,
    NETWORK_CHANGED,
    RESUMED,
    Absence,
    Footing,
    Path,
    Reaction,
    react,
)
from ginnel.core.types import Transport

OLD, NEW = ip_address("192.0.2.10"), ip_address("198.51.100.7")
HOME = Path(device="wlan0", index=3, gateway=ip_address("192.0.2.1"), addresses=frozenset({OLD}))
AWAY = Path(device="wlan0", index=3, gateway=ip_address("198.51.100.1"), addresses=frozenset({NEW}))
UDP = Footing(transport=Transport.UDP, own_address=None, bound_to=None, floats=True, patience=0)
TCP = replace(UDP, transport=Transport.TCP, own_address=OLD)
NOTHING = (Reaction.NOTHING, "")
ANNOUNCE = (Reaction.ANNOUNCE, "")
RESTART = (Reaction.RESTART, NETWORK_CHANGED)


@pytest.mark.parametrize(
    ("after", "expected"), [(AWAY, ANNOUNCE), (HOME, ANNOUNCE), (None, NOTHING)]
)
def test_udp_goes_on_and_tells_its_address(after: Path | None, expected: object) -> None:
    assert react(HOME, after, UDP, Absence()) == expected


def test_udp_without_keys_begins_anew_elsewhere() -> None:
    fresh = replace(UDP, floats=False)
    assert react(HOME, AWAY, fresh, Absence()) == RESTART
    assert react(HOME, HOME, fresh, Absence()) == NOTHING


def test_tcp_ends_with_its_address() -> None:
    assert react(HOME, AWAY, TCP, Absence()) == RESTART
    assert react(HOME, None, TCP, Absence()) == NOTHING, "the cable may be plugged in again"
    assert react(None, AWAY, TCP, Absence()) == RESTART
    assert react(None, HOME, TCP, Absence()) == NOTHING


def test_tcp_survives_another_gateway_and_addresses_that_come() -> None:
    other = replace(HOME, gateway=ip_address("192.0.2.254"))
    assert react(HOME, other, TCP, Absence()) == NOTHING
    assert react(HOME, replace(HOME, addresses=HOME.addresses | {NEW}), TCP, Absence()) == NOTHING


def test_tcp_leaves_a_device_that_no_longer_leads_to_the_server() -> None:
    wired = Path(device="eth0", index=4, gateway=NEW, addresses=frozenset({NEW}))
    assert react(HOME, wired, TCP, Absence()) == RESTART


def test_tcp_from_an_address_that_was_never_on_the_way_is_left_alone() -> None:
    loopback = replace(TCP, own_address=ip_address("127.0.0.1"))
    assert react(HOME, AWAY, loopback, Absence()) == NOTHING
    elsewhere = replace(TCP, own_address=ip_address("203.0.113.5"))
    assert react(HOME, HOME, elsewhere, Absence()) == NOTHING


def test_a_device_that_comes_again_is_not_the_one_that_the_socket_is_bound_to() -> None:
    bound = replace(UDP, bound_to=("wlan0", 3))
    assert react(HOME, HOME, bound, Absence()) == ANNOUNCE
    assert react(None, replace(HOME, index=9), bound, Absence()) == RESTART
    wired = replace(HOME, device="eth0", index=4)
    assert react(HOME, wired, bound, Absence()) == ANNOUNCE, "it may come back as it was"


@pytest.mark.parametrize("footing", [UDP, TCP], ids=["udp", "tcp"])
def test_long_absence_is_followed_by_a_new_session(footing: Footing) -> None:
    resumed, changed = (Reaction.RESTART, RESUMED), (Reaction.RESTART, NETWORK_CHANGED)
    limit = ABSENCE_LIMIT

    def after(path: Path | None, *, patience: float = 0, **absence: float) -> tuple[Reaction, str]:
        return react(HOME, path, replace(footing, patience=patience), Absence(**absence))

    assert after(HOME, asleep=limit) == resumed
    assert after(HOME, offline=limit) == changed
    assert after(HOME, asleep=limit / 2, offline=limit / 2) == changed
    assert after(HOME, asleep=limit - 1)[0] is not Reaction.RESTART
    assert after(HOME, patience=120, offline=119)[0] is not Reaction.RESTART
    assert after(HOME, patience=120, asleep=120) == resumed
    assert after(None, asleep=3600) == NOTHING, "first there must be a network"


def test_an_old_server_that_knows_only_addresses_is_left_when_ours_changes() -> None:
    old = replace(UDP, floats=False)
    more = replace(HOME, addresses=HOME.addresses | {NEW})
    assert react(HOME, more, old, Absence()) == NOTHING, "a temporary IPv6 address, for example"
    assert react(more, HOME, old, Absence()) == RESTART
    assert react(None, HOME, old, Absence()) == RESTART
