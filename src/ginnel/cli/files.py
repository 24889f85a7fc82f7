"""The file system as the options layer sees it: reads what options name, bounded."""

import os

MAX_BYTES = 16 * 1024 * 1024 + 1
"""One more than the options layer accepts, so that it can tell a file that is too large."""


class SystemFiles:
    """Reads files for ``options.resolve``. Satisfies its ``FileReader``.

    Relative paths are seen from ``directory``, whatever the working directory is by then; an empty
    one means the working directory.
    """

    def __init__(self, directory: str = "") -> None:
        self._directory = directory

    def read(self, path: str) -> bytes:
        """Returns the content, at most ``MAX_BYTES``. Raises OSError."""
        with open(os.path.join(self._directory, path), "rb") as file:
            return file.read(MAX_BYTES)
