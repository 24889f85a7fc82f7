"""Asks systemd's password agents: boot screens, desktops, ``systemd-tty-ask-password-agent``.

The protocol is systemd's documented one: a file ``ask.*`` describes the question, an agent that
sees it asks the user and sends the answer to the socket that the file names. This is for programs
without a terminal; agents watch the directory, whoever they are.
"""

import os
import socket
import struct
from contextlib import suppress

from ginnel.compat.log_lines import printable
from ginnel.hints import Self
from ginnel.options.values import Secret
from ginnel.shell.readable import readable

DIRECTORY = "/run/systemd/ask-password"
BOOTED = "/run/systemd/system"
"""Exists where systemd is the init: without it nobody looks for questions."""

MAX_ANSWER = 4096
MAX_QUESTION = 1024
"""Characters shown of a question, which may come from the server."""
_CREDENTIALS = struct.Struct("iII")


class Declined(Exception):
    """The user, or his agent, does not want to answer."""


class PasswordAgents:
    """Leaves questions where agents find them."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    @classmethod
    def find(cls, directory: str = DIRECTORY, booted: str = BOOTED) -> Self | None:
        """None where no agent would find a question, or we may not leave one."""
        if all(map(os.path.isdir, (booted, directory))) and os.access(directory, os.W_OK | os.X_OK):
            return cls(directory)
        return None

    def close(self) -> None:
        """Nothing stays open between questions."""

    async def ask(self, question: str, *, echo: bool) -> Secret:
        """Leaves a question and waits for its answer. Raises Declined; OSError if it cannot be.

        However it ends, nothing of it is left behind, and agents see that it is void.
        """
        mark = os.urandom(8).hex()
        answers = os.path.join(self._directory, f"sck.{mark}")
        asking = os.path.join(self._directory, f"ask.{mark}")
        draft = os.path.join(self._directory, f"tmp.{mark}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as receiver:
            try:
                receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
                receiver.bind(answers)
                os.chmod(answers, 0o600)
                _write(draft, _question(question, answers, echo=echo))
                os.rename(draft, asking)  # agents look at whole files only
                return await _answer(receiver)
            finally:
                for path in (asking, draft, answers):
                    with suppress(OSError):
                        os.unlink(path)


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with open(fd, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(fd, 0o644)  # whatever the umask took away


def _question(text: str, answers: str, *, echo: bool) -> str:
    shown = printable(text, MAX_QUESTION)
    return (
        "[Ask]\n"
        f"PID={os.getpid()}\n"
        f"Socket={answers}\n"
        "AcceptCached=0\n"
        f"Echo={int(echo)}\n"
        "NotAfter=0\n"
        f"Message={shown}\n"
        "Icon=network-vpn\n"
        "Id=ginnel\n"
    )


async def _answer(receiver: socket.socket) -> Secret:
    """Waits for a datagram of the superuser or of our own user; what others send is nothing."""
    while True:
        await readable(receiver.fileno())
        buffer = bytearray(MAX_ANSWER + 1)
        try:
            size, ancillary, _flags, _address = receiver.recvmsg_into(
                [buffer], socket.CMSG_SPACE(_CREDENTIALS.size)
            )
            if _sender(ancillary) not in {0, os.geteuid()}:
                continue
            match bytes(buffer[:1]):
                case b"+":
                    # Several answers may come at once, each ended by a NUL: the first counts.
                    end = buffer.find(b"\0", 1, size)
                    return Secret(buffer[1 : size if end < 0 else end])
                case b"-":
                    raise Declined
                case _:
                    continue
        except BlockingIOError:
            continue
        finally:
            buffer[:] = bytes(len(buffer))


def _sender(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return int(_CREDENTIALS.unpack(content[: _CREDENTIALS.size])[1])
    return -1
