"""Hook commands: no shell, the environment as given, output and result."""

import asyncio
import os
import resource
import selectors
import signal
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ginnel.host.scripts import (
    NOT_RUN,
    ScriptFailure,
    ScriptResult,
    ScriptRunner,
    export_certificate,
)


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def runner(lines: list[str]) -> Iterator[ScriptRunner]:
    made = ScriptRunner(lines.append)
    yield made
    made.close()


def script(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def run(
    runner: ScriptRunner,
    command: Sequence[str],
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    security: int = 2,
) -> ScriptResult:
    return asyncio.run(
        asyncio.wait_for(
            runner.run(command, arguments, environment or {}, script_security=security), 20
        )
    )


def test_words_reach_the_script_untouched(
    runner: ScriptRunner, lines: list[str], tmp_path: Path
) -> None:
    command = script(tmp_path / "up", 'for word in "$@"; do echo "[$word]"; done')
    result = run(runner, (command, "a b", "$HOME; ls"), ("tun0", "", "*"))
    assert result.ok
    assert lines == ["[a b]", "[$HOME; ls]", "[tun0]", "[]", "[*]"]


def test_environment_is_exactly_what_was_given(
    runner: ScriptRunner, lines: list[str], tmp_path: Path
) -> None:
    command = script(tmp_path / "up", "/usr/bin/tr '\\0' '\\n' < /proc/$$/environ")
    run(runner, (command,), (), {"dev": "tun0", "odd": "a=b c"})
    assert lines == ["dev=tun0", "odd=a=b c"]


def test_exit_status_is_told(runner: ScriptRunner, tmp_path: Path) -> None:
    result = run(runner, (script(tmp_path / "up", "exit 7"),))
    assert (result.status, result.failure) == (7, ScriptFailure.EXIT_STATUS)
    assert str(result) == "external program exited with error status: 7"


def test_signal_is_told(runner: ScriptRunner, tmp_path: Path) -> None:
    result = run(runner, (script(tmp_path / "up", "kill -KILL $$"),))
    assert (result.status, result.failure) == (137, ScriptFailure.SIGNAL)
    assert "signal 9" in str(result)


@pytest.mark.parametrize("kind", ["absent", "forbidden", "no program"])
def test_what_cannot_run_is_127(runner: ScriptRunner, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "up"
    if kind != "absent":
        path.write_text("#!/bin/sh\n" if kind == "forbidden" else "no shebang")
        path.chmod(0o644 if kind == "forbidden" else 0o755)
    result = run(runner, (str(path),))
    assert (result.status, result.failure) == (NOT_RUN, ScriptFailure.COULD_NOT_RUN)
    assert result.detail


@pytest.mark.parametrize("level", [0, 1])
def test_script_security_forbids(runner: ScriptRunner, tmp_path: Path, level: int) -> None:
    mark = tmp_path / "ran"
    command = script(tmp_path / "up", f"echo > {mark}")
    result = run(runner, (command,), security=level)
    assert result.failure is ScriptFailure.NOT_ALLOWED
    assert str(result) == "disallowed by script-security setting"
    assert not mark.exists()


def test_zero_byte_cannot_be_passed(runner: ScriptRunner, tmp_path: Path) -> None:
    result = run(runner, (script(tmp_path / "up", "exit 0"),), ("a\0b",))
    assert result.failure is ScriptFailure.COULD_NOT_RUN


def test_bare_name_is_looked_for_here_only(
    runner: ScriptRunner, lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(runner, ("true",)).failure is ScriptFailure.COULD_NOT_RUN
    script(tmp_path / "true", 'echo "here $0"')
    assert run(runner, ("true",)).ok
    assert lines == ["here ./true"]


def test_standard_error_is_logged_and_control_characters_are_not(
    runner: ScriptRunner, lines: list[str], tmp_path: Path
) -> None:
    command = script(tmp_path / "up", r"printf 'one\033[31m\ntwo' >&2")
    run(runner, (command,))
    assert lines == ["one_[31m", "two"]


def test_flood_of_output_neither_blocks_nor_grows(
    runner: ScriptRunner, lines: list[str], tmp_path: Path
) -> None:
    command = script(tmp_path / "up", "head -c 8000000 /dev/zero | tr '\\0' 'x'; echo; exit 3")
    result = run(runner, (command,), (), {"PATH": "/usr/bin:/bin"})
    assert result.status == 3
    assert sum(len(line) for line in lines) < 1 << 21
    assert max(len(line) for line in lines) <= 1024


def test_background_child_is_not_waited_for(
    runner: ScriptRunner, lines: list[str], tmp_path: Path
) -> None:
    hold = tmp_path / "hold"
    os.mkfifo(hold)
    command = script(tmp_path / "up", f"cat < {hold} & echo started")
    try:
        assert run(runner, (command,), (), {"PATH": "/usr/bin:/bin"}).ok
        assert lines == ["started"]
    finally:
        with hold.open("w"):
            pass  # lets the child's cat come to its end


def test_cancelled_script_is_killed(runner: ScriptRunner, tmp_path: Path) -> None:
    pid_file, hold = tmp_path / "pid", tmp_path / "hold"
    os.mkfifo(pid_file)
    os.mkfifo(hold)
    command = script(tmp_path / "up", f"echo $$ > {pid_file}; read line < {hold}")

    async def cancel() -> int:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(runner.run((command,), (), {}, script_security=2))
            loop = asyncio.get_running_loop()
            pid = int(await loop.run_in_executor(None, pid_file.read_text))
            task.cancel()
        assert task.cancelled()
        return pid

    pid = asyncio.run(asyncio.wait_for(cancel(), 40))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("known_late", [False, True])
def test_a_cancelled_script_with_a_session_takes_its_children_along(
    runner: ScriptRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known_late: bool
) -> None:
    """Also when asyncio has yet to say that the script runs."""
    create = asyncio.create_subprocess_exec
    told = asyncio.Event()

    async def create_and_tell_late(*words: Any, **options: Any) -> asyncio.subprocess.Process:
        process = await create(*words, **options)
        await told.wait()
        return process

    if known_late:
        monkeypatch.setattr(asyncio, "create_subprocess_exec", create_and_tell_late)
    pid_file, hold = tmp_path / "pid", tmp_path / "hold"
    os.mkfifo(pid_file)
    os.mkfifo(hold)
    command = script(tmp_path / "verify", f"(read line < {hold}) & echo $! > {pid_file}; wait")

    async def cancel() -> int:
        async with asyncio.TaskGroup() as tasks:
            work = runner.run((command,), (), {}, script_security=2, own_session=True)
            task = tasks.create_task(work)
            loop = asyncio.get_running_loop()
            child = os.pidfd_open(int(await loop.run_in_executor(None, pid_file.read_text)))
            task.cancel()
            await asyncio.sleep(0)
            told.set()
        return child

    child = asyncio.run(asyncio.wait_for(cancel(), 40))
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(child, selectors.EVENT_READ)
            assert selector.select(10), "the child lives on"
    finally:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(child, signal.SIGKILL)
        os.close(child)


def test_standard_input_is_empty(runner: ScriptRunner, lines: list[str], tmp_path: Path) -> None:
    command = script(tmp_path / "up", 'read line && echo "got $line" || echo nothing')
    run(runner, (command,))
    assert lines == ["nothing"]


def test_exported_certificate_is_pem_and_private(tmp_path: Path) -> None:
    path = Path(export_certificate(str(tmp_path), bytes(range(200))))
    text = path.read_text().splitlines()
    assert text[0] == "-----BEGIN CERTIFICATE-----"
    assert text[-1] == "-----END CERTIFICATE-----"
    assert max(len(line) for line in text) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_certificate_that_does_not_fit_leaves_no_file(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            export_certificate(str(tmp_path), bytes(200))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert not list(tmp_path.iterdir())
