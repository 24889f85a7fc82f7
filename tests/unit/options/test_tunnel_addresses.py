"""Addresses that cannot be a tunnel's are told apart, from wherever they come."""

from ipaddress import IPv4Address, IPv6Address, IPv6Interface

import pytest

from ginnel.options.errors import ConfigError
from ginnel.options.model import DeviceType, Topology, TunOptions
from ginnel.options.push_update import apply_update
from ginnel.options.pushed import apply_push
from ginnel.options.tunnel_addresses import address_problem
from tests.unit.options.memory_files import run

BASE = run().options


def problem(local: str, second: str, topology: Topology = Topology.SUBNET) -> str | None:
    pair = (IPv4Address(local), IPv4Address(second))
    return address_problem(TunOptions(topology=topology, ifconfig=pair))


@pytest.mark.parametrize(
    "mask", ["255.255.255.0", "255.255.255.255", "128.0.0.0", "255.255.255.254"]
)
def test_netmasks(mask: str) -> None:
    assert problem("10.8.0.2", mask) is None


@pytest.mark.parametrize("mask", ["10.8.0.1", "255.0.255.0", "0.0.0.0", "0.0.0.255"])
def test_what_is_no_netmask(mask: str) -> None:
    assert "must be a netmask" in (problem("10.8.0.2", mask) or "")
    tap = TunOptions(dev_type=DeviceType.TAP, ifconfig=(IPv4Address("10.8.0.2"), IPv4Address(mask)))
    assert "tap device" in (address_problem(tap) or "")


@pytest.mark.parametrize("topology", [Topology.NET30, Topology.P2P])
def test_ends_of_a_line(topology: Topology) -> None:
    assert problem("10.8.0.6", "10.8.0.5", topology) is None
    assert "other end" in (problem("10.8.0.6", "0.0.0.0", topology) or "")


@pytest.mark.parametrize("local", ["0.0.0.0", "127.0.0.1", "224.0.0.5", "255.255.255.255"])
def test_what_is_no_address_of_a_tunnel(local: str) -> None:
    assert "cannot be the address" in (problem(local, "255.255.255.0") or "")


@pytest.mark.parametrize("address", ["::", "::1", "ff02::1"])
def test_what_is_no_ipv6_address_of_a_tunnel(address: str) -> None:
    tun = TunOptions(
        ifconfig_ipv6=IPv6Interface(f"{address}/64"), ifconfig_ipv6_remote=IPv6Address("fd00::1")
    )
    assert "ifconfig-ipv6" in (address_problem(tun) or "")
    assert address_problem(TunOptions(ifconfig_ipv6=IPv6Interface("fd00::2/64"))) is None


def test_a_push_that_contradicts_itself_is_a_failure() -> None:
    items = ("ifconfig 10.8.0.6 10.8.0.5", "topology subnet")
    assert "must be a netmask" in (apply_push(BASE, items).failure or "")
    assert apply_push(BASE, items[:1]).failure is None
    assert "must be a netmask" in (apply_update(BASE, items[:1], items[1:]).failure or "")


def test_a_file_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be a netmask"):
        run("--ifconfig", "10.8.0.6", "10.8.0.5", "--topology", "subnet")
