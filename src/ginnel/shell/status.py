"""Keeps a client's traffic counters over all its connections and shows them: file and log."""

import time
from collections.abc import Callable

from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.compat.status_file import LinkStatistics, StatusFile, render_client_status


class Status:
    """The counters since the program started."""

    def __init__(self, path: str | None, log: Callable[[LogLine], None]) -> None:
        """Raises OSError when the status file cannot be opened."""
        self._file = StatusFile(path) if path is not None else None
        self._log = log
        self._past = LinkStatistics()
        self._refused = False
        self.connection: Callable[[], LinkStatistics] = LinkStatistics
        """Tells the counters of the present connection alone."""

    def finish_connection(self) -> None:
        """Adds the present connection to the past; call it while its counters still stand."""
        self._past = self.total()
        self.connection = LinkStatistics

    def total(self) -> LinkStatistics:
        """Returns the counters since the start."""
        now = self.connection()
        past = self._past
        return LinkStatistics(
            tun_read=past.tun_read + now.tun_read,
            tun_write=past.tun_write + now.tun_write,
            link_read=past.link_read + now.link_read,
            link_write=past.link_write + now.link_write,
            authenticated_read=past.authenticated_read + now.authenticated_read,
        )

    def write(self) -> None:
        """Rewrites the status file; a full disk is a warning, once, not the end of the tunnel."""
        if self._file is None:
            return
        try:
            self._file.write(render_client_status(self.total(), _now_text()))
        except OSError as error:
            if not self._refused:
                self._refused = True
                text = f"the status file cannot be written: {error.strerror}"
                self._log(shell_lines.warning(text))
        else:
            self._refused = False

    def log(self) -> None:
        """Shows the counters in the log (SIGUSR2)."""
        for line in shell_lines.statistics(self.total(), _now_text()):
            self._log(line)

    def close(self) -> None:
        """Writes the file a last time and closes it."""
        self.write()
        if self._file is not None:
            self._file.close()
            self._file = None


def _now_text() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
