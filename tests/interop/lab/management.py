"""A client of a management interface: what a GUI or a script says and hears."""

import contextlib
import re
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.deadlines import wait_until
from tests.interop.lab.topology import Lab

TIMEOUT = 40.0


class Gui:
    """A management client that remembers everything it heard."""

    def __init__(self, path: Path) -> None:
        self._socket = wait_until(lambda: _connected(path), timeout=TIMEOUT, what=str(path))
        self._socket.settimeout(0.05)
        self.heard = ""
        self.closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def _read(self) -> None:
        try:
            part = self._socket.recv(65536)
        except TimeoutError:
            return
        except ConnectionResetError:
            part = b""
        self.closed = self.closed or not part
        self.heard += part.decode()

    def hear(self, pattern: str) -> str:
        """Waits for text, takes everything up to its end, and returns what matched."""

        def found() -> re.Match[str] | None:
            match = re.search(pattern, self.heard)
            if match is None and not self.closed:
                self._read()
                match = re.search(pattern, self.heard)
            return match

        match = wait_until(found, timeout=TIMEOUT, what=f"{pattern!r} after {self.heard[-300:]!r}")
        self.heard = self.heard[match.end() :]
        return match.group(0)

    def say(self, line: str, reply: str = r"(SUCCESS|ERROR)[^\r]*\r\n") -> str:
        self._socket.sendall(line.encode() + b"\n")
        return self.hear(reply)

    def send(self, text: str) -> None:
        """Sends what may be no whole line."""
        self._socket.sendall(text.encode())

    def flood(self, commands: bytes) -> None:
        """Sends without reading, until the other side takes no more."""
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(1000):
                self._socket.send(commands)

    def wait_closed(self) -> str:
        def gone() -> bool:
            self._read()
            return self.closed

        wait_until(gone, timeout=TIMEOUT, what="the end of the connection")
        return self.heard


def _connected(path: Path) -> socket.socket | None:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(str(path))
    except OSError:
        sock.close()
        return None
    return sock


def socket_path(lab: Lab) -> Path:
    return lab.directory / "gui.sock"
