"""Runs hook commands: words without a shell, an environment as given, output into the log.

Responsible for the process and its result. What a script is told is in ``compat.script_env``; what
its failure means is the shell's decision. Works inside a chroot without device nodes: everything
that is needed is opened when the runner is made.
"""

import asyncio
import asyncio.subprocess
import os
import signal
from binascii import b2a_base64
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress

from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum

SCRIPT_SECURITY_USER = 2
"""From this ``script-security`` level on, user-defined scripts may run."""
NOT_RUN = 127
_PEM_BEGIN = "-----BEGIN CERTIFICATE-----"
_PEM_END = "-----END CERTIFICATE-----"
_LINE_LIMIT = 1024
_READ_BYTES = 65536
_OUTPUT_LIMIT = 1 << 20
"""Bytes of one run's output that go to the log; the rest is read and dropped."""


class ScriptFailure(Enum):
    """Why a script did not end with status 0."""

    EXIT_STATUS = "external program exited with error status"
    SIGNAL = "external program did not exit normally"
    COULD_NOT_RUN = "could not execute external program"
    NOT_ALLOWED = "disallowed by script-security setting"


@dataclass(frozen=True, kw_only=True)
class ScriptResult:
    """How a script ended. ``status`` is 127 when it could not run."""

    status: int
    failure: ScriptFailure | None = None
    detail: str = ""

    @property
    def ok(self) -> bool:
        """True for exit status 0."""
        return self.failure is None

    def __str__(self) -> str:
        if self.failure is None:
            return "external program succeeded"
        if self.failure is ScriptFailure.EXIT_STATUS:
            return f"{self.failure.value}: {self.status}"
        return f"{self.failure.value} ({self.detail})" if self.detail else self.failure.value


class ScriptRunner:
    """Starts scripts. Make it before privileges are dropped; ``log`` gets each line of output."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)

    def close(self) -> None:
        """Releases the descriptor that scripts read from."""
        os.close(self._null)

    async def run(
        self,
        command: Sequence[str],
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        script_security: int,
        own_session: bool = False,
    ) -> ScriptResult:
        """Runs ``command`` with ``arguments`` appended and waits for it, however long it takes.

        A background process that it leaves behind is not waited for. Cancelling kills the script;
        in a session of its own, which has no terminal, all that it started as well.
        """
        if script_security < SCRIPT_SECURITY_USER:
            return ScriptResult(status=NOT_RUN, failure=ScriptFailure.NOT_ALLOWED)
        words = [*command, *arguments]
        if any("\0" in word for word in words):
            detail = "a word holds a zero byte"
            return ScriptResult(status=NOT_RUN, failure=ScriptFailure.COULD_NOT_RUN, detail=detail)
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(writing, True)  # a script does not expect a pipe that refuses
        output = _Output(reading, self._log)
        try:
            starting = asyncio.create_subprocess_exec(
                *words,
                executable=_executable(words[0]),
                stdin=self._null,
                stdout=writing,
                stderr=writing,
                env=dict(environment),
                start_new_session=own_session,
            )
            process = await _started(starting, whole_group=own_session)
        except OSError as refused:
            return ScriptResult(
                status=NOT_RUN,
                failure=ScriptFailure.COULD_NOT_RUN,
                detail=os.strerror(refused.errno or 0),
            )
        else:
            os.close(writing)
            writing = -1
            output.start()
            return _result(await _wait(process, whole_group=own_session))
        finally:
            if writing >= 0:
                os.close(writing)
            output.finish()


def export_certificate(directory: str, der: bytes) -> str:
    """Writes a peer certificate for ``tls-export-cert``; the caller removes it. ``OSError``."""
    import tempfile  # with what it needs, six modules that a plain start does without

    fd, path = tempfile.mkstemp(prefix="openvpn_pcf_", suffix=".tmp", dir=directory)
    text = b2a_base64(der, newline=False).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    try:
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write("\n".join([_PEM_BEGIN, *lines, _PEM_END, ""]))
    except OSError:
        os.unlink(path)
        raise
    return path


def _executable(word: str) -> str:
    """A name without a slash means the current directory: no PATH is searched, as in OpenVPN."""
    return word if "/" in word else f"./{word}"


async def _started(
    creation: Coroutine[None, None, asyncio.subprocess.Process], *, whole_group: bool
) -> asyncio.subprocess.Process:
    # Not in a group: cancelled with it, asyncio kills the script, but not what that has started.
    starting = asyncio.ensure_future(creation)  # noqa: TID251
    try:
        await asyncio.wait([starting])
    except asyncio.CancelledError:
        with suppress(OSError):
            await _kill(await starting, whole_group=whole_group)
        raise
    return starting.result()


async def _wait(process: asyncio.subprocess.Process, *, whole_group: bool) -> int:
    try:
        return await process.wait()
    except asyncio.CancelledError:
        await _kill(process, whole_group=whole_group)
        raise


async def _kill(process: asyncio.subprocess.Process, *, whole_group: bool) -> None:
    with suppress(ProcessLookupError):  # it ended at the same moment
        if whole_group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    await process.wait()


def _result(code: int) -> ScriptResult:
    if code == 0:
        return ScriptResult(status=0)
    if code < 0:
        detail = f"signal {-code}"
        return ScriptResult(status=128 - code, failure=ScriptFailure.SIGNAL, detail=detail)
    if code == NOT_RUN:
        return ScriptResult(status=code, failure=ScriptFailure.COULD_NOT_RUN)
    return ScriptResult(status=code, failure=ScriptFailure.EXIT_STATUS)


class _Output:
    """Turns what a script prints into log lines, bounded in length and amount."""

    def __init__(self, fd: int, log: Callable[[str], None]) -> None:
        self._fd = fd
        self._log = log
        self._pending = b""
        self._left = _OUTPUT_LIMIT
        self._watched = False

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self._fd, self._read)
        self._watched = True

    def finish(self) -> None:
        """Takes what is there and closes, even while a left-behind process holds the other end."""
        if self._watched:
            while self._left > 0 and self._read():
                continue
            self._unwatch()
        if self._pending:
            self._emit(self._pending)
        os.close(self._fd)

    def _unwatch(self) -> None:
        if self._watched:
            asyncio.get_running_loop().remove_reader(self._fd)
            self._watched = False

    def _read(self) -> bool:
        """Reads once; False when nothing more is there now."""
        try:
            chunk = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            self._unwatch()
            return False
        if self._left > 0:
            self._left -= len(chunk)
            *lines, self._pending = (self._pending + chunk).split(b"\n")
            for line in lines:
                self._emit(line)
            if len(self._pending) > _LINE_LIMIT:
                self._emit(self._pending)
                self._pending = b""
        return True

    def _emit(self, line: bytes) -> None:
        text = line[:_LINE_LIMIT].decode("utf-8", "replace").rstrip("\r")
        self._log("".join(char if char.isprintable() else "_" for char in text))
