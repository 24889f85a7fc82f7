"""SIGKILL at every journal line, then recovery: the host is exactly as before."""

import json
from pathlib import Path

import pytest

from tests.host.conftest import Namespace

_MINIMUM_LINES = 20
"""A life with nine steps writes two or three lines for each; routes are announced together."""


def check(lines: list[str], minimum: int = _MINIMUM_LINES) -> None:
    runs: list[dict[str, object]] = [json.loads(line) for line in lines]
    assert len(runs) > minimum
    for run in runs[1:]:
        assert run["differences"] == [], f"killed at line {run['at']}"
        assert run["complete"], run
        assert not run["in_use"], run
        assert run["left"] == [], run
    assert runs[-1]["code"] == 0


@pytest.mark.parametrize("victim", ["both", "main", "helper"])
def test_replaced_default_route_comes_back(
    namespace: Namespace, tmp_path: Path, victim: str
) -> None:
    check(namespace.run("tests.host.victim", str(tmp_path / "run"), victim, "tun", "ipv6"))


def test_halves_and_bypass_go(namespace: Namespace, tmp_path: Path) -> None:
    flags = ("def1", "bypass-dns")
    check(namespace.run("tests.host.victim", str(tmp_path / "run"), "both", "tun", *flags))


@pytest.mark.parametrize("victim", ["both", "main"])
def test_persistent_device_keeps_its_settings(
    namespace: Namespace, tmp_path: Path, victim: str
) -> None:
    namespace.ip("tuntap", "add", "dev", "work7", "mode", "tun")
    namespace.ip("link", "set", "work7", "mtu", "1412", "txqueuelen", "77")
    runs = namespace.run("tests.host.victim", str(tmp_path / "run"), victim, "work7", "def1")
    check(runs)
    assert "mtu 1412" in namespace.ip("link", "show", "work7")


def test_persistent_device_that_is_up_stays_up(namespace: Namespace, tmp_path: Path) -> None:
    namespace.ip("tuntap", "add", "dev", "work8", "mode", "tun")
    namespace.ip("link", "set", "work8", "addrgenmode", "none", "up")
    namespace.ip("addr", "add", "10.99.0.1/24", "dev", "work8")
    check(namespace.run("tests.host.victim", str(tmp_path / "run"), "both", "work8", "def1"))
