"""Ctrl-C, SIGTERM and a lost terminal end a measurement tidily, and only once."""

import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130
"""Exit status of a measurement that was interrupted."""


def tidy_up_on_signals() -> None:
    """Makes the first of these signals a KeyboardInterrupt, and ignores those that follow.

    Processes and namespaces are removed on the way out; an impatient second Ctrl-C would leave some
    of them. Nothing on that way waits for ever.
    """
    for number in SIGNALS:
        signal.signal(number, _interrupt)


def _interrupt(number: int, _: FrameType | None) -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    print(f"\n{signal.Signals(number).name}: removing processes and namespaces", flush=True)
    raise KeyboardInterrupt
