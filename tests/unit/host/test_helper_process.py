"""A helper from its fork to its end."""

import errno
import os
from pathlib import Path

import pytest

from ginnel.core.errors import HostError
from ginnel.host import helper
from ginnel.host.helper_process import IGNORED_SIGNALS, start_helper


def test_it_ends_with_the_channel(tmp_path: Path) -> None:
    started = start_helper(tmp_path / "run")
    assert started.pid != os.getpid()
    started.channel.close()
    assert os.waitstatus_to_exitcode(os.waitpid(started.pid, 0)[1]) == 0


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_no_room_for_a_process_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> int:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    before = descriptors()
    monkeypatch.setattr(os, "fork", full)
    with pytest.raises(HostError, match="start of the privileged helper: Resource temporarily"):
        start_helper(tmp_path / "run")
    assert descriptors() == before


def test_a_signal_that_comes_while_it_begins_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_arguments: object) -> None:
        for number in IGNORED_SIGNALS:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(helper, "run_helper", interrupt)
    started = start_helper(tmp_path / "run")
    assert os.waitstatus_to_exitcode(os.waitpid(started.pid, 0)[1]) == 0
    started.channel.close()


def test_it_never_returns_into_the_main_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise SystemExit(7)

    monkeypatch.setattr(helper, "run_helper", fail)
    started = start_helper(tmp_path / "run")
    assert os.waitstatus_to_exitcode(os.waitpid(started.pid, 0)[1]) == 1
    started.channel.close()
