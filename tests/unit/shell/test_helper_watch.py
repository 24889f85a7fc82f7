"""The helper as its parent sees it: what it left, its death, its end."""

import asyncio
import os
import signal
from dataclasses import dataclass, field

import pytest

from ginnel.compat.log_lines import LogLine
from ginnel.core.errors import HostError
from ginnel.host import recover
from ginnel.host.client import Recovered
from ginnel.host.recover import Disposition, JournalReport, RestoreReport
from ginnel.host.results import ChangeResult, Outcome
from ginnel.shell import helper_watch
from ginnel.shell.early_helper import runtime_directory
from ginnel.shell.helper_watch import has_ended, leave_host, report_recovered, watch_helper


@dataclass
class FakeHelper:
    helper_pid: int = 0
    closed: bool = False
    earlier: tuple[Recovered, ...] = ()

    async def close(self) -> None:
        self.closed = True

    async def recovered(self) -> tuple[Recovered, ...]:
        return self.earlier


@dataclass
class Said:
    texts: list[str] = field(default_factory=list)

    def __call__(self, line: LogLine) -> None:
        self.texts.append(line.text)


def journal(disposition: Disposition, *outcomes: Outcome) -> JournalReport:
    return JournalReport(
        path="x.journal",
        disposition=disposition,
        main_pid=os.getpid(),
        results=tuple(ChangeResult(outcome=outcome, what="route") for outcome in outcomes),
    )


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (RestoreReport(), ""),
        (
            RestoreReport(
                journals=(journal(Disposition.RESTORED, Outcome.REVERTED, Outcome.GONE),)
            ),
            "undid 1 change(s) to the host",
        ),
        (
            RestoreReport(journals=(journal(Disposition.INCOMPLETE, Outcome.FAILED),)),
            "run 'ginnel restore' as root",
        ),
        (HostError("restore", 13, "Permission denied"), "run 'ginnel restore' as root"),
    ],
    ids=["nothing", "restored", "incomplete", "no-rights"],
)
def test_what_a_dead_helper_left_is_undone_here(
    monkeypatch: pytest.MonkeyPatch, report: RestoreReport | HostError, said: str
) -> None:
    asked: list[str] = []

    def undo(directory: str) -> RestoreReport:
        asked.append(directory)
        if isinstance(report, HostError):
            raise report
        return report

    monkeypatch.setattr(recover, "restore", undo)
    monkeypatch.setattr(helper_watch, "has_ended", lambda _pid: True)
    log, helper = Said(), FakeHelper()
    asyncio.run(leave_host(helper, log))
    assert asked == [runtime_directory()]
    assert helper.closed
    assert any(said in text for text in log.texts) if said else not log.texts


def test_with_a_living_helper_nothing_is_undone_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recover, "restore", lambda _path: pytest.fail("the helper did it"))
    monkeypatch.setattr(helper_watch, "has_ended", lambda _pid: False)
    helper = FakeHelper()
    asyncio.run(leave_host(helper, Said()))
    assert helper.closed


def test_the_end_of_a_child_is_seen_without_collecting_it() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert has_ended(pid)
    assert os.waitpid(pid, 0) == (pid, 0)
    pid, writing = _waiting_child()
    assert not has_ended(pid)
    os.kill(pid, signal.SIGKILL)
    os.close(writing)
    os.waitpid(pid, 0)


def test_a_helper_that_ends_before_us_is_an_error() -> None:
    pid, writing = _waiting_child()

    async def watch() -> None:
        watching = asyncio.create_task(watch_helper(pid))
        await asyncio.sleep(0)
        assert not watching.done()
        os.close(writing)
        await watching

    with pytest.raises(HostError, match="ended unexpectedly"):
        asyncio.run(watch())
    os.waitpid(pid, 0)


def test_what_earlier_processes_left_is_told_when_there_was_something() -> None:
    log = Said()
    helper = FakeHelper(
        earlier=(
            Recovered(main_pid=1, complete=True, undone=0),
            Recovered(main_pid=2, complete=True, undone=3),
            Recovered(main_pid=3, complete=False, undone=0),
        )
    )
    asyncio.run(report_recovered(helper, log))
    assert [text.partition(" left behind")[0] for text in log.texts] == [
        "undid 3 change(s) to the host that process 2",
        "undid 0 change(s) to the host that process 3",
    ]
    assert "see 'ginnel restore'" in log.texts[1]


def _waiting_child() -> tuple[int, int]:
    """A child that ends when the descriptor is closed."""
    reading, writing = os.pipe()
    pid = os.posix_spawn("/bin/cat", ["cat"], {}, file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0)])
    os.close(reading)
    return pid, writing
