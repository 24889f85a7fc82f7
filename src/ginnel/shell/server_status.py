"""Writes a server's status file, from time to time and when the server ends."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from itertools import islice

from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.compat.status_file import StatusFile
from ginnel.core.errors import ConfigError
from ginnel.options.model import ProcessOptions

LINES_AT_ONCE = 500
"""Lines rendered before the loop may do something else."""


class ServerStatusFile:
    """The file of ``status``; without one all of this does nothing."""

    def __init__(self, process: ProcessOptions, log: Callable[[LogLine], None]) -> None:
        """Raises ConfigError when the file cannot be opened."""
        self.path = process.status
        self.renew(process)
        self._log = log
        self._refused = False
        self._file: StatusFile | None = None
        if process.status is None:
            return
        try:
            self._file = StatusFile(process.status)
        except OSError as error:
            raise ConfigError(
                f"--status fails with '{process.status}': {error.strerror} (errno={error.errno})",
                option="status",
            ) from error

    def renew(self, process: ProcessOptions) -> None:
        """Takes the interval and form of a reload that names the same file."""
        self._interval = max(1, process.status_interval)
        self._version = process.status_version

    async def keep(self, status: Callable[[int], Iterable[str]]) -> None:
        """Writes the file at once and then at each interval, until it is cancelled."""
        while self._file is not None:
            lines: list[str] = []
            for number, line in enumerate(status(self._version), start=1):
                lines.append(line)
                if number % LINES_AT_ONCE == 0:
                    await asyncio.sleep(0)
            self._write(lines)
            await asyncio.sleep(self._interval)

    def log(self, status: Callable[[int], Iterable[str]]) -> Coroutine[None, None, None] | None:
        """Shows the status in the log (SIGUSR2); returns the work that is left of a long one."""
        lines = iter(status(self._version))
        return self._log_rest(lines) if self._log_some(lines) else None

    async def _log_rest(self, lines: Iterator[str]) -> None:
        more = True
        while more:
            await asyncio.sleep(0)
            more = self._log_some(lines)

    def _log_some(self, lines: Iterator[str]) -> bool:
        """Returns whether there may be more."""
        some = tuple(islice(lines, LINES_AT_ONCE))
        for line in some:
            self._log(LogLine(text=line))
        return len(some) == LINES_AT_ONCE

    def close(self) -> None:
        """Closes the file. Idempotent."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, lines: Iterable[str]) -> None:
        """A full disk is a warning, once, and not the end of the server."""
        if self._file is None:
            return
        try:
            self._file.write("".join(f"{line}\n" for line in lines))
        except OSError as error:
            if not self._refused:
                self._refused = True
                text = f"the status file cannot be written: {error.strerror}"
                self._log(shell_lines.warning(text))
        else:
            self._refused = False
