"""The clocks the shell hands to machines: monotonic for deadlines, wall time for replay ids."""

import time

from ginnel.core.types import Instant


def monotonic_now() -> Instant:
    """Returns the monotonic clock that every deadline of a core machine refers to."""
    return Instant(time.monotonic())


def unix_now() -> int:
    """Returns wall-clock seconds, for the time part of replay ids."""
    return int(time.time())
