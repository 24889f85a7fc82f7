"""Questions to the kernel's netlink that every user may ask."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from ginnel.core.errors import HostError
from ginnel.host.netlink import Netlink
from ginnel.host.rtnetlink import NoSuchThing


def test_loopback_is_found_by_number_and_name() -> None:
    with Netlink() as netlink:
        by_name = netlink.link_named("lo")
        assert by_name is not None
        assert netlink.link(by_name.index) == by_name
        assert by_name in netlink.links()


def test_absent_device_is_none() -> None:
    with Netlink() as netlink:
        assert netlink.link_named("no-such-device0") is None
        assert netlink.link(1 << 30) is None


def test_way_to_this_host_itself_is_known() -> None:
    with Netlink() as netlink:
        route = netlink.route_to(IPv4Address("127.0.0.1"))
    assert route is not None
    assert route.network == IPv4Network("127.0.0.1/32")


def test_refusal_names_step_and_cause() -> None:
    with Netlink() as netlink, pytest.raises(NoSuchThing) as caught:
        netlink.set_link(1 << 30, mtu=1400)
    assert caught.value.step == "set link"
    assert caught.value.errno == 19
    assert "No such device" in caught.value.detail


def test_closed_socket_is_an_error_of_ours() -> None:
    netlink = Netlink()
    netlink.close()
    netlink.close()
    with pytest.raises(HostError):
        netlink.links()
