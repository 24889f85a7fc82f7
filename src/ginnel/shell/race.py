"""Waits for something, or for a signal that comes first."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from ginnel.dataclass import dataclass
from ginnel.shell.signals import Signals
from ginnel.shell.tasks import plain_errors

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """A signal came while something was waited for."""

    signal: str


async def race(signals: Signals, work: Coroutine[None, None, T]) -> T | Interrupted:
    """Waits for ``work``, or for a signal that cancels it."""
    with plain_errors():
        async with asyncio.TaskGroup() as tasks:
            job = tasks.create_task(work)
            watch = tasks.create_task(signals.next())
            await asyncio.wait((job, watch), return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                job.cancel()
            else:
                watch.cancel()
    if watch.done() and not watch.cancelled():
        return Interrupted(signal=watch.result())
    return job.result()
