"""Tells the service manager how the start goes: systemd's protocol on ``NOTIFY_SOCKET``.

Debian's ``openvpn@.service`` has ``Type=notify``: without these messages systemd gives up on us. It
is told what openvpn 2.6.14 tells it. Nothing here fails: nobody may be listening.
"""

import contextlib
import os
import socket

VARIABLE = "NOTIFY_SOCKET"
STARTED = "Pre-connection initialization successful"
CONNECTED = "Initialization Sequence Completed"


class Notifier:
    """Sends messages to the service manager that started us, if there is one.

    The socket is connected at once, before ``chroot`` or ``user`` put its address out of reach.
    """

    def __init__(self) -> None:
        self._socket = _connect(os.environ.get(VARIABLE, ""))

    @property
    def watched(self) -> bool:
        """True when a service manager listens: it keeps track of us, so we do not fork away."""
        return self._socket is not None

    def beginning(self) -> None:
        """The start begins."""
        self._send("READY=0")

    def started(self) -> None:
        """Options, keys and files are in order; connecting begins."""
        self._send(f"READY=1\nSTATUS={STARTED}\nMAINPID={os.getpid()}")

    def connected(self) -> None:
        """The tunnel is up."""
        self._send(f"STATUS={CONNECTED}")

    def close(self) -> None:
        """Lets go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, text: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.send(text.encode())


def _connect(address: str) -> socket.socket | None:
    """An absolute path, or ``@`` and an abstract name; None for anything else, or nobody there."""
    if not address.startswith(("/", "@")):
        return None
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.setblocking(False)
    try:
        manager.connect(f"\0{address[1:]}" if address.startswith("@") else address)
    except (OSError, ValueError):
        manager.close()
        return None
    return manager
