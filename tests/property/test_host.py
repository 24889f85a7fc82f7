"""Whatever the plans: undo restores the host, a diff leads to the new one, a crash is mended."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ginnel.host.diff import Do, diff
from ginnel.host.executor import Executor
from ginnel.host.journal import EntryState, Journal, Owner, read_journal
from ginnel.host.plan import HostPlan
from ginnel.host.records import BadRecord, parse_record
from ginnel.host.results import Outcome
from ginnel.host.rtnetlink import (
    NetlinkMalformed,
    decode_address,
    decode_link,
    decode_messages,
    decode_route,
)
from ginnel.host.step_records import read_step, read_undo
from ginnel.host.steps import undo
from ginnel.host.underlay import parse_lease, parse_resolver
from ginnel.options.model import RedirectFlag, RouteKeyword, RouteOptions
from tests.unit.host.fake_kernel import FakeKernel, fake_link, fake_route
from tests.unit.host.plans import DUAL, HOME, SUBNET, VPN_GATEWAY, draw, route, route6

OWNER = Owner(
    boot_id="boot",
    network_namespace="4:1",
    helper_pid=11,
    helper_start=22,
    main_pid=33,
    main_start=44,
)


class Crash(Exception):
    """The helper is gone at this very moment."""


networks = st.integers(0, 40).map(lambda n: f"10.{n}.0.0/16") | st.sampled_from(
    ["0.0.0.0/0", "198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/25"]
)
networks6 = st.integers(0, 20).map(lambda n: f"fd00:{n:x}::/64")
metrics = st.none() | st.integers(1, 9)
gateways = st.sampled_from([None, RouteKeyword.NET_GATEWAY])
flags = st.none() | st.frozensets(st.sampled_from(list(RedirectFlag)))


@st.composite
def route_options(draw_: st.DrawFn) -> RouteOptions:
    chosen = draw_(
        st.lists(st.tuples(networks, gateways, metrics), unique_by=lambda r: (r[0], r[2] or 0))
    )
    chosen6 = draw_(st.lists(networks6, unique=True, max_size=5))
    return RouteOptions(
        route_gateway=VPN_GATEWAY,
        routes=tuple(route(network, gateway, metric) for network, gateway, metric in chosen),
        routes_ipv6=tuple(route6(network) for network in chosen6),
        redirect_gateway=draw_(flags),
        redirect_private=draw_(flags),
    )


@st.composite
def plans(draw_: st.DrawFn) -> HostPlan:
    options = draw_(route_options())
    tun = replace(
        draw_(st.sampled_from([SUBNET, DUAL])),
        txqueuelen=draw_(st.none() | st.integers(1, 999)),
        ifconfig=(
            IPv4Address(draw_(st.sampled_from(["10.8.0.4", "10.8.0.9"]))),
            IPv4Address("255.255.255.0"),
        ),
    )
    server = draw_(st.sampled_from(["198.51.100.7", "203.0.113.9"]))
    return draw(options, tun, server=server)


def fresh_kernel() -> FakeKernel:
    assert HOME.address is not None
    return FakeKernel(
        links={3: fake_link(3, "wlan0"), 7: fake_link(7, "tun0", kind="tun")},
        known_routes=[fake_route("0.0.0.0/0", HOME.address, 3, 600, protocol=16)],
    )


@contextmanager
def executor(
    kernel: FakeKernel, observer: Callable[[int], None] = lambda _writes: None
) -> Iterator[tuple[Executor, Path]]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        runtime = Path(folder) / "run"
        journal = Journal(runtime, OWNER, observer)
        try:
            yield Executor(kernel, journal), runtime
        finally:
            journal.abandon()


def carry_out(target: Executor, plan: HostPlan) -> None:
    for item in (*plan.interface, *plan.routes):
        target.apply(item.step)


@settings(deadline=None)
@given(plans())
def test_undo_restores_the_host(plan: HostPlan) -> None:
    kernel = fresh_kernel()
    before = kernel.state()
    with executor(kernel) as (target, runtime):
        carry_out(target, plan)
        target.undo_all()
        assert not list(runtime.glob("*"))
    assert kernel.state() == before


@settings(deadline=None)
@given(plans(), plans())
def test_diff_leads_to_what_the_new_plan_alone_leads_to(old: HostPlan, new: HostPlan) -> None:
    direct, moved = fresh_kernel(), fresh_kernel()
    before = moved.state()
    with executor(direct) as (target, _runtime):
        carry_out(target, new)
    with executor(moved) as (target, _runtime):
        carry_out(target, old)
        for change in diff(old, new):
            if isinstance(change, Do):
                target.apply(change.step)
            else:
                result = target.revert(change.step)
                assert result.outcome is not Outcome.FAILED
        assert without_link(moved) == without_link(direct)
        target.undo_all()
    assert moved.state() == before


def without_link(kernel: FakeKernel) -> tuple[object, ...]:
    """Addresses and routes: a queue length that no new plan names stays until the end."""
    return kernel.state()[1:]


@settings(deadline=None)
@given(plans(), st.integers(1, 60), st.booleans())
def test_crash_at_any_journal_line_is_recovered(plan: HostPlan, line: int, tidy: bool) -> None:
    kernel = fresh_kernel()
    before = kernel.state()

    def crash(writes: int) -> None:
        if writes == line:
            raise Crash

    with executor(kernel, crash) as (target, runtime):
        try:
            carry_out(target, plan)
            if tidy:
                target.undo_all()
        except Crash:
            assert line > 0
        recover(runtime, kernel)
    assert kernel.state() == before


def recover(runtime: Path, kernel: FakeKernel) -> None:
    for path in runtime.glob("*.journal"):
        with path.open("rb") as file:
            entries = read_journal(file.fileno()).entries
        for _number, (change, state) in sorted(entries.items(), reverse=True):
            if state in (EntryState.INTENDED, EntryState.DONE):
                undo(change, kernel)


@settings(deadline=None)
@given(plans(), st.frozensets(st.sampled_from(["add_route", "add_address", "delete_route"])))
def test_refusals_of_the_kernel_leave_nothing_behind(plan: HostPlan, refused: set[str]) -> None:
    kernel = fresh_kernel()
    before = kernel.state()
    with executor(kernel) as (target, _runtime):
        kernel.refuse = set(refused)
        carry_out(target, plan)
        kernel.refuse.clear()
        target.undo_all()
    assert kernel.state() == before


@settings(deadline=None)
@given(route_options(), st.sampled_from(["198.51.100.7", "203.0.113.9"]))
def test_server_is_never_routed_into_its_own_tunnel(options: RouteOptions, server: str) -> None:
    local = RedirectFlag.LOCAL in (options.redirect_gateway or frozenset()) | (
        options.redirect_private or frozenset()
    )
    kernel = fresh_kernel()
    with executor(kernel) as (target, _runtime):
        carry_out(target, draw(options, server=server))
    address = IPv4Address(server)
    matching = [r for r in kernel.known_routes if address in r.network]
    longest = max(route.network.prefixlen for route in matching)
    chosen = min((r for r in matching if r.network.prefixlen == longest), key=lambda r: r.metric)
    assert local or chosen.index == 3


@given(st.binary(max_size=200))
def test_kernel_bytes_decode_or_are_malformed(data: bytes) -> None:
    decoders: tuple[Callable[[bytes], object], ...] = (
        decode_link,
        decode_address,
        decode_route,
        lambda datagram: list(decode_messages(datagram)),
    )
    for decode in decoders:
        try:
            decode(data)
        except NetlinkMalformed:
            continue


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)
kinds = st.sampled_from(
    [
        *("set-link", "add-address", "add-route", "remove-route"),
        *("restore-link", "drop-address", "drop-route", "put-back-route", "drop-device"),
    ]
)
fields = st.sampled_from(
    ["device", "index", "mtu", "network", "gateway", "metric", "local", "prefix", "peer", "message"]
)


@given(kinds, st.dictionaries(fields, json_values | st.just("tun0") | st.just("10.0.0.0/8")))
def test_records_read_or_are_refused(kind: str, rest: dict[str, object]) -> None:
    for read in (read_step, read_undo):
        try:
            read({**rest, "kind": kind})
        except BadRecord:
            continue


@given(st.binary(max_size=300))
def test_any_bytes_are_a_record_or_refused(data: bytes) -> None:
    try:
        parse_record(data)
    except BadRecord:
        return


@given(st.text(max_size=400))
def test_system_files_may_hold_anything(text: str) -> None:
    assert len(parse_resolver(text)) <= 8
    assert len(parse_lease(f"SERVER_ADDRESS={text}")) <= 8
