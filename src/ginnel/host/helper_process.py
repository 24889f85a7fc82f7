"""Starts the helper, which is a process of its own.

Little is imported here: every page of memory that both processes hold is copied when either writes
to it, so that the fork had better come early.
"""

import os
import signal
import socket

from ginnel.core.errors import HostError
from ginnel.dataclass import dataclass
from ginnel.hints import TYPE_CHECKING
from ginnel.host.places import DEFAULT_RUNTIME_DIR, StrPath

if TYPE_CHECKING:
    from ginnel.host.helper import Observer

IGNORED_SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGPIPE,
)
"""They are for the main process; a terminal sends them to both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HelperProcess:
    """A helper as the main process holds it: its end of the channel, and the process number."""

    channel: socket.socket
    pid: int


def start_helper(
    runtime_dir: StrPath = DEFAULT_RUNTIME_DIR, *, observer: "Observer | None" = None
) -> HelperProcess:
    """Forks the helper. Call before there is a thread, an event loop, or a byte of the network.

    ``observer`` runs in the helper with the count of journal lines after each; for tests. Raises
    HostError when there is no room for another process, or for its channel.
    """
    try:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = _fork(ours, theirs)
    except OSError as refused:
        detail = refused.strerror or str(refused)
        raise HostError("start of the privileged helper", refused.errno or 0, detail) from refused
    if pid == 0:
        status = 1
        try:
            for number in IGNORED_SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            ours.close()
            # What only the helper needs is imported while the main process goes on.
            from ginnel.host.helper import run_helper

            run_helper(theirs, runtime_dir, observer)
            status = 0
        finally:
            # Never back into the main process's code, whatever happened.
            os._exit(status)
    theirs.close()
    return HelperProcess(channel=ours, pid=pid)


def _fork(ours: socket.socket, theirs: socket.socket) -> int:
    try:
        return os.fork()
    except OSError:
        ours.close()
        theirs.close()
        raise
