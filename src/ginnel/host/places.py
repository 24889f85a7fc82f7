"""Where the helper keeps what must outlive it."""

import os

StrPath = str | os.PathLike[str]

DEFAULT_RUNTIME_DIR = "/run/ginnel"
"""The directory of the journals, unless somebody asks for another."""
