"""The helper through its client: strangers' changes, two at once, and what it refuses."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.deadlines import wait_until
from tests.host.conftest import Namespace, Steered
from tests.host.scenarios import differences

Steer = Callable[..., Steered]


def bring_up(steer: Steer, runtime: Path, *flags: str, device: str = "tun") -> Steered:
    session = steer(str(runtime), device, *flags)
    assert session.ask("open")[0].startswith("tun")
    for part in ("interface", "routes"):
        results = session.ask(part)
        assert all(result.startswith("applied: ") for result in results), results
    return session


def test_routes_look_as_from_ip_route_add(
    namespace: Namespace, steer: Steer, tmp_path: Path
) -> None:
    session = bring_up(steer, tmp_path / "run", "def1")
    routes = [line.rstrip() for line in namespace.ip("route").splitlines()]
    assert routes == [
        "0.0.0.0/1 via 10.8.0.1 dev tun0",
        "default via 192.0.2.1 dev vc proto dhcp src 192.0.2.10 metric 100 mtu 1400",
        "10.8.0.0/24 dev tun0 proto kernel scope link src 10.8.0.4",
        "10.11.0.0/16 via 10.8.0.1 dev tun0",
        "10.12.0.0/24 via 10.8.0.1 dev tun0",
        "128.0.0.0/1 via 10.8.0.1 dev tun0",
        "192.0.2.0/24 dev vc proto kernel scope link src 192.0.2.10",
        "198.51.100.7 via 192.0.2.1 dev vc",
    ]
    device = namespace.ip("link", "show", "tun0")
    assert "POINTOPOINT,MULTICAST,NOARP,UP" in device
    assert "mtu 1360" in device
    assert "qlen 321" in device
    session.ask("undo-all")
    session.ask("close")


def test_route_deleted_by_someone_else_is_no_failure(
    namespace: Namespace, steer: Steer, tmp_path: Path
) -> None:
    before = namespace.state()
    session = bring_up(steer, tmp_path / "run", "def1")
    namespace.ip("route", "del", "10.11.0.0/16")
    results = session.ask("undo-routes")
    assert "gone: route 10.11.0.0/16 via 10.8.0.1 dev tun0" in results
    assert not [result for result in results if result.startswith("failed")]
    session.ask("close-tun")
    session.ask("close")
    assert differences(before, namespace.state()) == []


def test_route_that_someone_else_put_in_its_place_stays(
    namespace: Namespace, steer: Steer, tmp_path: Path
) -> None:
    session = bring_up(steer, tmp_path / "run", "def1")
    namespace.ip("route", "del", "10.11.0.0/16")
    namespace.ip("route", "add", "10.11.0.0/16", "via", "192.0.2.1")
    session.kill()
    wait_until(lambda: "tun0" not in namespace.ip("link"), timeout=40, what="the rollback")
    wait_until(
        lambda: not list((tmp_path / "run").glob("*.journal")), timeout=40, what="an empty journal"
    )
    assert "10.11.0.0/16 via 192.0.2.1 dev vc" in namespace.ip("route")
    assert "dev vc" in namespace.ip("route", "get", "10.11.0.1")
    assert "198.51.100.7" not in namespace.ip("route")


def test_default_route_that_came_meanwhile_is_not_doubled(
    namespace: Namespace, steer: Steer, tmp_path: Path
) -> None:
    session = bring_up(steer, tmp_path / "run", "ipv6")
    assert "default via 10.8.0.1 dev tun0" in namespace.ip("route")
    other = ("default", "via", "192.0.2.99", "dev", "vc", "metric", "100")
    namespace.ip("route", "add", *other)
    results = session.ask("undo-routes")
    assert "changed: route 0.0.0.0/0 via 192.0.2.1 dev vc metric 100" in results
    defaults = [line.strip() for line in namespace.ip("route", "show", "default").splitlines()]
    assert defaults == ["default via 192.0.2.99 dev vc metric 100"]
    session.ask("close-tun")
    session.ask("close")


def test_device_deleted_by_someone_else_is_no_failure(
    namespace: Namespace, steer: Steer, tmp_path: Path
) -> None:
    before = namespace.state()
    session = bring_up(steer, tmp_path / "run", "def1")
    namespace.ip("link", "del", "tun0")
    results = session.ask("undo-all")
    assert not [result for result in results if result.startswith("failed")]
    session.ask("close")
    assert differences(before, namespace.state()) == []


def test_two_at_once_do_not_touch_each_other(
    namespace: Namespace, steer: Steer, tmp_path: Path
) -> None:
    before = namespace.state()
    runtime = tmp_path / "run"
    first = steer(str(runtime), "tun", "def1")
    assert first.ask("open") == ["tun0"]
    first.ask("interface")
    first.ask("routes")
    second = steer(str(runtime), "tun")
    assert second.ask("recovered") == []
    assert second.ask("open") == ["tun1"]
    second.ask("interface")
    assert "applied: route 10.12.1.0/24 via 10.8.0.1 dev tun1" in second.ask("routes")
    held = namespace.state()
    helper = int(first.ask("pids")[1])
    os.kill(helper, signal.SIGKILL)
    first.kill()
    third = steer(str(runtime), "tun")
    recovered = third.ask("recovered")
    assert len(recovered) == 1
    assert recovered[0].endswith("True]")
    assert "10.12.1.0/24 via 10.8.0.1 dev tun1" in namespace.ip("route")
    assert "dev tun0" not in namespace.ip("route")
    assert namespace.state() != held
    second.ask("undo-all")
    second.ask("close")
    third.ask("close")
    assert differences(before, namespace.state()) == []


def test_unwanted_end_of_the_main_process_rolls_back(
    namespace: Namespace, steer: Steer, tmp_path: Path
) -> None:
    before = namespace.state()
    session = bring_up(steer, tmp_path / "run", "ipv6", "bypass-dns")
    helper = int(session.ask("pids")[1])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        os.kill(helper, number)
    assert session.ask("underlay") == ["192.0.2.1", "192.0.2.1"]
    session.kill()
    wait_until(
        lambda: not list((tmp_path / "run").glob("*.journal")), timeout=40, what="the rollback"
    )
    wait_until(
        lambda: differences(before, namespace.state()) == [], timeout=40, what="the old state"
    )


def test_helper_that_is_gone_is_an_error_and_recovered_from(
    namespace: Namespace, steer: Steer, tmp_path: Path
) -> None:
    before = namespace.state()
    session = bring_up(steer, tmp_path / "run", "ipv6")
    os.kill(int(session.ask("pids")[1]), signal.SIGKILL)
    assert session.ask("undo-routes")[0].startswith("refused: privileged helper: ")
    session.end()
    later = steer(str(tmp_path / "run"), "tun")
    assert later.ask("recovered")[0].endswith("True]")
    later.ask("close")
    assert differences(before, namespace.state()) == []


def test_kept_device_moves_to_another_plan(
    namespace: Namespace, steer: Steer, tmp_path: Path
) -> None:
    before = namespace.state()
    session = bring_up(steer, tmp_path / "run", "ipv6")
    moved = session.ask("move")
    assert "reverted: route 0.0.0.0/0 via 192.0.2.1 dev vc metric 100" in moved
    assert not [result for result in moved if "10.11.0.0/16" in result]
    routes = namespace.ip("route")
    assert "default via 192.0.2.1 dev vc proto dhcp" in routes
    assert "10.11.0.0/16 via 10.8.0.1 dev tun0" in routes
    assert "198.51.100.7" not in routes
    session.ask("undo-all")
    session.ask("close")
    assert differences(before, namespace.state()) == []


def test_helper_changes_only_devices_it_opened(
    namespace: Namespace, steer: Steer, tmp_path: Path
) -> None:
    session = steer(str(tmp_path / "run"), "tun")
    assert "not a device of this tunnel" in session.ask("stranger")[0]
    assert "mtu 65536" in namespace.ip("link", "show", "lo")


def test_helper_keeps_one_capability(steer: Steer, tmp_path: Path) -> None:
    session = steer(str(tmp_path / "run"), "tun")
    session.ask("recovered")
    helper = session.ask("pids")[1]
    status = Path(f"/proc/{helper}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Name"] == "ginnel-helper"
    net_admin = f"{1 << 12:016x}"
    assert (fields["CapEff"], fields["CapPrm"], fields["CapBnd"]) == (net_admin,) * 3
    assert (fields["CapInh"], fields["CapAmb"]) == ("0" * 16,) * 2
    assert fields["NoNewPrivs"] == "1"


def test_busy_device_is_named_in_the_error(
    namespace: Namespace, steer: Steer, tmp_path: Path
) -> None:
    first = steer(str(tmp_path / "run"), "tun9")
    assert first.ask("open") == ["tun9"]
    second = steer(str(tmp_path / "run"), "tun9")
    answer = second.ask("open")[0]
    assert (
        answer == "refused: open device tun9: Device or resource busy; another program has it open"
    )


def test_address_that_is_refused_ends_the_change(
    namespace: Namespace, steer: Steer, tmp_path: Path
) -> None:
    before = namespace.state()
    session = steer(str(tmp_path / "run"), "tun")
    session.ask("open")
    namespace.ip("link", "del", "tun0")
    results = session.ask("interface")
    assert len(results) == 1
    assert results[0].startswith("failed: link tun0 mtu 1360 ")
    session.ask("undo-all")
    session.ask("close")
    assert differences(before, namespace.state()) == []


def test_route_to_a_network_that_is_known_goes_before_the_other_one(
    namespace: Namespace, steer: Steer, tmp_path: Path
) -> None:
    namespace.ip("route", "add", "10.11.0.0/16", "via", "192.0.2.1")
    session = steer(str(tmp_path / "run"), "tun")
    session.ask("open")
    session.ask("interface")
    results = session.ask("routes")
    assert results[0] == "applied: route 10.11.0.0/16 via 10.8.0.1 dev tun0"
    assert results[1].startswith("applied: route 10.12.0.0/24")
    assert "dev tun0" in namespace.ip("route", "get", "10.11.0.1")
    session.ask("undo-all")
    session.ask("close")
    assert "10.11.0.0/16 via 192.0.2.1 dev vc" in namespace.ip("route")


def test_the_underlay_is_what_it_is_now_however_it_changed(
    namespace: Namespace, steer: Steer, tmp_path: Path
) -> None:
    """The kernel does not tell of routes that go with a device or a nexthop."""
    session = bring_up(steer, tmp_path / "run")
    here, nowhere = ["192.0.2.1", "192.0.2.1"], ["", ""]
    namespace.ip("route", "flush", "proto", "dhcp")
    namespace.ip("nexthop", "add", "id", "7", "via", "192.0.2.1", "dev", "vc")
    for change, undo, without in (
        ("nexthop del id 7", "nexthop add id 7 via 192.0.2.1 dev vc", nowhere),
        ("link set vc down", "link set vc up", nowhere),
        ("route del default", "route show", nowhere),
    ):
        namespace.ip("route", "replace", "default", "nhid", "7")
        assert session.ask("underlay") == here
        assert session.ask("underlay") == here
        namespace.ip(*change.split())
        assert session.ask("underlay") == without, change
        namespace.ip(*undo.split())
        if change == "link set vc down":
            namespace.ip("nexthop", "add", "id", "7", "via", "192.0.2.1", "dev", "vc")
    session.ask("close")
