"""Waits for the management client's leave to start, or to start again."""

from ginnel.shell.frontend import Frontend
from ginnel.shell.race import Interrupted, race
from ginnel.shell.signals import STOPPING, Signals


async def held(signals: Signals, frontend: Frontend, wait: int = 0) -> str | None:
    """Waits as long as the frontend holds; returns the signal that ends the program instead.

    Signals that would start again are ignored: nothing runs yet. ``wait`` is the pause, in seconds,
    that the management client is told of.
    """
    while frontend.holds:
        outcome = await race(signals, frontend.hold(wait))
        if not isinstance(outcome, Interrupted):
            return None
        if outcome.signal in STOPPING:
            return outcome.signal
    return None
