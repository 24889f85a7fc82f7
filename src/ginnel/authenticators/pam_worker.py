"""The process that asks PAM. It keeps the rights that the server gives up after its start.

Reads requests from its input, one line of JSON each, and writes answers to its output. Each login
is judged in a child of its own, which is killed when it takes too long: a module of PAM that hangs
or crashes spoils nothing but that login.
"""

import json
import os
import selectors
import signal
import sys
from base64 import b64decode
from contextlib import suppress

from ginnel.authenticators.pam_library import check_login
from ginnel.hints import Any
from ginnel.host.privileges import forbid_core_dumps

MAX_REQUEST = 64 * 1024
_MAX_REASON = 1024


class Worker:
    """See the module. ``service`` is the name of a file in ``/etc/pam.d``."""

    def __init__(self, service: str, seconds: int, requests: int, answers: int) -> None:
        self._service = service
        self._seconds = seconds
        self._requests = requests
        self._answers = answers
        self._pending = b""
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, tuple[int, int]] = {}
        """Process and request by the descriptor that the verdict comes from."""

    def run(self) -> None:
        """Serves until the input ends."""
        self._selector.register(self._requests, selectors.EVENT_READ)
        while True:
            for key, _events in self._selector.select():
                if key.fd == self._requests:
                    if not self._take_requests():
                        self._end()
                        return
                else:
                    self._finish(key.fd)

    def _take_requests(self) -> bool:
        chunk = os.read(self._requests, MAX_REQUEST)
        *lines, self._pending = (self._pending + chunk).split(b"\n")
        for line in lines:
            self._judge(json.loads(line))
        return bool(chunk) and len(self._pending) <= MAX_REQUEST

    def _judge(self, request: dict[str, Any]) -> None:
        reading, writing = os.pipe()
        process = os.fork()
        if process == 0:
            self._child(request, writing)
        os.close(writing)
        self._children[reading] = (process, request["id"])
        self._selector.register(reading, selectors.EVENT_READ)

    def _child(self, request: dict[str, Any], writing: int) -> None:
        """Writes a first byte that says how it went, then why. Never returns."""
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})  # as it may come to us
            signal.alarm(self._seconds)
            os.close(self._requests)
            os.close(self._answers)
            parts = (b64decode(request[name]) for name in ("user", "password", "host"))
            reason = check_login(self._service, *parts)
            os.write(writing, (b"0" if reason else b"1") + reason.encode()[:_MAX_REASON])
        except OSError as error:
            os.write(writing, b"0" + str(error).encode()[:_MAX_REASON])
        finally:
            os._exit(0)

    def _finish(self, reading: int) -> None:
        verdict = os.read(reading, _MAX_REASON + 1)
        self._selector.unregister(reading)
        os.close(reading)
        process, request = self._children.pop(reading)
        with suppress(ChildProcessError):
            os.waitpid(process, 0)
        if not verdict:
            verdict = b"0PAM did not answer: it took too long or crashed"
        answer = {
            "id": request,
            "good": verdict[:1] == b"1",
            "why": verdict[1:].decode("utf-8", "replace"),
        }
        os.write(self._answers, json.dumps(answer).encode() + b"\n")

    def _end(self) -> None:
        for process, _request in self._children.values():
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


def main() -> None:
    """Serves the service that the first word names; the second is the time limit in seconds."""
    forbid_core_dumps()  # passwords pass through here, and modules of others may crash
    answers = os.dup(1)
    os.dup2(2, 1)  # a module that prints must not disturb the answers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's is for the server
    Worker(sys.argv[1], int(sys.argv[2]), 0, answers).run()


if __name__ == "__main__":
    main()
