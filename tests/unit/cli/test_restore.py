"""``ginnel restore``: what it says and when it fails. The undoing itself is tested in ``host``."""

from pathlib import Path

import pytest

from ginnel.cli import restore
from ginnel.cli.main import main
from ginnel.core.errors import HostError
from ginnel.host.recover import Disposition, JournalReport, RestoreReport
from ginnel.host.results import ChangeResult, Outcome


def test_nothing_to_restore(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ginnel", "restore", str(tmp_path)]) == 0
    assert main(["ginnel", "restore", str(tmp_path / "missing")]) == 0
    assert capsys.readouterr().out == "Nothing to restore.\n" * 2


def test_a_journal_that_cannot_be_read_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "1234.journal").write_text("not a record\n")
    assert main(["ginnel", "restore", str(tmp_path)]) == 1
    assert capsys.readouterr().out == "1234.journal: cannot be read\n"


def report(disposition: Disposition, *results: ChangeResult) -> RestoreReport:
    journal = JournalReport(
        path="/run/ginnel/77.journal",
        disposition=disposition,
        main_pid=77,
        results=results,
    )
    return RestoreReport(journals=(journal,))


def test_each_change_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = report(
        Disposition.INCOMPLETE,
        ChangeResult(outcome=Outcome.REVERTED, what="route 10.0.0.0/8 dev tun0"),
        ChangeResult(outcome=Outcome.GONE, what="device tun0"),
        ChangeResult(outcome=Outcome.CHANGED, what="route default"),
        ChangeResult(outcome=Outcome.FAILED, what="address x", errno=1, detail="not permitted"),
    )
    monkeypatch.setattr(restore, "restore", lambda path: found)
    assert restore.run(None) == 1
    assert capsys.readouterr().out.splitlines() == [
        "77.journal of process 77: restored in part; run it again once the cause is gone",
        "  route 10.0.0.0/8 dev tun0: restored",
        "  device tun0: was gone already",
        "  route default: left alone, changed by someone else since",
        "  address x: could not be undone (not permitted)",
    ]


@pytest.mark.parametrize("disposition", list(Disposition))
def test_status_follows_the_report(
    disposition: Disposition,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = report(disposition)
    monkeypatch.setattr(restore, "restore", lambda path: found)
    assert restore.run(None) == (0 if found.complete else 1)
    assert capsys.readouterr().out.startswith("77.journal of process 77: ")


def test_a_refusal_of_the_system_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: str) -> RestoreReport:
        raise HostError("restore", 13, "Permission denied")

    monkeypatch.setattr(restore, "restore", refuse)
    assert restore.run("/run/x") == 1
    assert capsys.readouterr().err == "ginnel restore: restore: Permission denied\n"
