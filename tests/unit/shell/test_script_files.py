"""Files between the server and its scripts: private, found by nobody, and gone in time."""

import asyncio
from pathlib import Path

import pytest

from ginnel.shell.script_files import (
    ScriptFiles,
    exported,
    read_script_file,
    verdict_in,
    wait_for_verdict,
)
from tests.unit.shell.loops import run


def test_files_are_private_and_go_with_the_call(tmp_path: Path) -> None:
    with ScriptFiles(str(tmp_path)) as files:
        first, second = files.make("acf"), files.make("up", b"ada\nsecret\n")
        assert Path(first).name.startswith("openvpn_acf_")
        assert Path(second).read_bytes() == b"ada\nsecret\n"
        assert {oct(path.stat().st_mode) for path in tmp_path.iterdir()} == {"0o100600"}
        Path(first).unlink()  # a script may remove its own
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with ScriptFiles(str(tmp_path / "gone")) as files, pytest.raises(OSError, match="No such"):
        files.make("acf")


def test_reading_is_bounded_and_never_waits(tmp_path: Path) -> None:
    import os

    path = tmp_path / "file"
    assert read_script_file(str(path)) == b""
    path.write_bytes(b"x" * 100)
    assert read_script_file(str(path), 10) == b"x" * 10
    os.mkfifo(tmp_path / "pipe")
    assert read_script_file(str(tmp_path / "pipe")) == b""
    (tmp_path / "link").symlink_to(path)
    assert read_script_file(str(tmp_path / "link")) == b""


def test_a_verdict_is_its_first_character(tmp_path: Path) -> None:
    path = tmp_path / "verdict"
    for text, meant in (("1", True), ("0\n", False), ("", None), ("2", None), ("x1", None)):
        path.write_text(text)
        assert verdict_in(str(path)) is meant


def test_a_verdict_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "verdict"
    path.write_text("2")

    async def work() -> bool:
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(wait_for_verdict(str(path)))
            await asyncio.sleep(0)
            path.write_text("1")
        return waiting.result()

    assert run(work())


def test_a_certificate_is_there_while_it_is_looked_at(tmp_path: Path) -> None:
    with exported(str(tmp_path), b"der") as told:
        assert "BEGIN CERTIFICATE" in Path(told["peer_cert"]).read_text()
    assert list(tmp_path.iterdir()) == []
    with exported(None, b"der") as told:
        assert told == {}
