"""Whose browser opens a login page, with what environment, and never as root."""

import os
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ginnel.shell import browser
from ginnel.shell.browser import Opening, open_page, plan_opening
from tests.deadlines import wait_until
from tests.unit.shell.loops import run

NOBODY = pwd.getpwnam("nobody")
ADDRESS = "https://idp.example/login?a=1&b=$(id)"


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory, open to other users, with an opener that writes down what it was given."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        opener = directory / browser.OPENER
        opener.write_text(f'#!/bin/sh\n(id -u; id -G; echo "$@"; env) > {name}/out/given\n')
        opener.chmod(0o755)
        out = directory / "out"
        out.mkdir()
        out.chmod(0o777)
        monkeypatch.setattr(browser, "_PATHS", (name, "/usr/bin", "/bin"))
        yield directory


@pytest.mark.parametrize(
    ("environment", "uid"),
    [
        ({}, 1000),
        ({"DISPLAY": ":0"}, 0),
        ({"DISPLAY": ":0", "SUDO_UID": "0"}, 0),
        ({"DISPLAY": ":0", "SUDO_UID": "x"}, 0),
        ({"DISPLAY": ":0", "PKEXEC_UID": "987654321"}, 0),
        ({"SUDO_UID": str(NOBODY.pw_uid)}, 0),
    ],
)
def test_no_desktop_or_only_roots_opens_nothing(
    programs: Path, environment: dict[str, str], uid: int
) -> None:
    assert plan_opening(environment, uid) is None


def test_root_stands_for_whoever_called_sudo(programs: Path) -> None:
    given = {"WAYLAND_DISPLAY": "wayland-0", "SUDO_UID": str(NOBODY.pw_uid), "LD_PRELOAD": "x"}
    planned = plan_opening(given, 0)
    assert planned is not None
    assert (planned.uid, planned.gid) == (NOBODY.pw_uid, NOBODY.pw_gid)
    assert planned.environment["WAYLAND_DISPLAY"] == "wayland-0"
    assert planned.environment["HOME"] == NOBODY.pw_dir
    assert "LD_PRELOAD" not in planned.environment
    own = plan_opening({"DISPLAY": ":0"}, NOBODY.pw_uid)
    assert own is not None
    assert own.uid == NOBODY.pw_uid


def test_without_an_opener_nothing_is_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "_PATHS", ("/nowhere",))
    assert plan_opening({"DISPLAY": ":0"}, NOBODY.pw_uid) is None


def opened(planned: Opening, programs: Path) -> list[str]:
    assert run(open_page(ADDRESS, planned)) is None
    given = programs / "out" / "given"
    text = wait_until(
        lambda: given.read_text() if given.exists() and "PATH=" in given.read_text() else None,
        timeout=10.0,
        what="the opener",
    )
    return text.splitlines()


def test_address_is_one_argument_of_a_program_of_the_user(programs: Path) -> None:
    planned = plan_opening({"DISPLAY": ":7", "SUDO_UID": str(NOBODY.pw_uid)}, 0)
    assert planned is not None
    if os.geteuid() != 0:  # a developer's run: only to oneself can one change
        planned = plan_opening({"DISPLAY": ":7"}, os.geteuid())
        assert planned is not None
    uid, groups, arguments, *environment = opened(planned, programs)
    assert int(uid) == planned.uid
    assert "0" not in groups.split() or planned.uid == 0
    assert arguments == ADDRESS
    assert "DISPLAY=:7" in environment


def test_failure_is_told(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan_opening({"DISPLAY": ":0"}, NOBODY.pw_uid)
    assert planned is not None
    broken = Opening(
        program=planned.program, environment={}, uid=os.geteuid(), gid=os.getegid(), name="x"
    )
    monkeypatch.setattr(browser, "DETACH", ("/nowhere/setsid",))
    assert run(open_page(ADDRESS, broken)) is not None
