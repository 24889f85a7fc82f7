"""The lab itself: it measures what it claims to, and leaves nothing behind."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deadlines import wait_until
from tests.interop.lab import LAPTOP, OFFICE_HOST, TWO, Faults, Lab, LabError
from tests.interop.lab.directories import KEPT, remove_old_directories
from tests.interop.lab.namespaces import NETNS_ETC, run_command, sweep_dead_runs
from tests.interop.lab.pki import Pki
from tests.interop.lab.process import ROOT, clean_environment
from tests.interop.lab.snapshot import take_snapshot
from tests.interop.lab.traffic import PORT

KILLED_LAB = """
import sys
from pathlib import Path
from tests.interop.lab import TWO, Lab
with Lab(TWO, Path(sys.argv[1])) as lab:
    print(lab.laptop.name, flush=True)
    sys.stdin.read()
"""


def namespaces() -> set[str]:
    return set(run_command(["ip", "netns", "list"]).output.split())


def test_an_error_leaves_no_namespace(tmp_path: Path, pki: Pki) -> None:
    lab = Lab(TWO, tmp_path, pki)
    with pytest.raises(KeyboardInterrupt):
        _interrupted(lab)
    assert not {lab.laptop.name, lab.office.name} & namespaces()
    assert not (NETNS_ETC / lab.laptop.name).exists()


def _interrupted(lab: Lab) -> None:
    with lab:
        assert lab.laptop.name in namespaces()
        raise KeyboardInterrupt


def test_the_relics_of_a_killed_run_are_swept(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_LAB, str(tmp_path)],
        cwd=ROOT,
        env=clean_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        name = run.stdout.readline().strip()
        assert name in namespaces()
        run.send_signal(signal.SIGKILL)
    assert name in namespaces()
    assert name in sweep_dead_runs()
    assert name not in namespaces()


def test_directories_of_dead_runs_go_but_for_the_newest(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    for number in range(KEPT + 2):
        path = tmp_path / f"ginnel-run-{ended.pid}x{number}"
        (path / "tests").mkdir(parents=True)
        os.utime(path, (number, number))
    others = {f"ginnel-lab-{os.getpid()}xalive", "ginnel-control", f"ginnel-lab-{ended.pid}"}
    for name in others:
        (tmp_path / name).mkdir()
    remove_old_directories(tmp_path)
    newest = {f"ginnel-run-{ended.pid}x{number}" for number in range(2, KEPT + 2)}
    assert {path.name for path in tmp_path.iterdir()} == newest | others


@pytest.mark.parametrize("error", [KeyboardInterrupt, LabError])
def test_only_a_failure_leaves_a_directory(pki: Pki, error: type[BaseException]) -> None:
    lab = Lab(TWO, pki=pki)
    try:
        with pytest.raises(error), lab:
            raise error
        assert lab.directory.exists() == (error is LabError)
    finally:
        shutil.rmtree(lab.directory, ignore_errors=True)


def test_a_snapshot_sees_each_kind_of_change(lab: Lab) -> None:
    before = take_snapshot(lab.laptop)
    lab.laptop.ip("route", "add", "10.99.0.0/16", "via", lab.plan.gateway)
    assert len(before.difference(take_snapshot(lab.laptop))) == 1
    lab.laptop.ip("route", "del", "10.99.0.0/16")
    lab.laptop.ip("rule", "add", "from", "10.99.0.0/16", "lookup", "99")
    assert len(before.difference(take_snapshot(lab.laptop))) == 1
    lab.laptop.ip("rule", "del", "from", "10.99.0.0/16")
    lab.laptop.ip("link", "set", "wlan0", "mtu", "1400")
    assert before.difference(take_snapshot(lab.laptop)) != []
    lab.laptop.ip("link", "set", "wlan0", "mtu", "1500")
    assert before.difference(take_snapshot(lab.laptop)) == []


def test_the_probe_counts_what_is_lost(lab: Lab) -> None:
    """Without any tunnel, through a relay of known faults."""
    lab.laptop.ip("route", "add", OFFICE_HOST, "via", lab.server)
    try:
        clean = lab.probe_result(lab.start_probe(OFFICE_HOST, rate=500, seconds=1))
        assert (clean.sent, clean.lost, clean.duplicated) == (500, 0, 0)
    finally:
        lab.laptop.ip("route", "del", OFFICE_HOST)


def test_the_relay_spoils_as_told(lab: Lab) -> None:
    lab.laptop.ip("route", "add", OFFICE_HOST, "via", lab.server)
    try:
        lab.serve_traffic()
        faults = Faults(seed=11, loss=0.1, duplicate=0.1, corrupt=0.05)
        path = lab.start_relay(faults, listen_port=9009, server_port=PORT, address=OFFICE_HOST)
        spoiled = lab.probe_result(lab.start_probe(OFFICE_HOST, rate=500, seconds=2, port=9009))
        counts = lab.relay_counts(path)
        assert spoiled.sent == 1000
        assert 100 < spoiled.lost < 450
        assert spoiled.duplicated > 50
        assert spoiled.damaged > 20
        assert counts["lost"] > 100
    finally:
        lab.laptop.ip("route", "del", OFFICE_HOST)


def test_a_dead_program_is_reported_with_its_log(lab: Lab) -> None:
    process = lab.laptop.spawn(["sh", "-c", "echo the cause; exit 3"], name="dies")
    with pytest.raises(LabError, match=r"(?s)ended with 3 before .*the cause"):
        process.wait_for("never said")


def test_programs_of_a_namespace_are_found(lab: Lab) -> None:
    process = lab.laptop.spawn(["sleep", "60"], name="sleeper")
    wait_until(lambda: process.pid in lab.laptop.pids(), timeout=40, what="the pid")
    process.stop()
    lab.laptop.wait_empty()
    assert lab.laptop.ping(LAPTOP, count=1) == 1
