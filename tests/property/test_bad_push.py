"""Whatever a server pushes: options, plan and changes come out, and nothing raises."""

from dataclasses import replace
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from ginnel.core.actions import TunnelConfig
from ginnel.core.types import Endpoint
from ginnel.host.diff import changes, diff
from ginnel.host.messages import change_record, read_change
from ginnel.host.plan import HostPlan, plan_tunnel
from ginnel.options.push_update import apply_update
from ginnel.options.pushed import MAX_REFUSED, apply_push
from ginnel.options.table import all_rows
from tests.unit.host.plans import DEVICE, DUAL, UNDERLAY, config
from tests.unit.options.memory_files import run

BASE = run("--route", "172.16.0.0", "255.240.0.0").options
NAMES = sorted(row.name for row in all_rows().values() if row.push is not None)
WORDS = st.one_of(
    st.sampled_from(
        [
            *("0.0.0.0", "255.255.255.255", "255.255.255.0", "255.0.255.0", "128.0.0.0"),
            *("10.8.0.1", "10.8.0.2", "192.0.2.1", "198.51.100.1", "127.0.0.1", "224.0.0.1"),
            *("fd00::1/64", "fd00::2", "::/0", "ff02::1/64", "fe80::1%eth0/64", "::1/128"),
            *("vpn_gateway", "net_gateway", "remote_host", "default", "subnet", "net30", "p2p"),
            *("def1", "ipv6", "!ipv4", "block-local", "bypass-dns", "local", "server", "DNS"),
            *("-1", "0", "1", "68", "1500", "65536", "70000", "99999999999999999999", "0x10"),
        ]
    ),
    st.text(max_size=12),
    st.integers(0, 3000).map(lambda size: "w" * size),
)
ITEMS = st.one_of(
    st.tuples(st.sampled_from(NAMES), st.lists(WORDS, max_size=5)).map(
        lambda pair: " ".join([pair[0], *pair[1]])
    ),
    st.text(max_size=40),
)
PUSHES = st.lists(ITEMS, max_size=30)


def planned(options: TunnelConfig) -> HostPlan:
    return plan_tunnel(options, DEVICE, UNDERLAY)


def tunnel(items: list[str]) -> TunnelConfig | None:
    """The tunnel of a push; None when the push is a failure as a whole."""
    result = apply_push(BASE, items)
    assert len(result.refused) <= MAX_REFUSED + 1
    assert all(len(text) < 500 and text.isprintable() for pair in result.refused for text in pair)
    if result.failure is not None or result.rejected_by_filter is not None:
        return None
    made = config(result.options.routes, result.options.tun)
    return replace(made, options=result.options, remote=Endpoint(ip_address("192.0.2.1"), 1194))


@given(PUSHES)
def test_a_push_becomes_a_plan_that_the_helper_understands(items: list[str]) -> None:
    wanted = tunnel(items)
    if wanted is None:
        return
    plan = planned(wanted)
    for change in changes([*plan.interface, *plan.routes]):
        assert read_change(change_record(change)) == change
    assert all(line.isprintable() for line in plan.warnings)


@given(PUSHES, PUSHES)
def test_an_update_leads_from_one_plan_to_the_other(first: list[str], second: list[str]) -> None:
    before = tunnel(first)
    result = apply_update(BASE, first, second)
    if before is None or result.failure is not None:
        return
    after = replace(before, options=result.push.options)
    for change in diff(planned(before), planned(after)):
        assert read_change(change_record(change)) == change
    assert diff(planned(after), planned(after)) == ()


def test_a_plain_tunnel_is_what_the_properties_are_about() -> None:
    assert planned(config(BASE.routes, DUAL)).interface
