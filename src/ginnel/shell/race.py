"""Waits for something, or for a signal that comes first."""

import asyncio
from collections.abc import Coroutine

from ginnel.dataclass import dataclass
from ginnel.hints import TypeVar
from ginnel.shell.signals import Signals
from ginnel.shell.tasks import plain_errors

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Interrupted:
    """A signal came while something was waited for."""

    signal: str


async def race(signals: Signals, work: Coroutine[None, None, T]) -> T | Interrupted:
    """Waits for ``work``, or for a signal that cancels it.

    The caller's own task does the work: most of it is done at once, and then takes no turn of the
    loop. What came out of it is dropped when a signal came as well.
    """
    interruption = _Interruption()
    try:
        with signals.telling(interruption.arrive), plain_errors():
            result = await work
    except asyncio.CancelledError:
        if not interruption.is_ours():
            raise
    except BaseException:
        interruption.is_ours()  # or a later group of tasks would take it for one of its own
        raise
    else:
        interruption.is_ours()
        if signals.pending is None:
            return result
    return Interrupted(signal=signals.take())


class _Interruption:
    """Cancels the task that made it, once, and tells that apart from others who cancel it."""

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "made within a task"
        self._task = task
        self._cancelled_before = task.cancelling()
        self._came = False

    def arrive(self) -> None:
        if not self._came:
            self._came = True
            self._task.cancel()

    def is_ours(self) -> bool:
        """Takes the cancellation back; True when nobody else wants the task to end."""
        return self._came and self._task.uncancel() <= self._cancelled_before
