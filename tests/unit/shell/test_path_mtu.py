"""What the system says of a path, and what a data plane is told of it."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from ginnel.core.actions import FitPath
from ginnel.core.payload import PayloadTerms
from ginnel.core.types import ActionId, Endpoint, PeerId
from ginnel.options.model import LinkOptions
from ginnel.shell.path_mtu import fit_path, path_mtu
from tests.unit.shell.stand_ins import FakePlane, Story

LOOPBACK_MTU = 65_536
LONGEST_IPV4 = 65_535


@pytest.mark.parametrize("local", [None, IPv4Address("127.0.0.1")])
def test_a_path_has_the_mtu_of_its_first_link(local: IPv4Address | None) -> None:
    there = Endpoint(IPv4Address("127.0.0.1"), 9)
    assert path_mtu(there, local, LinkOptions()) == LONGEST_IPV4
    assert path_mtu(there, local, LinkOptions(bind_dev="lo")) == LONGEST_IPV4


def test_ipv6_has_its_own() -> None:
    assert path_mtu(Endpoint(IPv6Address("::1"), 9), None, LinkOptions()) == LOOPBACK_MTU


def test_an_address_that_is_not_ours_has_no_path() -> None:
    there = Endpoint(IPv4Address("127.0.0.1"), 9)
    assert path_mtu(there, IPv4Address("192.0.2.77"), LinkOptions()) is None


@pytest.mark.parametrize("payload", [None, PayloadTerms(fragment=1200)])
def test_the_data_plane_is_told(payload: PayloadTerms | None) -> None:
    plane = FakePlane(Story())
    fit_path(
        plane,
        FitPath(
            id=ActionId(1),
            peer_id=PeerId(0),
            mss_ipv4=1208,
            mss_ipv6=1188,
            inner_mtu=1248,
            payload=payload,
        ),
    )
    assert plane.path == (1208, 1188, 1248)
    assert plane.payload == payload
    plane.close()
