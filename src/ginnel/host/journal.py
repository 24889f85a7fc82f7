"""The write-ahead journal: what must be undone, on disk before it is done.

One file per helper in the runtime directory, JSON lines: a header that names the owner, then for
each change its undo (synced before the change runs) and what became of it. The writer holds a lock
on the file for as long as it lives, so a journal whose lock can be taken has no owner any more;
that does not depend on process numbers, which are reused and differ between pid namespaces. Undoing
what a dead owner left is ``recover``'s.
"""

import fcntl
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from ginnel.core.errors import HostError
from ginnel.host.records import (
    BadRecord,
    as_record,
    number_field,
    parse_record,
    render_record,
    text_field,
)
from ginnel.host.step_records import read_undo, undo_record
from ginnel.host.steps import Undo

DEFAULT_RUNTIME_DIR = Path("/run/ginnel")
SUFFIX = ".journal"
_VERSION = 1
_SIZE_LIMIT = 1 << 24


class EntryState(Enum):
    """What became of a change."""

    INTENDED = "intended"
    """Recorded; a crash may have come before or after the change itself."""
    DONE = "done"
    FAILED = "failed"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who writes a journal, and where its changes hold."""

    boot_id: str
    network_namespace: str
    """Device and inode of the network namespace; changes mean nothing in another one."""
    helper_pid: int
    helper_start: int
    """Start time in clock ticks since boot; tells a process from a later one of the same number."""
    main_pid: int
    main_start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalContent:
    """What a journal file says."""

    owner: Owner
    entries: dict[int, tuple[Undo, EntryState]]
    damaged: int = 0
    """Lines that could not be read; the last one is torn when its writer died within it."""


def _ignore(_writes: int) -> None:
    return


@dataclass(slots=True)
class Journal:
    """A journal being written. The file is made with the first entry and removed by ``finish``.

    ``observer`` is called after every line that reached the disk, with their number so far.
    """

    directory: Path
    owner: Owner
    observer: Callable[[int], None] = _ignore
    _fd: int | None = None
    _path: Path | None = None
    _writes: int = 0
    _next: int = field(default=1)

    def intend(self, change: Undo) -> int:
        """Records how a change is undone, before it is made; returns the entry's number."""
        number = self._next
        self._write({"n": number, "undo": undo_record(change)}, sync=True)
        self._next += 1
        return number

    def settle(self, number: int, state: EntryState) -> None:
        """Records what became of an entry."""
        self._write({"n": number, "state": state.value}, sync=False)

    def finish(self) -> None:
        """Removes the file: nothing is left to undo. A later entry begins a new one."""
        if self._fd is not None and self._path is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd, self._path = None, None

    def abandon(self) -> None:
        """Closes the file and leaves it for recovery."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd, self._path = None, None

    def _write(self, record: dict[str, object], *, sync: bool) -> None:
        try:
            if self._fd is None:
                self._create()
            self._append(render_record(record), sync=sync)
        except OSError as refused:
            raise HostError("journal", refused.errno or 0, str(refused)) from refused
        self._writes += 1
        self.observer(self._writes)

    def _append(self, line: bytes, *, sync: bool) -> None:
        assert self._fd is not None
        rest = memoryview(line + b"\n")
        while rest:
            rest = rest[os.write(self._fd, rest) :]
        if sync:
            os.fsync(self._fd)

    def _create(self) -> None:
        """Makes the file under another name first, so that nobody sees it unlocked."""
        ensure_directory(self.directory)
        name = f"{self.owner.helper_pid}-{self.owner.helper_start}{SUFFIX}"
        draft = self.directory / f".{name}"
        draft.unlink(missing_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_APPEND
        self._fd = os.open(draft, flags, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        self._append(render_record(_header(self.owner)), sync=True)
        self._path = self.directory / name
        draft.rename(self._path)
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def ensure_directory(directory: Path) -> None:
    """Makes the runtime directory (0700) or checks that nobody else may write in it."""
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    trusted = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    if not trusted or status.st_mode & 0o022:
        raise PermissionError(1, f"{directory} is not a directory that only its owner may write")


def read_journal(fd: int) -> JournalContent:
    """Reads a journal from the start. Raises ``BadRecord`` when its header does not make sense."""
    if os.fstat(fd).st_size > _SIZE_LIMIT:
        raise BadRecord("journal size")
    os.lseek(fd, 0, os.SEEK_SET)
    with os.fdopen(os.dup(fd), "rb") as file:
        lines = file.read(_SIZE_LIMIT).split(b"\n")
    owner = _read_header(lines[0])
    entries: dict[int, tuple[Undo, EntryState]] = {}
    damaged = 0
    for line in lines[1:]:
        if line:
            try:
                _read_line(line, entries)
            except BadRecord:
                damaged += 1
    return JournalContent(owner=owner, entries=entries, damaged=damaged)


def _read_line(line: bytes, entries: dict[int, tuple[Undo, EntryState]]) -> None:
    record = parse_record(line)
    number = number_field(record, "n", 1)
    if "undo" in record:
        entries[number] = (read_undo(as_record(record["undo"])), EntryState.INTENDED)
        return
    if number not in entries:
        raise BadRecord("n")
    try:
        state = EntryState(text_field(record, "state", 16))
    except ValueError as bad:
        raise BadRecord("state") from bad
    entries[number] = (entries[number][0], state)


def _header(owner: Owner) -> dict[str, object]:
    return {
        "ginnel": _VERSION,
        "boot": owner.boot_id,
        "netns": owner.network_namespace,
        "helper_pid": owner.helper_pid,
        "helper_start": owner.helper_start,
        "main_pid": owner.main_pid,
        "main_start": owner.main_start,
    }


def _read_header(line: bytes) -> Owner:
    record = parse_record(line)
    number_field(record, "ginnel", _VERSION, _VERSION)
    return Owner(
        boot_id=text_field(record, "boot", 64),
        network_namespace=text_field(record, "netns", 64),
        helper_pid=number_field(record, "helper_pid"),
        helper_start=number_field(record, "helper_start", 0, 1 << 63),
        main_pid=number_field(record, "main_pid"),
        main_start=number_field(record, "main_start", 0, 1 << 63),
    )


def current_owner(main_pid: int) -> Owner:
    """Describes this process as the helper of ``main_pid``."""
    pid = os.getpid()
    return Owner(
        boot_id=read_boot_id(),
        network_namespace=read_network_namespace(),
        helper_pid=pid,
        helper_start=process_start(pid) or 0,
        main_pid=main_pid,
        main_start=process_start(main_pid) or 0,
    )


def read_boot_id() -> str:
    """A random name that the kernel gives each boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


def read_network_namespace() -> str:
    """Names the network namespace of this process."""
    status = Path("/proc/self/ns/net").stat()
    return f"{status.st_dev}:{status.st_ino}"


def process_start(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    # The command name is in parentheses and may itself hold spaces and parentheses.
    words = text.rpartition(")")[2].split()
    return int(words[19]) if len(words) > 19 and words[0] != "Z" else None
