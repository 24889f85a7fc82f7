"""Record, then act: order, failure and undo of a helper's changes."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from ginnel.host.executor import Executor
from ginnel.host.journal import EntryState, Journal, Owner, read_journal
from ginnel.host.results import Outcome
from ginnel.host.steps import AddAddress, AddRoute, RemoveRoute, SetLink
from tests.unit.host.fake_kernel import FakeKernel, fake_link, fake_route

OWNER = Owner(
    boot_id="boot",
    network_namespace="4:1",
    helper_pid=11,
    helper_start=22,
    main_pid=33,
    main_start=44,
)
LINK = SetLink(device="tun0", index=7, mtu=1360)
ADDRESS = AddAddress(device="tun0", index=7, local=IPv4Address("10.8.0.4"), prefix=24)
ROUTE = AddRoute(
    network=IPv4Network("10.0.0.0/8"), gateway=IPv4Address("10.8.0.1"), device="tun0", index=7
)
BYPASS = AddRoute(
    network=IPv4Network("198.51.100.7/32"),
    gateway=IPv4Address("192.0.2.1"),
    device="wlan0",
    index=3,
)
REMOVAL = RemoveRoute(
    network=IPv4Network("0.0.0.0/0"),
    gateway=IPv4Address("192.0.2.1"),
    device="wlan0",
    index=3,
    metric=0,
)


@pytest.fixture
def kernel() -> FakeKernel:
    return FakeKernel(
        links={3: fake_link(3, "wlan0"), 7: fake_link(7, "tun0", kind="tun")},
        known_routes=[fake_route("0.0.0.0/0", IPv4Address("192.0.2.1"), 3)],
    )


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def executor(kernel: FakeKernel, runtime: Path) -> Executor:
    return Executor(kernel, Journal(runtime, OWNER))


def states(runtime: Path) -> list[EntryState]:
    (path,) = runtime.glob("*.journal")
    with path.open("rb") as file:
        return [state for _undo, state in read_journal(file.fileno()).entries.values()]


def test_record_is_on_disk_before_the_kernel_is_asked(kernel: FakeKernel, runtime: Path) -> None:
    seen: list[tuple[int, list[str]]] = []
    journal = Journal(runtime, OWNER, lambda writes: seen.append((writes, list(kernel.calls))))
    Executor(kernel, journal).apply(ROUTE)
    assert seen == [(1, []), (2, ["add_route"])]
    assert states(runtime) == [EntryState.DONE]


def test_everything_is_taken_back_last_first(
    kernel: FakeKernel, executor: Executor, runtime: Path
) -> None:
    before = kernel.state()
    for step in (LINK, ADDRESS, BYPASS, REMOVAL, ROUTE):
        assert executor.apply(step).outcome is Outcome.APPLIED
    kernel.calls.clear()
    results = executor.undo_all()
    assert [result.outcome for result in results] == [Outcome.REVERTED] * 5
    assert kernel.calls[:4] == ["delete_route", "put_back_route", "delete_route", "delete_address"]
    assert kernel.state() == before
    assert list(runtime.iterdir()) == []


def test_routes_go_without_the_interface(kernel: FakeKernel, executor: Executor) -> None:
    for step in (LINK, ADDRESS, BYPASS, ROUTE):
        executor.apply(step)
    assert len(executor.undo_routes()) == 2
    assert kernel.addresses()
    assert len(executor.undo_device("tun0")) == 2
    assert kernel.addresses() == []


def test_made_device_goes_with_the_rest(
    kernel: FakeKernel, executor: Executor, runtime: Path
) -> None:
    executor.device_opened("tun0", 7)
    executor.apply(LINK)
    executor.apply(ADDRESS)
    executor.undo_device("tun0")
    assert 7 not in kernel.links
    assert list(runtime.iterdir()) == []


def test_present_route_is_not_ours(kernel: FakeKernel, executor: Executor) -> None:
    kernel.add_route(ROUTE.network, gateway=ROUTE.gateway, index=7, metric=None)
    assert executor.apply(ROUTE).outcome is Outcome.PRESENT
    assert executor.undo_all() == []
    assert len(kernel.routes(4)) == 2


def test_refused_route_is_forgotten(kernel: FakeKernel, executor: Executor, runtime: Path) -> None:
    executor.apply(LINK)
    kernel.refuse.add("add_route")
    result = executor.apply(ROUTE)
    assert (result.outcome, result.errno) == (Outcome.FAILED, 1)
    assert result.detail == "Operation not permitted"
    assert states(runtime) == [EntryState.DONE, EntryState.FAILED]
    kernel.refuse.clear()
    kernel.add_route(ROUTE.network, gateway=ROUTE.gateway, index=7, metric=None)
    executor.undo_all()
    assert len(kernel.routes(4)) == 2


def test_undo_that_is_refused_stays_journaled(
    kernel: FakeKernel, executor: Executor, runtime: Path
) -> None:
    executor.apply(ROUTE)
    kernel.refuse.add("delete_route")
    assert executor.undo_all()[0].outcome is Outcome.FAILED
    assert states(runtime) == [EntryState.DONE]
    kernel.refuse.clear()
    assert executor.undo_all()[0].outcome is Outcome.REVERTED
    assert list(runtime.iterdir()) == []


def test_without_a_journal_nothing_is_changed(kernel: FakeKernel, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    executor = Executor(kernel, Journal(blocked / "run", OWNER))
    result = executor.apply(ROUTE)
    assert result.outcome is Outcome.FAILED
    assert kernel.calls == []


def test_one_step_is_reverted(kernel: FakeKernel, executor: Executor) -> None:
    executor.apply(ROUTE)
    executor.apply(BYPASS)
    assert executor.revert(ROUTE).outcome is Outcome.REVERTED
    assert executor.revert(ROUTE).outcome is Outcome.GONE
    assert len(kernel.routes(4)) == 2


def test_taken_away_default_route_is_remembered(executor: Executor) -> None:
    assert executor.removed_defaults() == []
    executor.apply(REMOVAL)
    (default,) = executor.removed_defaults()
    assert (default.network, default.index) == (REMOVAL.network, 3)


def test_routes_that_were_added_are_told_apart(executor: Executor) -> None:
    executor.apply(BYPASS)
    executor.apply(REMOVAL)
    assert executor.added_routes() == {(BYPASS.network, BYPASS.gateway, 3)}
    executor.revert(BYPASS)
    assert executor.added_routes() == frozenset()


def test_routes_are_recorded_together_and_made_one_by_one(
    kernel: FakeKernel, runtime: Path
) -> None:
    writes: list[int] = []
    executor = Executor(kernel, Journal(runtime, OWNER, observer=writes.append))
    hundred = [
        replace(ROUTE, network=IPv4Network(f"10.{number}.0.0/16")) for number in range(1, 101)
    ]
    results = executor.apply_together([*hundred, replace(ROUTE, index=99)])
    assert [result.outcome for result in results] == [Outcome.APPLIED] * 100 + [Outcome.FAILED]
    assert len(writes) == 1 + len(results), "one line for all intents, one for each result"
    assert [r.outcome for r in executor.undo_routes()] == [Outcome.REVERTED] * 100
    assert list(runtime.glob("*.journal")) == []
