"""The program as a service: background, pid file, logs, status file, rights, options' errors."""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.deadlines import wait_until
from tests.interop.checks import assert_carries, wait_file
from tests.interop.lab import OFFICE_HOST, Lab, ServerSetup
from tests.interop.lab.openvpn import COMPLETED, client_is_ginnel, client_program

SHOWING_MODULES = """
import sys
from ginnel.cli.main import main
status = main(["ginnel", "openvpn", *sys.argv[1:]])
print(*sys.modules, sep="\\n")
sys.exit(status)
"""


def test_a_plain_connection_loads_nothing_that_only_others_need(lab: Lab) -> None:
    """Whoever connects waits for what is imported on the way, as ``unit/cli`` says of a start."""
    lab.start_server()
    client = lab.start_client(program=(sys.executable, "-c", SHOWING_MODULES))
    assert_carries(lab)
    client.stop(expect=0)
    loaded = set(client.log().splitlines())
    assert {"ginnel.core.tls_wheel", "ginnel.core.wrap.crypt"} <= loaded
    assert not {"cryptography.hazmat.primitives", "hashlib", "hmac"} & loaded


def test_daemon_with_pid_file_and_log(lab: Lab) -> None:
    before = lab.snapshot()
    lab.start_server()
    log, pid_file = lab.directory / "daemon.log", lab.directory / "daemon.pid"
    arguments = ["--daemon", "--log", str(log), "--writepid", str(pid_file)]
    client = lab.client_process(lab.client_setup(arguments=arguments))
    assert client.process.wait_exit() == 0, "the foreground process ends when all is well"
    pid = int(wait_file(pid_file))
    assert pid in lab.laptop.pids()
    assert os.getsid(pid) == pid or os.getpgid(pid) != os.getpgid(0)
    wait_file(log, containing="Initialization Sequence Completed", timeout=40)
    assert_carries(lab)
    os.kill(pid, signal.SIGTERM)
    lab.laptop.wait_empty()
    assert "SIGTERM[hard,] received, process exiting" in log.read_text()
    assert before.difference(lab.snapshot()) == []


def test_log_and_log_append(lab: Lab) -> None:
    lab.start_server()
    log = lab.directory / "own.log"
    log.write_text("an older line\n")
    client = lab.client_process(lab.client_setup(arguments=["--log-append", str(log)]))
    wait_file(log, containing="Initialization Sequence Completed", timeout=40)
    client.stop(expect=0)
    assert log.read_text().startswith("an older line\n")
    fresh = lab.directory / "fresh.log"
    fresh.write_text("an older line\n")
    client = lab.client_process(lab.client_setup(arguments=["--log", str(fresh)]))
    wait_file(fresh, containing="Initialization Sequence Completed", timeout=40)
    client.stop(expect=0)
    assert "an older line" not in fresh.read_text()


@pytest.mark.parametrize("version", ["1", "2", "3"])
def test_status_file(lab: Lab, version: str) -> None:
    lab.start_server()
    status = lab.directory / "status"
    lines = [f"status {status} 1", f"status-version {version}"]
    lab.start_client(lab.client_setup(lines=lines))
    assert_carries(lab)

    def traffic_shown() -> dict[str, str] | None:
        text = status.read_text() if status.exists() else ""
        if not text.endswith("END\n"):
            return None
        rows = dict(line.partition(",")[::2] for line in text.splitlines())
        return rows if int(rows.get("TUN/TAP read bytes", "0")) > 0 else None

    rows = wait_until(traffic_shown, timeout=40, what="counters in the status file")
    assert list(rows)[:2] == ["OpenVPN STATISTICS", "Updated"]
    for name in ("TUN/TAP write bytes", "TCP/UDP read bytes", "TCP/UDP write bytes"):
        assert int(rows[name]) > 0
    assert "Auth read bytes" in rows


def test_rights_are_dropped_and_undo_still_works(lab: Lab) -> None:
    """After the drop the process is nobody, yet the host comes back as it was."""
    before = lab.snapshot()
    lab.start_server(ServerSetup(keepalive="1 6"))
    lines = ["user nobody", "group nogroup", "persist-tun", "persist-key"]
    client = lab.start_client(lab.client_setup(lines=lines))
    status = wait_until(
        lambda: _dropped(client.pid), timeout=40, what="the process to run as nobody"
    )
    assert "Gid:\t65534\t65534\t65534\t65534" in status
    assert_carries(lab)
    client.stop(expect=0)
    if client_is_ginnel():
        assert before.difference(lab.snapshot()) == []


