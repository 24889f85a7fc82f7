"""The helper of a process that stays in the foreground, forked before the process has grown.

Every page of memory that both hold is copied when either writes to it. Next to nothing is imported
here: what the main process alone needs comes afterwards.
"""

import os

from ginnel.host.helper_process import HelperProcess, start_helper
from ginnel.host.places import DEFAULT_RUNTIME_DIR
from ginnel.options.model import ProcessOptions

RUNTIME_VARIABLE = "GINNEL_RUNTIME_DIR"
"""Environment variable that moves the journals away from ``/run/ginnel``."""


def early_helper(process: ProcessOptions) -> HelperProcess | None:
    """Starts the helper, but not of a daemon, which is another process later on."""
    return start_helper(runtime_directory()) if process.daemon is None else None


def runtime_directory() -> str:
    """Where the journals are kept."""
    return os.environ.get(RUNTIME_VARIABLE) or DEFAULT_RUNTIME_DIR
