"""Directories of runs, below the system's for temporary files: made, kept for a while, removed.

A run that failed leaves its directory to whoever reads the logs, and one that was killed cannot
remove it. Names carry the pid of the run; as pytest does with its own, a later run removes all but
the newest few of those whose run no longer exists.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

KEPT = 3
"""Directories of dead runs that stay."""

_NAME = re.compile(r"ginnel-(?:lab|run)-(\d+)x\w+")


def make_directory(kind: str) -> Path:
    """Makes the directory of this run, ``kind`` lab or run, after tidying up earlier ones."""
    remove_old_directories()
    return Path(tempfile.mkdtemp(prefix=f"ginnel-{kind}-{os.getpid()}x"))


def remove_old_directories(parent: Path | None = None) -> None:
    """Removes what runs that ended long ago left in the directory for temporary files."""
    left: list[tuple[float, Path]] = []
    for path in (parent or Path(tempfile.gettempdir())).glob("ginnel-*"):
        found = _NAME.fullmatch(path.name)
        if found is None or Path(f"/proc/{found[1]}").exists():
            continue
        try:
            status = path.lstat()
        except FileNotFoundError:  # another run tidies up as well
            continue
        if status.st_uid == os.getuid():
            left.append((status.st_mtime, path))
    for _when, path in sorted(left, reverse=True)[KEPT:]:
        shutil.rmtree(path, ignore_errors=True)
