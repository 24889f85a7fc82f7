"""The journal file: written before, readable after, trusted only when it may be."""

import errno
import fcntl
import os
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from ginnel.core.errors import HostError
from ginnel.host.journal import (
    EntryState,
    Journal,
    Owner,
    current_owner,
    ensure_directory,
    process_start,
    read_journal,
)
from ginnel.host.records import BadRecord
from ginnel.host.steps import DropDevice, DropRoute, Undo

OWNER = Owner(
    boot_id="boot",
    network_namespace="4:1",
    helper_pid=11,
    helper_start=22,
    main_pid=33,
    main_start=44,
)
DEVICE = DropDevice(device="tun0", index=7)
ROUTE = DropRoute(
    network=IPv4Network("10.0.0.0/8"), gateway=IPv4Address("10.8.0.1"), index=7, metric=0
)


def entries(path: Path) -> list[tuple[Undo, EntryState]]:
    with path.open("rb") as file:
        return list(read_journal(file.fileno()).entries.values())


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "run", OWNER)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "11-22.journal"


def test_no_file_before_the_first_entry(journal: Journal, path: Path) -> None:
    journal.finish()
    assert not path.parent.exists()


def test_entries_read_back_with_their_fate(journal: Journal, path: Path) -> None:
    first, second = journal.intend(DEVICE), journal.intend(ROUTE)
    journal.settle(first, EntryState.DONE)
    assert entries(path) == [(DEVICE, EntryState.DONE), (ROUTE, EntryState.INTENDED)]
    journal.settle(second, EntryState.UNDONE)
    assert entries(path)[1] == (ROUTE, EntryState.UNDONE)
    with path.open("rb") as file:
        assert read_journal(file.fileno()).owner == OWNER


def test_only_the_owner_may_look(journal: Journal, path: Path) -> None:
    journal.intend(DEVICE)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_file_is_locked_while_it_is_written(journal: Journal, path: Path) -> None:
    journal.intend(DEVICE)
    with path.open("rb") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    journal.abandon()
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_finished_journal_is_gone_and_a_new_one_can_begin(journal: Journal, path: Path) -> None:
    journal.intend(DEVICE)
    journal.finish()
    assert not path.exists()
    journal.intend(ROUTE)
    assert [change for change, _state in entries(path)] == [ROUTE]


def test_torn_last_line_is_not_a_change(journal: Journal, path: Path) -> None:
    journal.intend(DEVICE)
    journal.intend(ROUTE)
    whole = path.read_bytes()
    for cut in range(1, len(whole.splitlines()[-1]) + 1):
        path.write_bytes(whole[:-cut])
        assert [change for change, _state in entries(path)][:1] == [DEVICE]


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b"[]",
        b'{"n":"1"}',
        b'{"n":1,"undo":{"kind":"shell"}}',
        b'{"n":9,"state":"done"}',
        b'{"n":1,"state":"eaten"}',
        b'{"n":1,"undo":{"kind":"drop-device","device":"../x","index":7}}',
        b"[" * 100_000,
    ],
)
def test_line_that_makes_no_sense_is_counted(journal: Journal, path: Path, line: bytes) -> None:
    journal.intend(DEVICE)
    with path.open("ab") as file:
        file.write(line + b"\n")
    with path.open("rb") as file:
        content = read_journal(file.fileno())
    assert content.damaged == 1
    assert [change for change, _state in content.entries.values()] == [DEVICE]


@pytest.mark.parametrize("header", [b"", b"{}", b'{"ginnel":2}', b"not json"])
def test_file_without_a_header_of_ours_is_refused(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "x.journal"
    path.write_bytes(header + b"\n")
    with path.open("rb") as file, pytest.raises(BadRecord):
        read_journal(file.fileno())


class FullDisk:
    """Takes ``room`` bytes through ``os.write``, then says ENOSPC, until it has room again."""

    def __init__(self, room: int) -> None:
        self.room = room
        self._write = os.write

    def write(self, fd: int, data: bytes | memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = self._write(fd, bytes(data)[: self.room])
        self.room -= taken
        return taken


def test_line_that_a_full_disk_cut_off_does_not_spoil_the_next(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.intend(DEVICE)
    disk = FullDisk(20)
    monkeypatch.setattr(os, "write", disk.write)
    with pytest.raises(HostError, match="No space left"):
        journal.intend(ROUTE)
    disk.room = 1 << 20
    journal.intend(ROUTE)
    assert [change for change, _state in entries(path)] == [DEVICE, ROUTE]


@pytest.mark.parametrize("room", [0, 20])
def test_file_that_could_not_be_begun_is_begun_again(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    disk = FullDisk(room)
    monkeypatch.setattr(os, "write", disk.write)
    with pytest.raises(HostError, match="No space left"):
        journal.intend(DEVICE)
    assert list(path.parent.iterdir()) == []
    disk.room = 1 << 20
    journal.intend(ROUTE)
    assert [change for change, _state in entries(path)] == [ROUTE]


def test_file_stays_small_however_long_the_tunnel_lives(journal: Journal, path: Path) -> None:
    first = journal.intend(DEVICE)
    journal.settle(first, EntryState.DONE)
    largest = 0
    for _ in range(12_000):
        journal.settle(journal.intend(ROUTE), EntryState.UNDONE)
        largest = max(largest, path.stat().st_size)
    assert largest < 1_200_000
    last = journal.intend(ROUTE)
    assert [change for change, _state in entries(path)][-1] == ROUTE
    with path.open("rb") as file:
        content = read_journal(file.fileno())
        alive = (EntryState.INTENDED, EntryState.DONE)
        numbers = [n for n, (_change, state) in content.entries.items() if state in alive]
        assert (content.owner, content.damaged, numbers) == (OWNER, 0, [first, last])
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    journal.finish()
    assert list(path.parent.iterdir()) == []


def test_more_changes_than_recovery_could_read_are_refused(journal: Journal, path: Path) -> None:

    def endless() -> None:
        for _ in range(100_000):
            journal.intend(ROUTE)

    with pytest.raises(HostError, match="more changes"):
        endless()
    assert len(entries(path)) > 10_000


def test_directory_that_others_may_write_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    directory.chmod(0o777)
    with pytest.raises(PermissionError):
        ensure_directory(directory)
    with pytest.raises(HostError, match="journal"):
        Journal(directory, OWNER).intend(DEVICE)


def test_link_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError):
        ensure_directory(tmp_path / "run")


def test_owner_describes_this_process() -> None:
    owner = current_owner(os.getppid())
    assert owner.helper_pid == os.getpid()
    assert owner.helper_start == process_start(os.getpid())
    assert owner.main_start == process_start(os.getppid())
    assert len(owner.boot_id) == 36


def test_process_that_is_not_there_has_no_start() -> None:
    assert process_start(2**22 + 1) is None
