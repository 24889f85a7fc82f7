"""Leaving the terminal, and the pid file.

Behaves as OpenVPN 2.6.14 was seen to: one fork, a new session, the working directory and the umask
stay (``cd`` was applied while the options were read), standard streams go to /dev/null unless they
already are the log file. It happens after the options were checked, so that mistakes in them still
reach the terminal and the exit status, and before the device and the link are opened. What syslog
shows is ``logging_setup``'s business.
"""

import contextlib
import os
import sys


def become_daemon(*, keep_output: bool = False) -> None:
    """Continues in a child of init with its own session; the calling process ends with status 0.

    Call it before there is an event loop, a thread or a helper process. ``keep_output`` leaves
    standard output and error as they are (a log file). Raises OSError when the fork fails.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork() != 0:
        # The child owns all buffers and clean-up handlers from here on.
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0,) if keep_output else (0, 1, 2):
        os.dup2(null, fd)
    if null > 2:
        os.close(null)


class PidFile:
    """``writepid``: the process id and a newline, in a file of mode 0644, removed at the end.

    No descriptor stays open: one that leads out of a chroot would defeat it. Raises OSError when
    the file cannot be written.
    """

    def __init__(self, path: str) -> None:
        self._path = path if os.path.isabs(path) else os.path.join(os.getcwd(), path)
        self._content = f"{os.getpid()}\n"
        with open(self._path, "w") as file:
            file.write(self._content)

    def remove(self) -> None:
        """Removes the file if it still holds our id and we may; after chroot it just stays."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            with open(self._path) as file:
                ours = file.read(len(self._content) + 1) == self._content
            if ours:
                os.unlink(self._path)
