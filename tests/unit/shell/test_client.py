"""The program around the lifecycle: order of the start, reloads, exit status, messages."""

import asyncio
import os
import signal
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from ginnel.core.errors import ConfigError, HostError
from ginnel.core.tls_context import PassphraseNeeded, PassphraseWrong
from ginnel.options.actions import RunClient
from ginnel.options.model import AuthRetry, ProcessOptions, TlsOptions
from ginnel.options.notes import Note, NoteKind
from ginnel.options.values import Secret
from ginnel.shell import client, helper_watch, process, unlock
from ginnel.shell.client import run_client
from ginnel.shell.lifecycle import Equipment, Finished
from ginnel.shell.logging_setup import LogOutput
from tests.unit.shell.loops import Lines
from tests.unit.shell.remotes import options_for, udp_profile


@dataclass
class FakeHelper:
    """A helper that was never forked; ``helper_pid`` is a child of ours all the same."""

    rig: "Rig"
    helper_pid: int

    def greet(self) -> None:
        self.rig.told.append("helper greeted")

    async def close(self) -> None:
        self.rig.told.append("helper closed")
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, "a stuck helper can be left"


class FakeContext:
    warnings = ("the certificate expires soon",)

    def channel(self) -> None:
        raise AssertionError("no connection is made here")


@dataclass
class Rig:
    """Everything around the lifecycle, standing in for itself."""

    told: list[str] = field(default_factory=list)
    log: Lines = field(default_factory=Lines)
    ends: list[Finished | BaseException] = field(default_factory=lambda: [Finished()])
    equipment: list[Equipment] = field(default_factory=list)
    output: LogOutput | None = None
    helper_died: bool = False

    async def live(self, equipment: Equipment) -> Finished:
        self.equipment.append(equipment)
        self.told.append("live")
        await asyncio.sleep(0)
        end = self.ends.pop(0)
        if isinstance(end, BaseException):
            raise end
        return end


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Rig:
    made = Rig()

    class FakeLifecycle:
        def __init__(self, equipment: Equipment) -> None:
            self._equipment = equipment

        async def run(self) -> Finished:
            return await made.live(self._equipment)

    def start(_directory: str) -> FakeHelper:
        made.told.append("helper started")
        return FakeHelper(made, os.getpid())

    def opened(wanted: ProcessOptions) -> LogOutput:
        made.output = made.log.output(wanted.verb)
        return made.output

    monkeypatch.setattr(process, "forbid_core_dumps", lambda: made.told.append("no core"))
    monkeypatch.setattr(process, "setup_logging", opened)
    monkeypatch.setattr(unlock, "build_tls_context", lambda *_, **__: FakeContext())
    monkeypatch.setattr(process, "become_daemon", lambda **_: made.told.append("daemon"))
    monkeypatch.setattr(process, "lock_memory", lambda: made.told.append("mlock"))
    monkeypatch.setattr(process, "set_priority", lambda nice: made.told.append(f"nice {nice}"))
    monkeypatch.setattr(process, "start_helper", start)
    monkeypatch.setattr(process, "HostClient", lambda helper: helper)
    monkeypatch.setattr(helper_watch, "has_ended", lambda _pid: made.helper_died)
    monkeypatch.setattr(client, "Lifecycle", FakeLifecycle)
    monkeypatch.setenv(process.ENGINE_VARIABLE, "python")
    return made


def request(**wanted: object) -> RunClient:
    options = options_for(udp_profile())
    made = replace(ProcessOptions(verb=3), **wanted)  # type: ignore[arg-type]
    return RunClient(options=replace(options, process=made), notes=())


def never() -> RunClient:
    pytest.fail("nothing asked for a reload")


