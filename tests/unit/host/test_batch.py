"""Within one request the routing table is read once, and stays true to our own changes."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Network

import pytest

from ginnel.core.errors import HostError
from ginnel.host.batch import Batch
from ginnel.host.rtnetlink import TABLE_MAIN, AddressState, RouteState
from tests.unit.host.fake_kernel import FakeKernel, fake_link, fake_route

OFFICE = IPv4Network("10.0.0.0/8")
VPN = IPv4Address("10.8.0.1")


class Counting(FakeKernel):
    """Counts how often the table is read."""

    reads = 0

    def routes(self, version: int, table: int = TABLE_MAIN) -> list[RouteState]:
        self.reads += 1
        return super().routes(version, table)


@pytest.fixture
def kernel() -> Counting:
    return Counting(
        links={7: fake_link(7, "tun0", kind="tun")},
        known_routes=[fake_route("192.0.2.0/24", None, 7)],
    )


def test_table_is_read_once_for_many_routes(kernel: Counting) -> None:
    batch = Batch(kernel)
    for number in range(50):
        batch.routes(4)
        network = IPv4Network(f"10.{number}.0.0/16")
        batch.add_route(network, gateway=VPN, index=7, metric=None)
    assert kernel.reads == 1
    assert batch.routes(4) == kernel.known_routes


@pytest.mark.parametrize("network", [OFFICE, IPv6Network("fd00::/8")])
def test_own_changes_are_seen(kernel: Counting, network: IPv4Network | IPv6Network) -> None:
    batch = Batch(kernel)
    before = list(batch.routes(network.version))
    gateway = VPN if network.version == 4 else None
    batch.add_route(network, gateway=gateway, index=7, metric=None)
    (added,) = [route for route in batch.routes(network.version) if route not in before]
    assert added in kernel.known_routes
    batch.delete_route(added)
    assert batch.routes(network.version) == before


def test_addresses_are_read_once_and_own_ones_are_seen(kernel: Counting) -> None:
    batch = Batch(kernel)
    reads = 0
    read = kernel.addresses

    def addresses() -> list[AddressState]:
        nonlocal reads
        reads += 1
        return read()

    kernel.addresses = addresses  # type: ignore[method-assign]  # to count
    for number in range(1, 4):
        batch.addresses()
        batch.add_address(7, IPv4Address(f"10.8.0.{number}"), 24, None)
    assert batch.addresses() == kernel.known_addresses
    assert reads == 1
    batch.delete_address(7, IPv4Address("10.8.0.1"), 24, None)
    assert batch.addresses() == kernel.known_addresses
    assert reads == 2


def test_route_by_a_device_that_the_kernel_chose_needs_no_second_look(kernel: Counting) -> None:
    batch = Batch(kernel)
    batch.routes(4)
    batch.add_route(OFFICE, gateway=VPN, index=None, metric=None)
    (added,) = batch.routes_to(OFFICE, TABLE_MAIN)
    assert (added.gateway, added.index) == (VPN, None)
    assert kernel.reads == 1


def test_tables_are_told_apart(kernel: Counting) -> None:
    batch = Batch(kernel)
    batch.add_route(OFFICE, gateway=VPN, index=7, metric=None, table=1000)
    assert batch.routes_to(OFFICE, TABLE_MAIN) == []
    assert [route.table for route in batch.routes_to(OFFICE, 1000)] == [1000]


def test_what_moves_routes_by_itself_forgets_them(kernel: Counting) -> None:
    batch = Batch(kernel)
    address = (7, IPv4Address("10.8.0.4"), 24, None)
    moves: list[Callable[[], None]] = [
        lambda: batch.set_link(7, up=True),
        lambda: batch.add_address(*address),
        lambda: batch.delete_address(*address),
        lambda: batch.put_back_route(fake_route("10.0.0.0/8", VPN, 7).message),
        lambda: batch.delete_link(7),
    ]
    for number, move in enumerate(moves, start=1):
        batch.routes(4)
        assert kernel.reads == number
        move()
    assert batch.routes(4) == []


def test_refused_route_is_not_remembered(kernel: Counting) -> None:
    batch = Batch(kernel)
    before = list(batch.routes(4))
    kernel.refuse.add("add_route")
    with pytest.raises(HostError):
        batch.add_route(OFFICE, gateway=VPN, index=7, metric=None)
    assert batch.routes(4) == before
    assert batch.link(7) is not None
    assert batch.addresses() == []
