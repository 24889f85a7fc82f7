"""Each kind of change: prepare, apply and undo against a kernel in memory."""

from ipaddress import IPv4Address, IPv4Network, IPv6Network

import pytest

from ginnel.core.errors import HostError
from ginnel.host.rtnetlink import NoSuchThing
from ginnel.host.steps import (
    AddAddress,
    AddRoute,
    DropDevice,
    RemoveRoute,
    SetLink,
    Step,
    UndoOutcome,
    apply,
    describe,
    kernel_metric,
    prepare,
    undo,
)
from tests.unit.host.fake_kernel import FakeKernel, fake_link, fake_route

GATEWAY = IPv4Address("192.0.2.1")
DEFAULT = IPv4Network("0.0.0.0/0")
OFFICE = IPv4Network("10.0.0.0/8")
LINK = SetLink(device="tun0", index=7, mtu=1360, txqueuelen=100)
ADDRESS = AddAddress(device="tun0", index=7, local=IPv4Address("10.8.0.4"), prefix=24)
ROUTE = AddRoute(network=OFFICE, gateway=IPv4Address("10.8.0.1"), device="tun0", index=7)
REMOVAL = RemoveRoute(network=DEFAULT, gateway=GATEWAY, device="wlan0", index=3, metric=600)


@pytest.fixture
def kernel() -> FakeKernel:
    return FakeKernel(
        links={3: fake_link(3, "wlan0"), 7: fake_link(7, "tun0", kind="tun")},
        known_routes=[fake_route("0.0.0.0/0", GATEWAY, 3, 600, protocol=16)],
    )


@pytest.mark.parametrize("step", [LINK, ADDRESS, ROUTE, REMOVAL], ids=describe)
def test_undo_of_a_step_restores_the_kernel(kernel: FakeKernel, step: Step) -> None:
    before = kernel.state()
    change = prepare(step, kernel)
    assert change is not None
    assert kernel.state() == before
    apply(step, kernel)
    assert kernel.state() != before
    assert undo(change, kernel) is UndoOutcome.UNDONE
    assert kernel.state() == before
    undo(change, kernel)
    assert kernel.state() == before


@pytest.mark.parametrize("step", [LINK, ADDRESS, ROUTE, REMOVAL], ids=describe)
def test_undo_of_what_was_never_applied_changes_nothing(kernel: FakeKernel, step: Step) -> None:
    before = kernel.state()
    change = prepare(step, kernel)
    assert change is not None
    undo(change, kernel)
    assert kernel.state() == before


@pytest.mark.parametrize("step", [ADDRESS, ROUTE, REMOVAL], ids=describe)
def test_what_is_so_already_needs_no_undo(kernel: FakeKernel, step: Step) -> None:
    apply(step, kernel)
    assert prepare(step, kernel) is None


def test_route_of_another_protocol_counts_as_present_but_is_never_removed(
    kernel: FakeKernel,
) -> None:
    change = prepare(ROUTE, kernel)
    assert change is not None
    kernel.known_routes.append(fake_route("10.0.0.0/8", ROUTE.gateway, 7, protocol=4))
    assert prepare(ROUTE, kernel) is None
    assert undo(change, kernel) is UndoOutcome.GONE
    assert len(kernel.known_routes) == 2


@pytest.mark.parametrize(
    "other",
    [
        fake_route("10.0.0.0/8", GATEWAY, 3),
        fake_route("10.0.0.0/8", IPv4Address("10.8.0.1"), 7, 50),
        fake_route("10.0.0.0/9", IPv4Address("10.8.0.1"), 7),
    ],
    ids=["gateway", "metric", "network"],
)
def test_similar_route_of_someone_else_stays(kernel: FakeKernel, other: object) -> None:
    change = prepare(ROUTE, kernel)
    assert change is not None
    apply(ROUTE, kernel)
    kernel.known_routes = [kernel.known_routes[0], other]  # type: ignore[list-item]  # a RouteState
    assert undo(change, kernel) is UndoOutcome.GONE
    assert other in kernel.known_routes


def test_removed_route_is_not_put_back_over_another(kernel: FakeKernel) -> None:
    change = prepare(REMOVAL, kernel)
    assert change is not None
    apply(REMOVAL, kernel)
    kernel.known_routes.append(fake_route("0.0.0.0/0", IPv4Address("192.0.2.99"), 3, 600))
    assert undo(change, kernel) is UndoOutcome.CHANGED
    assert len(kernel.known_routes) == 1


def test_route_over_a_device_that_left_cannot_be_put_back(kernel: FakeKernel) -> None:
    change = prepare(REMOVAL, kernel)
    assert change is not None
    apply(REMOVAL, kernel)
    kernel.delete_link(3)
    assert undo(change, kernel) is UndoOutcome.GONE


def test_link_that_someone_changed_keeps_their_value(kernel: FakeKernel) -> None:
    change = prepare(LINK, kernel)
    assert change is not None
    apply(LINK, kernel)
    kernel.set_link(7, mtu=1200)
    undo(change, kernel)
    link = kernel.links[7]
    assert (link.mtu, link.txqueuelen, link.up) == (1200, 500, False)


def test_link_that_was_up_stays_up(kernel: FakeKernel) -> None:
    kernel.set_link(7, up=True)
    change = prepare(LINK, kernel)
    assert change is not None
    apply(LINK, kernel)
    undo(change, kernel)
    assert kernel.links[7].up


def test_index_that_was_reused_by_another_device_is_left_alone(kernel: FakeKernel) -> None:
    changes = [prepare(LINK, kernel), prepare(ADDRESS, kernel)]
    kernel.links[7] = fake_link(7, "other0", kind="tun")
    kernel.add_address(7, ADDRESS.local, ADDRESS.prefix, None)
    for change in (*changes, DropDevice(device="tun0", index=7)):
        assert change is not None
        assert undo(change, kernel) is UndoOutcome.GONE
    assert kernel.addresses()


def test_only_a_tun_device_is_deleted(kernel: FakeKernel) -> None:
    assert undo(DropDevice(device="wlan0", index=3), kernel) is UndoOutcome.GONE
    assert undo(DropDevice(device="tun0", index=7), kernel) is UndoOutcome.UNDONE
    assert 3 in kernel.links


def test_link_of_another_name_is_refused(kernel: FakeKernel) -> None:
    with pytest.raises(NoSuchThing, match="no device tun9"):
        prepare(SetLink(device="tun9", index=7, mtu=1360), kernel)


def test_removal_of_a_route_that_left_fails(kernel: FakeKernel) -> None:
    kernel.known_routes.clear()
    with pytest.raises(NoSuchThing):
        apply(REMOVAL, kernel)


def test_refusal_of_the_kernel_is_passed_on(kernel: FakeKernel) -> None:
    kernel.refuse.add("delete_route")
    change = prepare(ROUTE, kernel)
    assert change is not None
    apply(ROUTE, kernel)
    with pytest.raises(HostError, match="Operation not permitted"):
        undo(change, kernel)


def test_metric_as_the_kernel_shows_it() -> None:
    assert kernel_metric(OFFICE, None) == 0
    assert kernel_metric(OFFICE, 9) == 9
    assert kernel_metric(IPv6Network("fd00::/8"), None) == 1024
    assert kernel_metric(IPv6Network("fd00::/8"), 0) == 1024
    assert kernel_metric(IPv6Network("fd00::/8"), 33) == 33
