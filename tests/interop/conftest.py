"""Fixtures of the interop tests: a fresh lab for each test, one PKI for the run.

Each test ends with the proof that the laptop is as it was and that no process was left behind.
Logs, configurations and captures of a failed test are kept and named in its report; with
GINNEL_LAB_KEEP in the environment those of every test are.
"""

import os
import re
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import pytest

from tests.deadlines import wait_until
from tests.interop.lab import THREE, TWO, Fleet, Lab, Plan
from tests.interop.lab.directories import make_directory
from tests.interop.lab.pki import Pki

_FAILED = pytest.StashKey[bool]()
_KEEP_ALL = "GINNEL_LAB_KEEP" in os.environ


@runtime_checkable
class Logged(Protocol):
    """A fixture that can say what its programs said: a lab, or what has one."""

    directory: Path

    def logs(self) -> Iterator[tuple[str, str]]:
        """Gives name and last lines of each program."""
        ...


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the ends of all logs to the report of a failed test."""
    report = yield
    if not report.failed:
        return report
    item.stash[_FAILED] = True
    arguments: dict[str, object] = getattr(item, "funcargs", {})
    for value in arguments.values():
        if isinstance(value, Logged):
            report.sections.append(("lab kept in", str(value.directory)))
            report.sections += [(f"log of {name}", text) for name, text in value.logs()]
    return report


@pytest.fixture(scope="session")
def run_directory(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A directory that programs without rights can enter, unlike pytest's own."""
    directory = make_directory("run")
    directory.chmod(0o755)
    yield directory
    if not request.session.testsfailed and not _KEEP_ALL:
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def pki(run_directory: Path) -> Pki:
    return Pki(run_directory / "pki")


def _lab(plan: Plan, request: pytest.FixtureRequest, run: Path, pki: Pki) -> Iterator[Lab]:
    name = re.sub(r"[^\w.-]+", "-", request.node.name)
    directory = run / "tests" / name
    directory.mkdir(parents=True, exist_ok=True)
    with Lab(plan, directory, pki) as lab:
        before = lab.snapshot()
        yield lab
        lab.end_programs()
        lab.laptop.wait_empty()
        wait_until(
            lambda: not before.difference(lab.snapshot()),
            timeout=40,
            what=f"the laptop as it was; still different: {before.difference(lab.snapshot())}",
        )
    if not request.node.stash.get(_FAILED, False) and not _KEEP_ALL:
        shutil.rmtree(directory)


@pytest.fixture
def lab(request: pytest.FixtureRequest, run_directory: Path, pki: Pki) -> Iterator[Lab]:
    """Laptop and office on one network."""
    yield from _lab(TWO, request, run_directory, pki)


@pytest.fixture(scope="module")
def shared_wide_lab(request: pytest.FixtureRequest, run_directory: Path, pki: Pki) -> Iterator[Lab]:
    """The same, with one lab for all tests of a module; each of them ends what it started."""
    yield from _lab(THREE, request, run_directory, pki)


@pytest.fixture
def wide_lab(request: pytest.FixtureRequest, run_directory: Path, pki: Pki) -> Iterator[Lab]:
    """Laptop, internet and office, with a router in between."""
    yield from _lab(THREE, request, run_directory, pki)


@pytest.fixture(scope="module")
def shared_fleet(request: pytest.FixtureRequest, run_directory: Path, pki: Pki) -> Iterator[Fleet]:
    """Five clients, router, server and office, for all tests of a module."""
    directory = run_directory / "tests" / request.node.name.replace("/", "-")
    directory.mkdir(parents=True, exist_ok=True)
    failed = request.session.testsfailed
    with Fleet(directory, pki) as fleet:
        yield fleet
    if request.session.testsfailed == failed and not _KEEP_ALL:
        shutil.rmtree(directory)


@pytest.fixture
def fleet(shared_fleet: Fleet) -> Iterator[Fleet]:
    """The module's fleet; what a test started ends with it, and all hosts are as they were."""
    yield shared_fleet
    shared_fleet.tidy()