def test_order_of_a_start_and_an_end(rig: Rig, tmp_path: Path) -> None:
    pid_file, status = tmp_path / "pid", tmp_path / "status"

    asked = request(daemon="vpn", nice=5, mlock=True, writepid=str(pid_file), status=str(status))
    before: list[tuple[str, int]] = []
    live = rig.live

    async def look(equipment: Equipment) -> Finished:
        before.append((pid_file.read_text(), stat.S_IMODE(pid_file.stat().st_mode)))
        return await live(equipment)

    rig.live = look  # type: ignore[method-assign]
    assert run_client(asked, never) == 0
    assert rig.told == [
        *(
            "no core",
            "daemon",
            "nice 5",
            "mlock",
            "helper started",
            "helper greeted",
            "live",
            "helper closed",
        )
    ]
    umask = os.umask(0o022)
    os.umask(umask)
    assert before == [(f"{os.getpid()}\n", 0o644 & ~umask)]
    assert not pid_file.exists()
    assert status.read_text().endswith("END\n")
    assert rig.log.texts[0].startswith("OpenVPN 2.6")
    assert rig.log.has("WARNING: the certificate expires soon")


def test_notes_of_the_configuration_are_said_first(rig: Rig) -> None:
    notes = (
        Note(kind=NoteKind.WARNING, text="careful"),
        Note(kind=NoteKind.NOTE, text="by the way"),
    )
    run_client(replace(request(), notes=notes), never)
    assert rig.log.texts[0].startswith("WARNING: ")
    assert "careful" in rig.log.texts[0]
    assert "by the way" in rig.log.texts[1]


def test_exit_status_is_the_lifecycles(rig: Rig) -> None:
    rig.ends = [Finished(status=1)]
    assert run_client(request(), never) == 1


# --- reloads -----------------------------------------------------------------------------------


def test_a_reload_reads_everything_again_but_keeps_helper_runner_and_rights(rig: Rig) -> None:
    rig.ends = [Finished(reload=True), Finished(reload=True), Finished()]
    asked = iter([request(verb=5), request(verb=1, mute=7)])
    verbs: list[int] = []

    def reload() -> RunClient:
        assert rig.output is not None
        verbs.append(rig.output.verb)
        return next(asked)

    assert run_client(request(), reload) == 0
    assert verbs == [3, 5]
    assert rig.output is not None
    assert rig.output.verb == 1
    assert rig.told.count("helper started") == 1
    assert rig.told.count("no core") == 1
    kept = {(id(e.rights), id(e.runner), id(e.host), id(e.signals)) for e in rig.equipment}
    assert len(kept) == 1
    assert [e.options.process.verb for e in rig.equipment] == [3, 5, 1]
    assert sum(text.startswith("OpenVPN 2.6") for text in rig.log.texts) == 3


def test_a_broken_configuration_at_a_reload_ends_with_its_message(rig: Rig) -> None:
    rig.ends = [Finished(reload=True)]

    def broken() -> RunClient:
        raise ConfigError("there is no option of this name", option="bogus")

    assert run_client(request(), broken) == 1
    assert rig.log.texts[-2:] == [
        "Options error: there is no option of this name",
        "Use --help for more information.",
    ]
    assert rig.told[-1] == "helper closed"


def test_a_status_file_out_of_reach_after_a_reload_is_a_warning(rig: Rig, tmp_path: Path) -> None:
    rig.ends = [Finished(reload=True), Finished()]
    lost = request(status=str(tmp_path / "gone" / "status"))
    assert run_client(request(status=str(tmp_path / "status")), lambda: lost) == 0
    assert rig.log.has("WARNING: --status fails with '")


# --- failures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["status", "writepid"])
def test_files_that_cannot_be_written_are_found_before_the_daemon(
    rig: Rig, tmp_path: Path, option: str
) -> None:
    path = tmp_path / "no" / "file"
    asked = request(**{option: str(path), "daemon": "vpn"})
    assert run_client(asked, never) == 1
    assert rig.log.has(f"Options error: --{option} fails with '{path}': No such file or directory")
    assert "daemon" not in rig.told
    assert "helper started" not in rig.told


def test_an_unknown_user_is_found_before_the_daemon(rig: Rig) -> None:
    assert run_client(request(user="no-such-user", daemon="vpn"), never) == 1
    assert rig.log.has("no-such-user")
    assert "daemon" not in rig.told


