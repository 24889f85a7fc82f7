"""The write-ahead journal: what must be undone, written before it is done.

One file per helper in the runtime directory, JSON lines: a header that names the owner, then for
each change its undo (in the kernel's hands before the change runs) and what became of it. Nobody
waits for the disk: a kernel that dies takes the changes with it. The writer holds a lock
on the file for as long as it lives, so a journal whose lock can be taken has no owner any more;
that does not depend on process numbers, which are reused and differ between pid namespaces. Undoing
what a dead owner left is ``recover``'s.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress

from ginnel.core.errors import HostError
from ginnel.dataclass import dataclass, field
from ginnel.enumeration import Enum
from ginnel.host.places import StrPath
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

SUFFIX = ".journal"
_VERSION = 1
_SIZE_LIMIT = 1 << 24
_LIVE_LIMIT = 1 << 22
"""Bytes of entries that are not settled; recovery can read what is kept in any case."""
_COMPACT_SIZE = 1 << 20


class EntryState(Enum):
    """What became of a change."""

    INTENDED = "intended"
    """Recorded; a crash may have come before or after the change itself."""
    DONE = "done"
    FAILED = "failed"
    UNDONE = "undone"


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
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

    A tunnel may live for months and change its routes at every reconnection, so the file is written
    anew without the settled entries when those outgrow the others. ``observer`` is called after
    every line that was written, with their number so far.
    """

    directory: StrPath
    owner: Owner
    observer: Callable[[int], None] = _ignore
    _fd: int | None = None
    _writes: int = 0
    _next: int = 1
    _size: int = 0
    _compact_at: int = _COMPACT_SIZE
    _torn: bool = False
    """The last line may be cut off, by a full disk: the next begins on a new one."""
    _live: dict[int, bytes] = field(default_factory=dict)
    """Lines of the entries that may still have to be undone."""
    _live_size: int = 0

    def intend(self, change: Undo) -> int:
        """Records how one change is undone, before it is made; returns the entry's number."""
        return self.intend_all((change,))[0]

    def intend_all(self, changes: Sequence[Undo]) -> list[int]:
        """Records how changes are undone, before any is made; returns the entries' numbers."""
        lines = {
            number: render_record({"n": number, "undo": undo_record(change)})
            for number, change in enumerate(changes, start=self._next)
        }
        size = sum(map(len, lines.values()))
        if self._live_size + size > _LIVE_LIMIT:
            raise HostError("journal", errno.EFBIG, "more changes at once than can be recorded")
        self._write(b"\n".join(lines.values()))
        self._live.update(lines)
        self._live_size += size
        self._next += len(lines)
        return list(lines)

    def settle(self, number: int, state: EntryState) -> None:
        """Records what became of an entry."""
        if state in (EntryState.FAILED, EntryState.UNDONE):
            self._live_size -= len(self._live.pop(number, b""))
        self._write(render_record({"n": number, "state": state.value}))
        if self._size > self._compact_at:
            self._compact()

    def finish(self) -> None:
        """Removes the file: nothing is left to undo. A later entry begins a new one."""
        if self._fd is not None:
            remove_file(self._path)
        self.abandon()

    def abandon(self) -> None:
        """Closes the file and leaves it for recovery."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self._live.clear()
        self._live_size = 0

    @property
    def _path(self) -> str:
        return os.path.join(self.directory, self._name)

    @property
    def _name(self) -> str:
        return f"{self.owner.helper_pid}-{self.owner.helper_start}{SUFFIX}"

    def _write(self, line: bytes) -> None:
        try:
            if self._fd is None:
                self._replace()
            self._append(line)
        except OSError as refused:
            raise HostError("journal", refused.errno or 0, str(refused)) from refused
        self._writes += 1
        self.observer(self._writes)

    def _append(self, line: bytes) -> None:
        assert self._fd is not None
        whole = (b"\n" if self._torn else b"") + line + b"\n"
        self._torn = True
        _write_all(self._fd, whole)
        self._torn = False
        self._size += len(whole)

    def _compact(self) -> None:
        """Writes the file anew. What prevents that costs nothing: the old one is still whole."""
        with suppress(OSError):
            self._replace()
        self._compact_at = self._size + _COMPACT_SIZE

    def _replace(self) -> None:
        """Puts a file with the live entries in place of what there is.

        Under another name first, so that nobody sees it unlocked or half.
        """
        ensure_directory(self.directory)
        draft = os.path.join(self.directory, f".{self._name}")
        remove_file(draft)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_APPEND
        content = b"".join(
            line + b"\n" for line in (render_record(_header(self.owner)), *self._live.values())
        )
        fd = os.open(draft, flags, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            _write_all(fd, content)
            os.rename(draft, self._path)
        except OSError:
            os.close(fd)
            remove_file(draft)
            raise
        if self._fd is not None:
            os.close(self._fd)
        self._fd, self._size, self._torn = fd, len(content), False


def _write_all(fd: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]


def remove_file(path: StrPath) -> None:
    """Removes a file, unless somebody else has."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def ensure_directory(directory: StrPath) -> None:
    """Makes the runtime directory (0700) or checks that nobody else may write in it."""
    with suppress(FileExistsError):
        os.mkdir(directory, 0o700)
    check_directory(directory)


def check_directory(directory: StrPath) -> None:
    """Raises ``PermissionError`` for what is no directory that only we may write in."""
    status = os.lstat(directory)
    if not stat.S_ISDIR(status.st_mode) or not _is_ours_alone(status):
        raise PermissionError(1, f"{directory} is not a directory that only its owner may write")


def is_trusted_file(fd: int) -> bool:
    """True for a regular file that only we may write: what is in it will be undone as root."""
    status = os.fstat(fd)
    return stat.S_ISREG(status.st_mode) and _is_ours_alone(status)


def _is_ours_alone(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


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
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def read_network_namespace() -> str:
    """Names the network namespace of this process."""
    status = os.stat("/proc/self/ns/net")
    return f"{status.st_dev}:{status.st_ino}"


def process_start(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return None
    # The command name is in parentheses and may itself hold spaces and parentheses.
    words = text.rpartition(")")[2].split()
    return int(words[19]) if len(words) > 19 and words[0] != "Z" else None
