"""``ginnel-authenticator htpasswd FILE``: names and hashed passwords, as ``htpasswd`` keeps them.

The file is read again when it changes. One that is wrong then is said and the earlier one kept.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from ginnel.authenticators.password_hashes import is_known, matches
from ginnel.hooks import Allow, Authenticator, Decision, Deny, Login

MAX_FILE = 16 << 20
_THREADS = 2
"""A hash is work for a processor: more threads than these would only slow down the tunnel."""

Stamp = tuple[int, ...] | None

log = logging.getLogger(__name__)


def make(words: Sequence[str]) -> "Htpasswd":
    """Reads the file. Raises ValueError when that is not possible."""
    if len(words) != 1:
        raise ValueError("wants one word: the path of the file")
    return Htpasswd(words[0])


class Htpasswd(Authenticator):
    """See the module."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen = _stamp(path)
        self._hashes = _read(path)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="htpasswd")
        self._reading: asyncio.Future[Mapping[str, str]] | None = None
        """A changed file that is being read: to look at its new hashes takes long."""

    async def authenticate(self, login: Login) -> Decision:
        """Allows those whose password is that of the file."""
        await self._refresh()
        known = self._hashes.get(login.username)
        # A name that is not in the file takes as long as one that is.
        stored = known or next(iter(self._hashes.values()))
        password = login.secret.reveal()
        loop = asyncio.get_running_loop()
        good = await loop.run_in_executor(self._threads, matches, stored, password)
        return Allow() if good and known is not None else Deny()

    def close(self) -> None:
        """Lets the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _refresh(self) -> None:
        """Waits until the file is read, if it changed; one reading serves all who wait."""
        while True:
            if self._reading is None:
                stamp = _stamp(self._path)
                if stamp == self._seen:
                    return
                checked = frozenset(self._hashes.values())
                loop = asyncio.get_running_loop()
                self._reading = loop.run_in_executor(self._threads, _read, self._path, checked)
                self._reading.add_done_callback(partial(self._take, stamp))
            # Not cancelled with the login that began it: what was done so far would be lost.
            await asyncio.wait((self._reading,))

    def _take(self, stamp: Stamp, reading: asyncio.Future[Mapping[str, str]]) -> None:
        self._reading, self._seen = None, stamp
        if reading.cancelled():
            return
        try:
            self._hashes = reading.result()
        except (OSError, ValueError) as wrong:
            log.warning("htpasswd: %s; what was read before stays in force", wrong)


def _stamp(path: str) -> Stamp:
    """Changes with the file; None when it cannot be looked at."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: str, checked: Set[str] = frozenset()) -> Mapping[str, str]:
    """The hash of each name. Raises ValueError and OSError.

    Those in ``checked`` are known to be good: to look at one costs as much as a login.
    """
    with Path(path).open("rb") as file:
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise ValueError(f"{path} is larger than {MAX_FILE} bytes")
    hashes: dict[str, str] = {}
    for number, raw in enumerate(content.decode("utf-8", "surrogateescape").splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, colon, stored = line.partition(":")
        if not name or not colon:
            raise ValueError(f"{path}:{number}: expected NAME:HASH")
        if stored not in checked and not is_known(stored):
            raise ValueError(
                f"{path}:{number}: '{name}' has no hash that can be checked; make it anew with "
                f"'htpasswd -B {path} {name}'"
            )
        hashes[name] = stored
    if not hashes:
        raise ValueError(f"{path} names nobody")
    return hashes