def test_the_passphrase_is_asked_for_when_it_is_needed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[bytes | None] = []
    entered = Secret(b"correct horse")

    def build(options: TlsOptions, **_: object) -> FakeContext:
        given.append(None if options.askpass is None else options.askpass.reveal())
        if options.askpass is None:
            raise PassphraseNeeded("the key is encrypted", option="key")
        return FakeContext()

    async def ask() -> Secret:
        return entered

    monkeypatch.setattr(unlock, "build_tls_context", build)
    monkeypatch.setattr(unlock, "ask_passphrase", ask)
    assert run_client(request(), never) == 0
    assert given == [None, b"correct horse"]
    assert len(entered) == 0, "it is wiped once the key is open"


@pytest.mark.parametrize(("retry", "status", "asked"), [("none", 1, 1), ("interact", 0, 2)])
def test_wrong_passphrase_is_asked_for_again_only_when_that_is_wanted(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, retry: str, status: int, asked: int
) -> None:
    entered = [Secret(b"correct horse"), Secret(b"wrong")]

    def build(options: TlsOptions, **_: object) -> FakeContext:
        if options.askpass is None:
            raise PassphraseNeeded("the key is encrypted", option="key")
        if options.askpass == Secret(b"wrong"):
            raise PassphraseWrong("it does not open", option="askpass")
        return FakeContext()

    async def ask() -> Secret:
        return entered.pop()

    monkeypatch.setattr(unlock, "build_tls_context", build)
    monkeypatch.setattr(unlock, "ask_passphrase", ask)
    wanted = request()
    login = replace(wanted.options.login, auth_retry=AuthRetry(retry))
    wanted = replace(wanted, options=replace(wanted.options, login=login))
    assert run_client(wanted, never) == status
    assert len(entered) == 2 - asked
    assert rig.log.has("it does not open")
    again = "SIGUSR1[soft,private-key-password-failure] received, process restarting"
    assert rig.log.has(again) is (asked == 2)


def test_a_passphrase_from_a_file_is_not_asked_for_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(_options: TlsOptions, **_: object) -> FakeContext:
        raise PassphraseNeeded("the passphrase is empty", option="askpass")

    monkeypatch.setattr(unlock, "build_tls_context", build)
    monkeypatch.setattr(unlock, "ask_passphrase", lambda: pytest.fail("there is a file"))
    asked = request()
    tls = replace(asked.options.tls, askpass=Secret(b""))
    asked = replace(asked, options=replace(asked.options, tls=tls))
    assert run_client(asked, never) == 1
    assert rig.log.has("Options error: the passphrase is empty")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_loop_ends_it_with_a_line(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def build(_options: TlsOptions, **_: object) -> FakeContext:
        os.kill(os.getpid(), number)
        return FakeContext()

    monkeypatch.setattr(unlock, "build_tls_context", build)
    helper: Any = FakeHelper(rig, os.getpid())
    assert run_client(request(), never, helper=helper) == 0
    assert rig.log.texts[-1] == f"{number.name}[hard,init_instance] received, process exiting"
    assert rig.told[-1] == "helper closed"
    assert "live" not in rig.told


def test_an_error_of_the_host_is_fatal_and_named(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise HostError("mlock", 1, "Operation not permitted")

    monkeypatch.setattr(process, "lock_memory", refuse)
    assert run_client(request(mlock=True), never) == 1
    assert rig.log.texts[-2:] == ["mlock: Operation not permitted", "Exiting due to fatal error"]


def test_a_bug_is_shown_with_its_place_and_ends_with_status_1(rig: Rig) -> None:
    rig.ends = [RuntimeError("a bug of ours")]
    assert run_client(request(), never) == 1
    assert rig.log.has("internal error, please report it")
    assert rig.log.has("RuntimeError: a bug of ours")
    assert rig.log.texts[-1] == "Exiting due to fatal error"
    assert rig.told[-1] == "helper closed"
