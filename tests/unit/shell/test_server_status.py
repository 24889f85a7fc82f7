"""The status file of a server."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ginnel.core.errors import ConfigError
from ginnel.options.model import ProcessOptions
from ginnel.shell import server_status
from ginnel.shell.server_status import ServerStatusFile
from tests.unit.shell.loops import Lines, run, until


def status(version: int) -> Iterator[str]:
    yield f"version {version}"
    yield from (f"client {number}" for number in range(3))
    yield "END"


def test_the_file_is_written_at_once_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_status, "LINES_AT_ONCE", 2)
    path = tmp_path / "status"

    async def whole() -> None:
        process = ProcessOptions(status=str(path), status_version=2, status_interval=0)
        file = ServerStatusFile(process, Lines())
        keeping = asyncio.ensure_future(file.keep(status))
        await until(path.read_text, "the file")
        assert path.read_text() == "version 2\nclient 0\nclient 1\nclient 2\nEND\n"
        keeping.cancel()
        file.close()
        file.close()

    run(whole())


def test_without_a_file_nothing_is_kept_but_the_log_can_be_told() -> None:
    lines = Lines()
    file = ServerStatusFile(ProcessOptions(status_version=3), lines)
    run(file.keep(status))
    assert file.log(status) is None
    assert lines.texts[0] == "version 3"
    assert lines.texts[-1] == "END"


def test_a_long_one_is_shown_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_status, "LINES_AT_ONCE", 2)
    lines = Lines()
    rest = ServerStatusFile(ProcessOptions(status_version=3), lines).log(status)
    assert rest is not None
    assert lines.texts == ["version 3", "client 0"]
    run(rest)
    assert lines.texts == ["version 3", "client 0", "client 1", "client 2", "END"]


def test_a_full_disk_is_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines, path = Lines(), tmp_path / "status"
    file = ServerStatusFile(ProcessOptions(status=str(path)), lines)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        for _ in range(3):
            file._write(["END"])
    assert lines.texts == ["WARNING: the status file cannot be written: No space left on device"]
    file._write(["END"])
    assert path.read_text() == "END\n"
    file.close()
    file._write(["late"])


def test_a_place_out_of_reach_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="status fails with"):
        ServerStatusFile(ProcessOptions(status=str(tmp_path / "no" / "status")), Lines())
