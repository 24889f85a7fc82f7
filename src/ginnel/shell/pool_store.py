"""The file of ``ifconfig-pool-persist``: which client had which address, over the server's end.

What the lines mean is ``core.pool``'s. The file is written soon after it changed, so that a server
that is killed knows its clients again, and in place of the old one at once where the directory
allows that; otherwise (rights were given up, or the name is a link) into the file that is open.
"""

import asyncio
import os
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.errors import ConfigError
from ginnel.core.pool import AddressPool

SETTLE = 2.0
"""Seconds between two looks whether something changed."""

MAX_SIZE = 16 << 20
"""Bytes; a longer file is none of ours."""

OPTION = "ifconfig-pool-persist"


class PoolStore:
    """Keeps one pool in one file."""

    def __init__(
        self, path: str, pool: AddressPool, log: Callable[[LogLine], None], *, writes: bool
    ) -> None:
        """``writes`` is False for a file that is only read (interval 0)."""
        self._path = Path(path)
        self._pool = pool
        self._log = log
        self._writes = writes
        self._descriptor = -1
        self._refused = False
        self._is_unsaved = False
        self._lock = threading.Lock()
        self._rendered = self._written = 0

    def load(self) -> None:
        """Reads the file, and makes it if it does not exist. Raises ConfigError."""
        try:
            text = self._read()
            if self._writes:
                flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW * self._is_ours()
                self._descriptor = os.open(self._path, flags, 0o600)
        except OSError as error:
            raise ConfigError(
                f"--{OPTION} fails with '{self._path}': {error.strerror} (errno={error.errno})",
                option=OPTION,
            ) from error
        for warning in self._pool.load(text):
            self._log(shell_lines.warning(warning))

    def succeed(self, pool: AddressPool) -> None:
        """Keeps another pool from now on, after a reload: it begins with what the file says.

        Where the file is out of reach by now it begins with what the earlier pool knew.
        """
        try:
            text = self._read()
        except OSError:
            text = self._pool.render()
        self._pool = pool
        for warning in pool.load(text):
            self._log(shell_lines.warning(warning))

    @property
    def path(self) -> str:
        return str(self._path)

    async def keep(self) -> None:
        """Writes the file whenever something changed, until it is cancelled.

        In a thread: a disk may take its time.
        """
        while True:
            await asyncio.sleep(SETTLE)
            if self._has_news:
                self._tell(await asyncio.to_thread(self._put, *self._content()))

    def write(self) -> None:
        """Writes the file now; that this fails is said once."""
        self._tell(self._put(*self._content()))

    def close(self) -> None:
        """Writes a last time what changed. Idempotent."""
        if self._has_news:
            self.write()
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    @property
    def _has_news(self) -> bool:
        return self._pool.has_changed or self._is_unsaved

    def _content(self) -> tuple[int, bytes]:
        """What to write, with a number that tells later content from earlier."""
        self._is_unsaved = True  # until it is known to be there: the pool does not tell twice
        self._rendered += 1
        return self._rendered, self._pool.render().encode()

    def _put(self, number: int, content: bytes) -> OSError | None:
        with self._lock:
            if self._descriptor < 0 or number < self._written:
                return None
            self._written = number
            try:
                if not self._replace(content):
                    _overwrite(self._descriptor, content)
            except OSError as error:
                return error
        return None

    def _tell(self, error: OSError | None) -> None:
        self._is_unsaved = error is not None  # the next look tries again
        if error is not None and not self._refused:
            text = f"{OPTION}: '{self._path}' cannot be written: {error.strerror}"
            self._log(shell_lines.warning(text))
        self._refused = error is not None

    def _read(self) -> str:
        try:
            with self._path.open("rb") as file:
                content = file.read(MAX_SIZE + 1)
        except FileNotFoundError:
            return ""
        if len(content) > MAX_SIZE:
            raise OSError(0, f"it is larger than {MAX_SIZE} bytes")
        return content.decode("utf-8", "replace")

    def _is_ours(self) -> bool:
        """Whether a new file may take the old one's place: owner and kind stay as they are."""
        try:
            found = self._path.lstat()
        except FileNotFoundError:
            return True
        if self._descriptor >= 0:
            known = os.fstat(self._descriptor)
            if (known.st_dev, known.st_ino) != (found.st_dev, found.st_ino):
                return False  # after chroot the name may be another file's
        return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1

    def _replace(self, content: bytes) -> bool:
        """Writes a new file and gives it the old one's name; False where that cannot be.

        Raises OSError for a full disk: then the old file is still whole.
        """
        beside = self._path.with_name(f".{self._path.name}.new")
        try:
            if not self._is_ours():
                return False
            mode = stat.S_IMODE(os.fstat(self._descriptor).st_mode)
            with suppress(FileNotFoundError):
                beside.unlink()  # left by a crash, or laid there by somebody who may write here
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(beside, flags, mode)
        except OSError:
            return False
        try:
            os.fchmod(descriptor, mode)
            _overwrite(descriptor, content)
            os.fdatasync(descriptor)
            beside.rename(self._path)
        except BaseException:
            os.close(descriptor)
            with suppress(OSError):
                beside.unlink()
            raise
        os.close(self._descriptor)
        self._descriptor = descriptor
        return True


def _overwrite(descriptor: int, content: bytes) -> None:
    """Puts new content first, then cuts the rest, so that the file is never empty."""
    offset = 0
    while offset < len(content):
        offset += os.pwrite(descriptor, content[offset:], offset)
    os.ftruncate(descriptor, len(content))
