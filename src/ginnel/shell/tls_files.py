"""Makes TLS channels, and takes new certificates, keys and revocation lists when files change.

Sessions that there are go on with what they began with; the next negotiation has the new ones. New
files that are no good are said once, and the old ones stay in force.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.errors import ConfigError
from ginnel.core.tls import TlsChannel
from ginnel.core.tls_context import TlsContext
from ginnel.core.types import Instant
from ginnel.dataclass import replace
from ginnel.options.model import TlsOptions
from ginnel.options.values import FileContent, Secret
from ginnel.shell.clock import monotonic_now

LOOK = 1.0
"""Seconds between two looks at the files."""

SETTLED = 1.0
"""Seconds without a change before files are read: certificate and key come one after the other."""

MAX_SIZE = 16 << 20

Shape = tuple[tuple[int, int, int] | None, ...]
"""Inode, size and time of each file; None for one that is not there."""

OUT_OF_REACH = (-1, -1, -1)


class TlsFiles:
    """See the module. Inline blocks and directories are left alone."""

    def __init__(
        self,
        options: TlsOptions,
        context: TlsContext,
        *,
        build: Callable[[TlsOptions], TlsContext],
        log: Callable[[LogLine], None],
        clock: Callable[[], Instant] = monotonic_now,
    ) -> None:
        """``context`` was built from ``options``."""
        self._options = options
        self._context = context
        self._build = build
        self._log = log
        self._clock = clock
        files = (
            *(options.ca, options.cert, options.key),
            *(options.extra_certs, options.pkcs12, options.crl_verify),
        )
        self._paths = [file.path for file in files if file is not None and file.path is not None]
        self._used: Shape = tuple(_shape_of(path) for path in self._paths)
        self._seen = self._used
        self._seen_at = clock()

    def channel(self) -> TlsChannel:
        """Makes the channel of one negotiation."""
        return self._context.channel()

    async def keep(self) -> None:
        """Looks at the files from time to time, until it is cancelled."""
        while self._paths:
            await asyncio.sleep(LOOK)
            self.look()

    def look(self) -> None:
        """Takes files that changed, once they are settled."""
        now, shape = self._clock(), self._shape()
        if shape != self._seen:
            self._seen, self._seen_at = shape, now
        elif shape != self._used and now - self._seen_at >= SETTLED:
            self._used = shape
            self._renew()

    def take_changes(self) -> bool:
        """Reads files that changed now, and not when they are settled; False if they are bad.

        Whoever asks knows that they are complete.
        """
        shape = self._shape()
        self._seen, self._seen_at = shape, self._clock()
        if shape == self._used:
            return True
        self._used = shape
        return self._renew()

    def _shape(self) -> Shape:
        """Leaves files alone from when they are out of reach: rights were dropped meanwhile."""
        shapes = {path: _shape_of(path) for path in self._paths}
        gone = [path for path, shape in shapes.items() if shape is OUT_OF_REACH]
        if gone:
            rest = [path for path in self._paths if path not in gone]
            used = dict(zip(self._paths, self._used, strict=True))
            seen = dict(zip(self._paths, self._seen, strict=True))
            self._used = tuple(used[path] for path in rest)
            self._seen = tuple(seen[path] for path in rest)
            self._paths = rest
            self._log(shell_lines.warning(_out_of_reach(gone)))
        return tuple(shapes[path] for path in self._paths)

    def _renew(self) -> bool:
        names = ", ".join(self._paths)
        try:
            options = self._read()
            self._context = self._build(options)
        except OSError as error:
            text = f"{error.filename}: {error.strerror}"
            self._log(shell_lines.warning(f"new certificates are not used: {text}"))
            return False
        except ConfigError as error:
            self._log(shell_lines.warning(f"new certificates are not used: {error.message}"))
            return False
        self._options = options
        for warning in self._context.warnings:
            self._log(shell_lines.warning(warning))
        self._log(shell_lines.note(f"certificates were read again: {names}"))
        return True

    def _read(self) -> TlsOptions:
        """Raises OSError."""
        before = self._options
        return replace(
            before,
            ca=_again(before.ca),
            cert=_again(before.cert),
            key=_again(before.key),
            extra_certs=_again(before.extra_certs),
            pkcs12=_again(before.pkcs12),
            crl_verify=_again(before.crl_verify),
        )


def _again(before: FileContent | None) -> FileContent | None:
    """Reads a file anew; what is inline stays. Raises OSError."""
    if before is None or before.path is None:
        return before
    with Path(before.path).open("rb") as file:
        return replace(before, content=Secret(file.read(MAX_SIZE)))


def _out_of_reach(paths: list[str]) -> str:
    return (
        f"{', '.join(paths)}: this user may not look there, so that changes are not noticed before "
        "a restart; put the files where the user and group of the configuration can read them"
    )


def _shape_of(path: str) -> tuple[int, int, int] | None:
    """Tells a file's shape; None without one, ``OUT_OF_REACH`` where we may not look."""
    try:
        found = os.stat(path)
    except PermissionError:
        return OUT_OF_REACH
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
