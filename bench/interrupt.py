"""Ctrl-C, SIGTERM and a lost terminal end a measurement tidily, and only once."""

import signal
from collections.abc import Callable
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130


def tidily(main: Callable[[], int]) -> int:
    """Runs a program that removes what it made when one of these signals comes.

    The first is a KeyboardInterrupt, those that follow are ignored: an impatient second Ctrl-C
    would leave processes and namespaces. Nothing on the way out waits for ever. Returns the exit
    status.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup means that it should go on
            signal.signal(number, _interrupt)
    try:
        return main()
    except KeyboardInterrupt:
        return INTERRUPTED


def _interrupt(number: int, _: FrameType | None) -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    print(f"\n{signal.Signals(number).name}: removing processes and namespaces", flush=True)
    raise KeyboardInterrupt
