"""The process around a program: order, what ends it, records of Python's logging."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from ginnel.core.errors import ConfigError, LocalMisuse
from ginnel.host.helper_process import HelperProcess
from ginnel.options.model import ProcessOptions
from ginnel.options.notes import Note, NoteKind
from ginnel.shell import process
from ginnel.shell.logging_setup import LogOutput
from ginnel.shell.process import Place, chosen_engine, greet, probe, run_process
from tests.unit.shell.loops import Lines


@dataclass
class FakeHelper:
    told: list[str]

    def greet(self) -> None:
        self.told.append("helper greeted")

    async def close(self) -> None:
        self.told.append("helper closed")


@dataclass
class Told:
    """A program that remembers the order of its calls."""

    told: list[str]
    fails: BaseException | None = None
    status: int = 0

    def begin(self, log: LogOutput) -> None:
        self.told.append("begin")

    def gather(self, log: LogOutput) -> int:
        self.told.append("gather")
        if self.fails is not None:
            raise self.fails
        return 7

    async def live(self, place: Place, gathered: int) -> int:
        self.told.append(f"live with {gathered}")
        logging.getLogger("ginnel.core.session").debug("a packet was dropped")
        logging.getLogger("asyncio").error("a task failed")
        await place.host.close()
        return self.status


@dataclass
class Rig:
    log: Lines = field(default_factory=Lines)
    told: list[str] = field(default_factory=list)


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    made = Rig()

    def start(_directory: str) -> FakeHelper:
        made.told.append("helper")
        return FakeHelper(made.told)

    monkeypatch.setattr(process, "forbid_core_dumps", lambda: made.told.append("no core"))
    monkeypatch.setattr(process, "setup_logging", lambda wanted: made.log.output(wanted.verb))
    monkeypatch.setattr(process, "become_daemon", lambda **_: made.told.append("daemon"))
    monkeypatch.setattr(process, "start_helper", start)
    monkeypatch.setattr(process, "HostClient", lambda helper: helper)
    before = (list(logging.getLogger().handlers), logging.getLogger().level)
    yield made
    assert (list(logging.getLogger().handlers), logging.getLogger().level) == before


def helper_of(rig: Rig) -> HelperProcess:
    helper: Any = FakeHelper(rig.told)
    return cast(HelperProcess, helper)


def test_the_helper_comes_before_all_in_the_foreground_and_after_a_daemon(rig: Rig) -> None:
    program = Told(rig.told, status=3)
    assert run_process(ProcessOptions(verb=3), program, helper_of(rig)) == 3
    ends = ["helper greeted", "live with 7", "helper closed"]
    assert rig.told == ["no core", "begin", "gather", *ends]
    rig.told.clear()
    run_process(ProcessOptions(verb=3, daemon="vpn"), Told(rig.told))
    assert rig.told == ["no core", "begin", "gather", "daemon", "helper", *ends]


def test_a_mistake_closes_the_helper_and_is_told(rig: Rig) -> None:
    wrong = ConfigError("no such key", option="key")
    program = Told(rig.told, fails=wrong)
    assert run_process(ProcessOptions(verb=3), program, helper_of(rig)) == 1
    assert rig.told[-1] == "helper closed"
    assert rig.log.has("Options error: no such key")


def test_a_log_that_cannot_be_opened_closes_the_helper(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_options: ProcessOptions) -> LogOutput:
        raise ConfigError("no such directory", option="log")

    monkeypatch.setattr(process, "setup_logging", full)
    with pytest.raises(ConfigError, match="no such directory"):
        run_process(ProcessOptions(), Told(rig.told), helper_of(rig))
    assert rig.told == ["no core", "helper closed"]


def test_a_bug_is_shown_with_its_place(rig: Rig) -> None:
    assert run_process(ProcessOptions(verb=3), Told(rig.told, fails=LocalMisuse("ours"))) == 1
    rig.log.texts.clear()
    assert run_process(ProcessOptions(verb=3), Told(rig.told, fails=KeyError("ours"))) == 1
    assert rig.log.has("internal error, please report it")


@pytest.mark.parametrize(("verb", "shown"), [(3, False), (9, True)])
def test_records_of_python_logging_reach_the_log(rig: Rig, verb: int, shown: bool) -> None:
    run_process(ProcessOptions(verb=verb), Told(rig.told))
    assert rig.log.has("ginnel.core.session: a packet was dropped") is shown
    assert rig.log.has("asyncio: a task failed")


def test_the_process_id_is_written_and_removed(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    seen: list[str] = []

    class Looks(Told):
        async def live(self, place: Place, gathered: int) -> int:
            seen.append(path.read_text())
            return await super().live(place, gathered)

    run_process(ProcessOptions(writepid=str(path)), Looks(rig.told))
    assert seen == [f"{os.getpid()}\n"]
    assert not path.exists()


def test_notes_come_before_the_banner_and_warnings_after_it() -> None:
    lines = Lines()
    notes = (
        Note(kind=NoteKind.WARNING, text="careful"),
        Note(kind=NoteKind.NOTE, text="by the way"),
    )
    greet(notes, (), lines.output(3))
    assert lines.texts[0] == "WARNING: careful"
    assert lines.texts[1] == "by the way"
    assert lines.texts[2].startswith("OpenVPN 2.6")


def test_the_engine_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(process.ENGINE_VARIABLE, raising=False)
    assert chosen_engine() is None
    monkeypatch.setenv(process.ENGINE_VARIABLE, "python")
    assert chosen_engine() == "python"
    assert probe("python").ciphers
