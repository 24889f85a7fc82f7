"""Undoes what dead owners left behind, from their journals.

Runs at every start of the helper and from ``ginnel restore``. A journal is left alone while its
owner lives, or when its changes belong to another network namespace.
"""

import fcntl
import os
import time

from ginnel.core.errors import HostError
from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum
from ginnel.host.batch import Batch
from ginnel.host.journal import (
    SUFFIX,
    EntryState,
    JournalContent,
    Owner,
    check_directory,
    is_trusted_file,
    process_start,
    read_boot_id,
    read_journal,
    read_network_namespace,
    remove_file,
)
from ginnel.host.netlink import Netlink
from ginnel.host.places import DEFAULT_RUNTIME_DIR, StrPath
from ginnel.host.records import BadRecord, render_record
from ginnel.host.results import ChangeResult, Outcome
from ginnel.host.steps import Kernel, Undo, UndoOutcome, describe, undo

_POLL_SECONDS = 0.02
_WAIT_SECONDS = 5.0


class Disposition(Enum):
    """What was done about one journal."""

    RESTORED = "restored"
    INCOMPLETE = "incomplete"
    """Some changes could not be undone; the journal stays for the next attempt."""
    IN_USE = "in use"
    OTHER_NAMESPACE = "other network namespace"
    OUTDATED = "outdated"
    """Of an earlier boot, which took the changes with it; removed."""
    UNREADABLE = "unreadable"


@dataclass(frozen=True, kw_only=True)
class JournalReport:
    """One journal and what became of it."""

    path: str
    disposition: Disposition
    main_pid: int = 0
    results: tuple[ChangeResult, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RestoreReport:
    """All journals found, in order of name."""

    journals: tuple[JournalReport, ...] = ()

    @property
    def complete(self) -> bool:
        """True when nothing of a dead owner is left."""
        bad = (Disposition.INCOMPLETE, Disposition.UNREADABLE)
        return all(journal.disposition not in bad for journal in self.journals)


def restore(
    runtime_dir: StrPath = DEFAULT_RUNTIME_DIR, *, wait: float = _WAIT_SECONDS
) -> RestoreReport:
    """Undoes the changes of every journal whose owner is gone.

    When the main process of a journal is dead but its helper still holds the lock, it is rolling
    back: this waits up to ``wait`` seconds for it. Raises ``HostError`` when the directory or the
    kernel cannot be reached.
    """
    try:
        names = sorted(name for name in os.listdir(runtime_dir) if name.endswith(SUFFIX))
        check_directory(runtime_dir)
    except FileNotFoundError:
        return RestoreReport()
    except OSError as refused:
        raise HostError("restore", refused.errno or 0, str(refused)) from refused
    reports = []
    deadline = time.monotonic() + wait
    for name in names:
        if name.startswith("."):
            continue
        report = _restore_one(os.path.join(runtime_dir, name), deadline)
        if report is not None:
            reports.append(report)
    return RestoreReport(journals=tuple(reports))


def _restore_one(path: str, deadline: float) -> JournalReport | None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as refused:
        raise HostError("restore", refused.errno or 0, str(refused)) from refused
    try:
        if not is_trusted_file(fd):
            return JournalReport(path=path, disposition=Disposition.UNREADABLE)
        if not _take_lock(fd, deadline):
            return JournalReport(path=path, disposition=Disposition.IN_USE)
        if os.fstat(fd).st_nlink == 0:  # its owner finished while we waited
            return None
        return _restore_locked(path, fd)
    finally:
        os.close(fd)


def _take_lock(fd: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline or _main_lives(fd):
                return False
            time.sleep(_POLL_SECONDS)
        else:
            return True


def _main_lives(fd: int) -> bool:
    try:
        owner = read_journal(fd).owner
    except BadRecord:
        return True
    return process_start(owner.main_pid) == owner.main_start


def _restore_locked(path: str, fd: int) -> JournalReport:
    try:
        content = read_journal(fd)
    except BadRecord:
        return JournalReport(path=path, disposition=Disposition.UNREADABLE)
    disposition = _foreign(content.owner)
    if disposition is Disposition.OUTDATED:
        remove_file(path)
    if disposition is not None:
        return JournalReport(path=path, disposition=disposition, main_pid=content.owner.main_pid)
    results = _undo_entries(content, fd)
    failed = any(result.outcome is Outcome.FAILED for result in results)
    if not failed:
        remove_file(path)
    return JournalReport(
        path=path,
        disposition=Disposition.INCOMPLETE if failed else Disposition.RESTORED,
        main_pid=content.owner.main_pid,
        results=tuple(results),
    )


def _foreign(owner: Owner) -> Disposition | None:
    if owner.boot_id != read_boot_id():
        return Disposition.OUTDATED
    if owner.network_namespace != read_network_namespace():
        return Disposition.OTHER_NAMESPACE
    return None


def _undo_entries(content: JournalContent, fd: int) -> list[ChangeResult]:
    results = []
    with Netlink() as netlink:
        batch = Batch(netlink)
        for number, (change, state) in sorted(content.entries.items(), reverse=True):
            if state in (EntryState.INTENDED, EntryState.DONE):
                result = _undo_one(change, batch)
                results.append(result)
                if result.outcome is not Outcome.FAILED:
                    _note_undone(fd, number)
    return results


def _undo_one(change: Undo, kernel: Kernel) -> ChangeResult:
    what = describe(change)
    try:
        outcome = undo(change, kernel)
    except HostError as refused:
        return ChangeResult(
            outcome=Outcome.FAILED, what=what, errno=refused.errno, detail=refused.detail
        )
    names = {
        UndoOutcome.UNDONE: Outcome.REVERTED,
        UndoOutcome.GONE: Outcome.GONE,
        UndoOutcome.CHANGED: Outcome.CHANGED,
    }
    return ChangeResult(outcome=names[outcome], what=what)


def _note_undone(fd: int, number: int) -> None:
    """Keeps a later recovery from undoing it again: by then it could be someone else's."""
    record = render_record({"n": number, "state": EntryState.UNDONE.value})
    try:
        os.write(fd, b"\n" + record + b"\n")  # the last line may be torn
    except OSError:
        return  # a full disk: undo is idempotent, the journal goes once all is undone
