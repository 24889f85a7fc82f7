"""What the service manager is told."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ginnel.shell.notify import VARIABLE, Notifier


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(40)
        monkeypatch.setenv(VARIABLE, str(tmp_path / "notify"))
        yield listener


def test_a_whole_start(manager: socket.socket) -> None:
    notifier = Notifier()
    assert notifier.watched
    notifier.beginning()
    notifier.started()
    notifier.connected()
    assert manager.recv(4096) == b"READY=0"
    assert manager.recv(4096) == (
        b"READY=1\nSTATUS=Pre-connection initialization successful\nMAINPID=%d" % os.getpid()
    )
    assert manager.recv(4096) == b"STATUS=Initialization Sequence Completed"
    notifier.close()
    assert not notifier.watched


def test_an_abstract_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        name = f"ginnel-notify-{os.getpid()}"
        listener.bind(f"\0{name}")
        listener.settimeout(40)
        monkeypatch.setenv(VARIABLE, f"@{name}")
        notifier = Notifier()
        notifier.connected()
        assert listener.recv(4096).startswith(b"STATUS=")
        notifier.close()


@pytest.mark.parametrize("address", ["", "relative", "/nonexistent/notify", "@" + "x" * 300])
def test_nobody_listens(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, address)
    notifier = Notifier()
    assert not notifier.watched
    notifier.connected()
    notifier.close()


def test_a_manager_that_has_gone(manager: socket.socket) -> None:
    notifier = Notifier()
    manager.close()
    notifier.connected()
    notifier.close()