def _dropped(pid: int) -> str | None:
    status = Path(f"/proc/{pid}/status").read_text()
    return status if "Uid:\t65534\t65534\t65534\t65534" in status else None


def test_reconnect_after_the_drop(lab: Lab) -> None:
    """The server restarts while the client has no rights any more."""
    server = lab.start_server(ServerSetup(keepalive="1 4"))
    lines = ["user nobody", "group nogroup", "persist-tun", "persist-key"]
    client = lab.start_client(lab.client_setup(lines=lines))
    wait_until(lambda: _dropped(client.pid), timeout=40, what="the drop")
    mark = client.mark()
    server.process.kill()
    lab.start_server(ServerSetup(keepalive="1 4"), label="server-again")
    client.wait_connected(since=mark, timeout=40)
    assert_carries(lab)


def test_chroot(lab: Lab) -> None:
    jail = lab.directory / "jail"
    (jail / "tmp").mkdir(parents=True)
    before = lab.snapshot()
    lab.start_server()
    lines = [f"chroot {jail}", "user nobody", "group nogroup", "persist-key", "persist-tun"]
    client = lab.start_client(lab.client_setup(lines=lines))
    assert_carries(lab)
    wait_until(
        lambda: Path(f"/proc/{client.pid}/root").readlink() == jail, timeout=40, what="the chroot"
    )
    client.stop(expect=0)
    if client_is_ginnel():
        assert before.difference(lab.snapshot()) == []


def test_nice(lab: Lab) -> None:
    lab.start_server()
    client = lab.start_client(lab.client_setup(lines=["nice 5"]))
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, client.pid) == ours + 5
    assert_carries(lab)


def test_suppress_timestamps_and_verb(lab: Lab) -> None:
    lab.start_server()
    client = lab.start_client(lab.client_setup(verb=4, lines=["suppress-timestamps"]))
    assert client.wait_for(r"^Initialization Sequence Completed$")
    assert client.process.count(r"^20\d\d-") == 0


def test_inactive_ends_the_client(lab: Lab) -> None:
    lab.start_server(ServerSetup(keepalive="1 20"))
    client = lab.start_client(lab.client_setup(lines=["inactive 3 100000"]))
    assert client.process.wait_exit(20) == 0
    assert "Inactivity timeout (--inactive), exiting" in client.log()
    assert "SIGTERM[soft,inactive] received, process exiting" in client.log()


def test_session_timeout(lab: Lab) -> None:
    lab.start_server()
    client = lab.start_client(lab.client_setup(lines=["session-timeout 3"]))
    assert client.process.wait_exit(20) == 0
    assert "SIGTERM[soft,session-timeout] received, process exiting" in client.log()


def test_explicit_exit_notify_tells_the_server(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.start_client(lab.client_setup(lines=["explicit-exit-notify 2"]))
    assert lab.laptop.ping(OFFICE_HOST) == 3
    mark = server.mark()
    client.stop(expect=0)
    assert "SIGTERM received, sending exit notification to peer" in client.log()
    assert "SIGTERM[soft,exit-with-notification] received, process exiting" in client.log()
    server.wait_for(r"CC-EEN exit message received by peer|remote-exit", since=mark)
    server.wait_for(r"client-instance (exiting|restarting)", since=mark)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("no-such-option 1", r"Options error: Unrecognized option .*no-such-option"),
        ("key-direction 7", r"Options error: .*7"),
        ("ca /nonexistent/ca.crt", r"(?s)Options error: .*/nonexistent/ca\.crt"),
        ("proto sctp", r"Options error: .*sctp"),
    ],
    ids=["unknown", "range", "file", "word"],
)
def test_bad_option_ends_with_status_1(lab: Lab, line: str, said: str) -> None:
    client = lab.client_process(lab.client_setup(lines=[line]))
    assert client.process.wait_exit(10) == 1
    client.wait_for(said)
    assert client.process.count(COMPLETED) == 0


def test_installed_as_openvpn_it_behaves_so(lab: Lab) -> None:
    done = lab.laptop.run([*client_program(), "--version"], check=False)
    assert done.status == 0
    assert done.output.startswith("OpenVPN 2.")
    done = lab.laptop.run([*client_program(), "--help"], check=False)
    assert done.status == 1
