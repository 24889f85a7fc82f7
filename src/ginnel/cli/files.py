"""The file system as the options layer sees it: reads what options name, bounded."""

from pathlib import Path

MAX_BYTES = 16 * 1024 * 1024 + 1
"""One more than the options layer accepts, so that it can tell a file that is too large."""


class SystemFiles:
    """Reads files for ``options.resolve``. Satisfies its ``FileReader``."""

    def read(self, path: str) -> bytes:
        """Returns the content, at most ``MAX_BYTES``. Raises OSError.

        ``stdin`` is not special here; the options layer decides when it means standard input.
        """
        with Path(path).open("rb") as file:
            return file.read(MAX_BYTES)
