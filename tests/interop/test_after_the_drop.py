"""A client that gave up its rights for a jail goes on: restarts, scripts, a reload, and the end."""

import os
import shutil
import signal
from pathlib import Path

from tests.deadlines import wait_until
from tests.interop.checks import assert_carries, wait_file
from tests.interop.lab import Lab, Running, ServerSetup
from tests.interop.lab.openvpn import client_is_ginnel

NOBODY = "Uid:\t65534\t65534\t65534\t65534"


def jailed(lab: Lab, *lines: str) -> Running:
    """Starts a client in a small root as nobody, and waits until it is there."""
    jail = lab.directory / "jail"
    (jail / "tmp").mkdir(parents=True, exist_ok=True)
    drop = [f"chroot {jail}", "user nobody", "group nogroup", "persist-key", "persist-tun"]
    client = lab.start_client(lab.client_setup(lines=[*drop, *lines]))
    wait_until(lambda: NOBODY in _status(client.pid), timeout=40, what="the drop")
    assert Path(f"/proc/{client.pid}/root").readlink() == jail
    return client


def _status(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


def test_restarts_by_signal_and_by_a_lost_server(lab: Lab) -> None:
    before = lab.snapshot()
    server = lab.start_server(ServerSetup(keepalive="1 4"))
    client = jailed(lab)
    for _ in range(2):
        mark = client.mark()
        client.send(signal.SIGUSR1)
        client.wait_connected(since=mark, timeout=40)
        assert_carries(lab)
    mark = client.mark()
    server.process.kill()
    client.wait_for(r"SIGUSR1\[soft,ping-restart\] received", since=mark)
    lab.start_server(ServerSetup(keepalive="1 4"), label="server-again")
    client.wait_connected(since=mark, timeout=40)
    assert_carries(lab)
    client.stop(expect=0)
    assert "internal error" not in client.log()
    if client_is_ginnel():
        assert before.difference(lab.snapshot()) == []


def test_renegotiations(lab: Lab) -> None:
    lab.start_server()
    client = jailed(lab, "reneg-sec 2")
    mark = client.mark()
    client.process.wait_count(r"Control Channel: TLSv1\.3", 3, timeout=40, since=mark)
    assert_carries(lab)
    client.stop(expect=0)
    assert "internal error" not in client.log()


def test_scripts_run_inside_the_jail(lab: Lab) -> None:
    """After the drop a script is looked for in the new root, and runs as the new user."""
    lab.start_server()
    jail = lab.directory / "jail"
    out = jail / "out"
    out.mkdir(parents=True)
    out.chmod(0o777)
    (jail / "bin").mkdir()
    shell = Path("/bin/sh").resolve()
    _copy_program(shell, jail)
    (jail / "bin" / "sh").symlink_to(os.path.relpath(jail / str(shell).lstrip("/"), jail / "bin"))
    note = jail / "bin" / "note"
    note.write_text('#!/bin/sh\necho "$script_type $script_context $dev" >> /out/note\n')
    note.chmod(0o755)
    client = jailed(lab, "script-security 2", "down /bin/note", "up-restart")
    client.send(signal.SIGUSR1)
    wait_file(out / "note", containing="down restart tun0")
    assert (out / "note").stat().st_uid == 65534
    client.stop(expect=0)
    wait_file(out / "note", containing="down init tun0")


def _copy_program(program: Path, jail: Path) -> None:
    """Copies a program and the libraries that it needs into the jail."""
    from tests.interop.lab.namespaces import run_command

    listed = run_command(["ldd", str(program)]).output
    paths = [word for word in listed.split() if word.startswith("/")]
    for source in [str(program), *paths]:
        target = jail / source.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def test_a_reload_that_cannot_read_its_files_ends_with_a_message(lab: Lab) -> None:
    """The configuration lies outside the jail: OpenVPN ends here as well."""
    before = lab.snapshot()
    lab.start_server()
    client = jailed(lab)
    client.send(signal.SIGHUP)
    assert client.process.wait_exit(15) == 1
    client_log = client.log()
    assert "SIGHUP[hard,] received, process restarting" in client_log
    assert "internal error" not in client_log
    if client_is_ginnel():
        assert "No such file or directory" in client_log
        assert before.difference(lab.snapshot()) == []
