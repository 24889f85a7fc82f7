"""The client's status file: OpenVPN's statistics form, and the open file it is written to.

Rendering is pure; when to write and what the counters are is the shell's business. A client gives
the same form for every ``status-version`` (protocol-facts 23, seen with OpenVPN 2.6.14).
"""

import os
import stat

from ginnel.dataclass import dataclass


@dataclass(frozen=True, kw_only=True)
class LinkStatistics:
    """Byte counters since the program started, over all connections."""

    tun_read: int = 0
    tun_write: int = 0
    link_read: int = 0
    link_write: int = 0
    authenticated_read: int = 0
    """Bytes of data packets from the link that authenticated."""


def statistics_lines(statistics: LinkStatistics, now_text: str) -> tuple[str, ...]:
    """Renders the lines; ``now_text`` is local time as ``YYYY-MM-DD HH:MM:SS``."""
    return (
        "OpenVPN STATISTICS",
        f"Updated,{now_text}",
        f"TUN/TAP read bytes,{statistics.tun_read}",
        f"TUN/TAP write bytes,{statistics.tun_write}",
        f"TCP/UDP read bytes,{statistics.link_read}",
        f"TCP/UDP write bytes,{statistics.link_write}",
        f"Auth read bytes,{statistics.authenticated_read}",
        "END",
    )


def render_client_status(statistics: LinkStatistics, now_text: str) -> str:
    """Renders the whole file, each line ended by a newline."""
    return "".join(f"{line}\n" for line in statistics_lines(statistics, now_text))


class StatusFile:
    """A status file kept open, so that it can be rewritten after chroot or a change of user.

    The file is rewritten in place: watchers keep their descriptor, and owner and mode stay as they
    are. A file that does not exist is created with mode 0600, as OpenVPN does. Raises OSError.
    """

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        self._seekable = stat.S_ISREG(os.fstat(self._fd).st_mode)

    def write(self, text: str) -> None:
        """Replaces the content: new text first, then the rest is cut, so it is never empty.

        A terminal or pipe (``status /dev/stdout``) gets one report after the other.
        """
        content = text.encode()
        if not self._seekable:
            os.write(self._fd, content)
            return
        offset = 0
        while offset < len(content):
            offset += os.pwrite(self._fd, content[offset:], offset)
        os.ftruncate(self._fd, len(content))

    def close(self) -> None:
        """Closes the file; further calls do nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
