"""Which journals are undone, left alone or thrown away. ``tests/host`` holds the undo itself."""

import os
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from ginnel.core.errors import HostError
from ginnel.host.journal import EntryState, Journal, Owner, current_owner
from ginnel.host.recover import Disposition, restore
from ginnel.host.results import Outcome
from ginnel.host.steps import DropDevice, DropRoute

DEVICE = DropDevice(device="no-such-device", index=1 << 30)
ROUTE = DropRoute(
    network=IPv4Network("203.0.113.77/32"), gateway=IPv4Address("192.0.2.1"), index=5, metric=77
)


def owner(**fields: object) -> Owner:
    return replace(current_owner(os.getpid()), **fields)  # type: ignore[arg-type]  # real fields


def leave(directory: Path, **fields: object) -> Path:
    """Writes a journal as a process that died would leave it."""
    journal = Journal(directory, owner(**fields))
    journal.intend(DEVICE)
    journal.intend(ROUTE)
    journal.abandon()
    (path,) = directory.glob("*.journal")
    return path


def test_no_directory_is_nothing_to_do(tmp_path: Path) -> None:
    report = restore(tmp_path / "absent")
    assert report.journals == ()
    assert report.complete


def test_file_in_place_of_the_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(HostError):
        restore(tmp_path / "run")


def test_dead_owner_is_undone_last_first(tmp_path: Path) -> None:
    path = leave(tmp_path / "run")
    (entry,) = restore(tmp_path / "run").journals
    assert entry.disposition is Disposition.RESTORED
    assert entry.main_pid == os.getpid()
    assert [result.outcome for result in entry.results] == [Outcome.GONE, Outcome.GONE]
    assert [result.what.split()[0] for result in entry.results] == ["route", "device"]
    assert not path.exists()


def test_settled_entries_are_not_undone_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run", owner())
    for state in (EntryState.FAILED, EntryState.UNDONE):
        journal.settle(journal.intend(ROUTE), state)
    journal.abandon()
    (entry,) = restore(tmp_path / "run").journals
    assert entry.results == ()
    assert list((tmp_path / "run").iterdir()) == []


def test_living_owner_is_left_alone_at_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run", owner())
    journal.intend(DEVICE)
    report = restore(tmp_path / "run", wait=60.0)
    assert [entry.disposition for entry in report.journals] == [Disposition.IN_USE]
    assert report.complete
    journal.finish()


def test_helper_that_outlives_its_main_process_is_waited_for(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run", owner(main_pid=2**22 + 1, main_start=1))
    journal.intend(DEVICE)
    report = restore(tmp_path / "run", wait=0.05)
    assert [entry.disposition for entry in report.journals] == [Disposition.IN_USE]
    journal.abandon()
    assert restore(tmp_path / "run").journals[0].disposition is Disposition.RESTORED


def test_journal_of_an_earlier_boot_is_thrown_away(tmp_path: Path) -> None:
    path = leave(tmp_path / "run", boot_id="00000000-0000-0000-0000-000000000000")
    (entry,) = restore(tmp_path / "run").journals
    assert entry.disposition is Disposition.OUTDATED
    assert entry.results == ()
    assert not path.exists()


def test_journal_of_another_network_namespace_is_left_alone(tmp_path: Path) -> None:
    path = leave(tmp_path / "run", network_namespace="4:1")
    (entry,) = restore(tmp_path / "run").journals
    assert entry.disposition is Disposition.OTHER_NAMESPACE
    assert entry.results == ()
    assert path.exists()


def test_unreadable_journal_is_told_and_kept(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "1-2.journal"
    path.write_bytes(b"rubbish\n")
    report = restore(tmp_path / "run")
    assert [entry.disposition for entry in report.journals] == [Disposition.UNREADABLE]
    assert not report.complete
    assert path.exists()


def test_other_files_and_drafts_are_not_journals(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".5-6.journal").write_text("half")
    assert restore(tmp_path).journals == ()


def test_directory_that_others_may_write_is_not_believed(tmp_path: Path) -> None:
    path = leave(tmp_path / "run")
    (tmp_path / "run").chmod(0o777)
    with pytest.raises(HostError, match="only its owner may write"):
        restore(tmp_path / "run")
    assert path.exists()


def test_journal_that_others_may_write_is_not_believed(tmp_path: Path) -> None:
    path = leave(tmp_path / "run")
    path.chmod(0o666)
    (entry,) = restore(tmp_path / "run").journals
    assert entry.disposition is Disposition.UNREADABLE
    assert entry.results == ()


def test_what_was_undone_is_noted_even_after_a_torn_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = leave(tmp_path / "run")
    path.write_bytes(path.read_bytes() + b'{"n":3,"undo":{"ki')

    def refuse(_self: object, _version: int, _table: int) -> list[object]:
        raise HostError("listing", 1, "not now")

    with monkeypatch.context() as broken:
        broken.setattr("ginnel.host.netlink.Netlink.routes", refuse)
        (entry,) = restore(tmp_path / "run").journals
    assert entry.disposition is Disposition.INCOMPLETE
    (entry,) = restore(tmp_path / "run").journals
    assert [result.what.split()[0] for result in entry.results] == ["route"]
