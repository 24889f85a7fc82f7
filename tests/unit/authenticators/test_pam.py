"""Logins by PAM: the process beside the server, its answers, its death."""

import asyncio
import os
import resource
import sys
from pathlib import Path

import pytest

from ginnel.authenticators import pam
from ginnel.authenticators.pam import Pam, make
from ginnel.hooks import Allow, Decision, Deny
from tests.unit.authenticators.logins import login
from tests.unit.shell.loops import run

WORKER = """
import os, sys, time
from ginnel.authenticators import pam_worker

def check_login(service, user, password, host):
    assert service == "office"
    if user == b"stuck":
        time.sleep(600)
    if user == b"crash":
        os.abort()
    print("modules may print")
    return "" if (user, password, host) == (b"ada", b"secret word", b"192.0.2.10") else "no"

pam_worker.check_login = check_login
pam_worker.main()
"""


def with_worker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Pam:
    """PAM stands in a script; the processes are real."""
    script = folder / "worker.py"
    script.write_text(WORKER)
    monkeypatch.setattr(Pam, "command", (sys.executable, str(script)))
    return Pam("office", seconds=1)


def test_the_process_runs_nothing_of_where_the_server_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "json.py"
    trap.write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nraise SystemExit\n")
    monkeypatch.chdir(tmp_path)
    Pam("office").close()
    assert not (tmp_path / "ran").exists()


def test_many_logins_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = with_worker(tmp_path, monkeypatch)

    async def work() -> list[Decision]:
        names = ["ada", "bob", "stuck", "crash", "ada", "a\0b"]
        return await asyncio.gather(*(one.authenticate(login(name)) for name in names))

    assert run(work()) == [Allow(), Deny(), Deny(), Deny(), Allow(), Deny()]
    one.close()


def test_no_password_gets_into_a_core_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = with_worker(tmp_path, monkeypatch)
    assert run(one.authenticate(login())) == Allow()
    assert resource.prlimit(one.process.pid, resource.RLIMIT_CORE) == (0, 0)
    one.close()


def test_a_process_that_died_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = with_worker(tmp_path, monkeypatch)

    async def work() -> None:
        assert await one.authenticate(login()) == Allow()
        one.process.kill()
        one.process.wait()
        assert await one.authenticate(login()) == Allow()
        one.process.kill()
        one.process.wait()
        monkeypatch.setattr(os, "geteuid", lambda: -1)
        with pytest.raises(RuntimeError, match="is gone: restart the server"):
            await one.authenticate(login())

    run(work())
    one.close()


def test_who_waits_hears_of_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = with_worker(tmp_path, monkeypatch)

    async def work() -> None:
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(hears_of_the_end())
            await asyncio.sleep(0)
            one.process.kill()
        assert waiting.done()

    async def hears_of_the_end() -> None:
        with pytest.raises(RuntimeError, match="ended"):
            await one.authenticate(login("stuck"))

    run(work())
    one.close()


def test_a_service_must_be_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pam, "PAM_DIRECTORIES", (str(tmp_path),))
    for words, told in (
        ([], "wants one word"),
        (["office"], "there is no PAM service 'office': make /etc/pam.d/office"),
        (["../x"], "there is no PAM service"),
    ):
        with pytest.raises(ValueError, match=told):
            make(words)
    (tmp_path / "office").touch()
    one = make(["office"])
    assert one.process.poll() is None
    one.close()
    assert one.process.poll() == 0
