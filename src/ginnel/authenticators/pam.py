"""``ginnel-authenticator pam SERVICE``: the accounts of the system, or whatever PAM is set up for.

PAM is asked by a process of its own (``pam_worker``), which is started before the server gives up
its rights: only root may look into the system's password file.
"""

import asyncio
import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from ginnel.hints import Any
from ginnel.hooks import Allow, Authenticator, Decision, Deny, Login

SECONDS = 30
"""What PAM may take for one login."""
MAX_PASSWORD = 4096
MAX_ANSWERS = 1 << 20
PAM_DIRECTORIES = ("/etc/pam.d", "/usr/lib/pam.d")


def make(words: Sequence[str]) -> "Pam":
    """Starts the process. Raises ValueError for a service that is not set up."""
    if len(words) != 1:
        raise ValueError("wants one word: the PAM service")
    service = words[0]
    if "/" in service or not any((Path(d) / service).is_file() for d in PAM_DIRECTORIES):
        raise ValueError(f"there is no PAM service '{service}': make /etc/pam.d/{service}")
    return Pam(service)


class Pam(Authenticator):
    """See the module."""

    # -P: it has the rights of root, and must not run what lies where the server was started.
    command: Sequence[str] = (sys.executable, "-P", "-m", "ginnel.authenticators.pam_worker")

    def __init__(self, service: str, *, seconds: int = SECONDS) -> None:
        self._words = (service, str(seconds))
        self._user = os.geteuid()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0
        self._received = b""
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop that watches the answers."""
        self.process = self._start()

    async def authenticate(self, login: Login) -> Decision:
        """Allows those whom PAM lets in. A question for more than the password is not asked."""
        if "\0" in login.username + login.password or len(login.secret) > MAX_PASSWORD:
            return Deny()
        self._number = number = self._number + 1
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._send(number, login)
            verdict = await answer
        finally:
            self._waiting.pop(number, None)
        return Allow() if verdict["good"] else Deny()

    def close(self) -> None:
        """Ends the process."""
        self._unwatch()
        assert self.process.stdin is not None, "it was made with one"
        assert self.process.stdout is not None, "it was made with one"
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [*self.command, *self._words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )

    def _send(self, number: int, login: Login) -> None:
        if self.process.poll() is not None:
            self._restart()
        self._watch()
        request = {
            "id": number,
            "user": _encoded(login.username.encode("utf-8", "surrogateescape")),
            "password": _encoded(login.secret.reveal()),
            "host": _encoded(login.visitor.address.encode("ascii")),
        }
        assert self.process.stdin is not None, "it was made with one"
        # Requests are far smaller than a pipe, and so few at once that it never fills.
        self.process.stdin.write(json.dumps(request).encode() + b"\n")

    def _restart(self) -> None:
        if os.geteuid() != self._user:
            raise RuntimeError("the process that asks PAM is gone: restart the server")
        self.close()
        self.process = self._start()

    def _watch(self) -> None:
        if self._loop is None:
            fd = self._answers()
            os.set_blocking(fd, False)
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(fd, self._read)

    def _unwatch(self) -> None:
        loop, self._loop = self._loop, None
        if loop is not None and not loop.is_closed():
            loop.remove_reader(self._answers())

    def _answers(self) -> int:
        assert self.process.stdout is not None, "it was made with one"
        return self.process.stdout.fileno()

    def _read(self) -> None:
        chunk = os.read(self._answers(), MAX_ANSWERS)
        if not chunk:
            self._unwatch()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(RuntimeError("the process that asks PAM ended"))
            return
        *lines, self._received = (self._received + chunk).split(b"\n")
        for line in lines:
            verdict = json.loads(line)
            waiting = self._waiting.get(verdict["id"])
            if waiting is not None and not waiting.done():
                waiting.set_result(verdict)


def _encoded(content: bytes) -> str:
    return b64encode(content).decode("ascii")
