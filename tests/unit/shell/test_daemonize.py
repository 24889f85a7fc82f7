"""Leaving the terminal, seen from outside, and the pid file."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ginnel.shell.daemonize import PidFile
from tests.deadlines import wait_until

PROGRAM = """
import os, sys, signal
from ginnel.shell.daemonize import become_daemon, PidFile
directory = sys.argv[1]
os.umask(0o027)
print("before")
if sys.argv[2] == "keep":
    fd = os.open(os.path.join(directory, "log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
become_daemon(keep_output=sys.argv[2] == "keep")
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("after", flush=True)
with open(os.path.join(directory, "facts.part"), "w") as facts:
    fields = open("/proc/self/stat").read().rpartition(")")[2].split()
    facts.write(f"pid {os.getpid()}\\nppid {os.getppid()}\\nsid {os.getsid(0)}\\n")
    facts.write(f"pgrp {os.getpgrp()}\\ntty {fields[4]}\\ncwd {os.getcwd()}\\n")
    mask = os.umask(0)
    os.umask(mask)
    facts.write(f"umask {mask:o}\\n")
    for number in range(3):
        facts.write(f"fd{number} {os.readlink(f'/proc/self/fd/{number}')}\\n")
pid_file = PidFile(os.path.join(directory, "pid"))
os.rename(os.path.join(directory, "facts.part"), os.path.join(directory, "facts"))
signal.sigwait([signal.SIGTERM])
pid_file.remove()
"""


def run_daemon(directory: Path, mode: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(directory), mode],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=directory,
    )


@contextlib.contextmanager
def daemon(directory: Path, mode: str) -> Iterator[dict[str, str]]:
    """Runs the program; yields what it found about itself and ends it."""
    done = run_daemon(directory, mode)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "before\n"
    path = directory / "facts"
    wait_until(path.exists, timeout=30, what="the daemon to describe itself")
    facts = dict(line.split(" ", 1) for line in path.read_text().splitlines())
    try:
        yield facts
    finally:
        os.kill(int(facts["pid"]), signal.SIGTERM)
        wait_until(lambda: not (directory / "pid").exists(), timeout=30, what="the pid file to go")


def test_daemon_has_its_own_session_and_keeps_directory_and_umask(tmp_path: Path) -> None:
    with daemon(tmp_path, "null") as facts:
        pid = facts["pid"]
        assert facts["sid"] == pid
        assert facts["pgrp"] == pid
        assert facts["tty"] == "0"
        assert facts["ppid"] != str(os.getpid())
        assert facts["cwd"] == str(tmp_path)
        assert facts["umask"] == "27"
        assert [facts[f"fd{number}"] for number in range(3)] == ["/dev/null"] * 3
        assert (tmp_path / "pid").read_text() == f"{pid}\n"


def test_daemon_leaves_its_log_file_alone(tmp_path: Path) -> None:
    with daemon(tmp_path, "keep") as facts:
        log = str(tmp_path / "log")
        assert (facts["fd0"], facts["fd1"], facts["fd2"]) == ("/dev/null", log, log)
        # "before" was written by the parent only, not once more from the child's buffer.
        assert Path(log).read_text() == "after\n"


def test_pid_file_holds_pid_and_newline_and_is_readable(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("99999999 old content")
    before = os.umask(0o022)
    try:
        file = PidFile(str(path))
        fresh = PidFile(str(tmp_path / "fresh"))
    finally:
        os.umask(before)
    assert path.read_text() == f"{os.getpid()}\n"
    assert (tmp_path / "fresh").stat().st_mode & 0o777 == 0o644
    file.remove()
    fresh.remove()
    assert not path.exists()
    file.remove()


def test_pid_file_of_another_process_is_left(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    file = PidFile(str(path))
    path.write_text("1\n")
    file.remove()
    assert path.read_text() == "1\n"


def test_pid_file_in_a_relative_place_is_found_after_a_change_of_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = PidFile("pid")
    monkeypatch.chdir("/")
    file.remove()
    assert list(tmp_path.iterdir()) == []


def test_pid_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        PidFile(str(tmp_path / "missing" / "pid"))
