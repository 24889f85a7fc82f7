"""The helper that is forked early: for whom, where its journals are, and how little is loaded."""

import subprocess
import sys

import pytest

from ginnel.host.places import DEFAULT_RUNTIME_DIR
from ginnel.options.model import ProcessOptions
from ginnel.shell import early_helper

LOADED = """
import sys
import ginnel.shell.early_helper
print({"asyncio", "ginnel.core.client", "ginnel.shell.process"} & set(sys.modules))
"""


def test_a_daemon_starts_its_own_later(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr(early_helper, "start_helper", started.append)
    monkeypatch.setenv(early_helper.RUNTIME_VARIABLE, "/run/elsewhere")
    assert early_helper.early_helper(ProcessOptions(daemon="vpn")) is None
    assert started == []
    early_helper.early_helper(ProcessOptions())
    assert started == ["/run/elsewhere"]


def test_journals_have_a_place_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(early_helper.RUNTIME_VARIABLE, raising=False)
    assert early_helper.runtime_directory() == DEFAULT_RUNTIME_DIR


def test_what_only_the_main_process_needs_is_not_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "set()\n"
