"""The file system as the options layer sees it: reads what options name, bounded."""

from pathlib import Path

MAX_BYTES = 16 * 1024 * 1024 + 1
"""One more than the options layer accepts, so that it can tell a file that is too large."""


class SystemFiles:
    """Reads files for ``options.resolve``. Satisfies its ``FileReader``.

    Relative paths are seen from ``directory``, whatever the working directory is by then; an empty
    one means the working directory.
    """

    def __init__(self, directory: str = "") -> None:
        self._directory = Path(directory)

    def read(self, path: str) -> bytes:
        """Returns the content, at most ``MAX_BYTES``. Raises OSError."""
        with (self._directory / path).open("rb") as file:
            return file.read(MAX_BYTES)
