"""The files by which a server and its scripts talk, in ``tmp-dir``.

Each is made with mode 0600 and a name that cannot be guessed, as OpenVPN names them, and is gone
when the conversation is over. What is in them is the callers' business.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

MAX_CONTENT = 1 << 20
"""Bytes that are read of a file that a script wrote."""
_LOOK_EVERY = 0.2
"""Seconds between looks at a file that a script will write its verdict to."""


class ScriptFiles:
    """Files of one call; leaving the context removes them."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._paths: list[str] = []

    def __enter__(self) -> "ScriptFiles":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for path in self._paths:
            with suppress(OSError):
                os.unlink(path)

    def make(self, prefix: str, content: bytes = b"") -> str:
        """Makes ``openvpn_PREFIX_….tmp`` and returns its path. Raises OSError."""
        path = os.path.join(self._directory, f"openvpn_{prefix}_{os.urandom(16).hex()}.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
        self._paths.append(path)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        return path


def read_script_file(path: str, limit: int = MAX_CONTENT) -> bytes:
    """What a script left in a file, up to ``limit`` bytes; nothing when it is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return b""
    with os.fdopen(fd, "rb") as file:
        return file.read(limit) or b""


def verdict_in(path: str) -> bool | None:
    """What the first character of a file says: ``1`` is yes, ``0`` is no, all else is not yet."""
    return {b"1": True, b"0": False}.get(read_script_file(path, 1))


async def wait_for_verdict(path: str) -> bool:
    """Waits until somebody writes ``1`` or ``0`` to the file, for as long as the caller lets it."""
    # Whoever writes is a program that knows nothing of us: there is only looking.
    while (verdict := verdict_in(path)) is None:  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_EVERY)
    return verdict


@contextmanager
def exported(directory: str | None, der: bytes) -> Iterator[dict[str, str]]:
    """A certificate in a file for the time of a script (``tls-export-cert``): ``peer_cert``.

    Raises OSError.
    """
    if directory is None:
        yield {}
        return
    from ginnel.host.scripts import export_certificate

    path = export_certificate(directory, der)
    try:
        yield {"peer_cert": path}
    finally:
        with suppress(OSError):
            os.unlink(path)
