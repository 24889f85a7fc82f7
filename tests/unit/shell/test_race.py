"""Work against signals: who comes first wins, and the other leaves nothing behind."""

import asyncio

import pytest

from ginnel.shell.race import Interrupted, race
from ginnel.shell.signals import Signals


def test_work_that_is_done_first() -> None:
    async def scenario() -> None:
        async def work() -> int:
            return 7

        signals = Signals()
        assert await race(signals, work()) == 7
        signals.throw("SIGHUP")
        assert await signals.next() == "SIGHUP"

    asyncio.run(asyncio.wait_for(scenario(), 40))


def test_a_signal_cancels_the_work() -> None:
    async def scenario() -> None:
        cancelled = asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                cancelled.set()

        signals = Signals()
        asyncio.get_running_loop().call_soon(signals.throw, "SIGTERM")
        assert await race(signals, work()) == Interrupted(signal="SIGTERM")
        assert cancelled.is_set()

    asyncio.run(asyncio.wait_for(scenario(), 40))


def test_a_failure_of_the_work_comes_out_as_it_is() -> None:
    async def scenario() -> None:
        async def work() -> None:
            raise ValueError("broken")

        with pytest.raises(ValueError, match="broken"):
            await race(Signals(), work())

    asyncio.run(asyncio.wait_for(scenario(), 40))


def test_a_signal_that_waits_goes_before_what_is_done_at_once() -> None:
    async def scenario() -> None:
        async def work() -> int:
            return 7

        signals = Signals()
        signals.throw("SIGUSR1")
        assert await race(signals, work()) == Interrupted(signal="SIGUSR1")
        assert await race(signals, work()) == 7, "the signal was taken"

    asyncio.run(asyncio.wait_for(scenario(), 40))


def test_one_signal_cancels_one_race() -> None:
    """Thrown by the work itself, which then ends without another look at the loop."""

    async def scenario() -> None:
        signals = Signals()

        async def throws() -> None:
            signals.throw("SIGHUP")

        async def turns() -> int:
            for _ in range(3):
                await asyncio.sleep(0)
            return 7

        assert await race(signals, throws()) == Interrupted(signal="SIGHUP")
        assert await race(signals, turns()) == 7

    asyncio.run(asyncio.wait_for(scenario(), 40))


def test_who_cancels_the_caller_ends_it_also_when_a_signal_comes() -> None:
    async def scenario() -> None:
        signals = Signals()
        waiting = asyncio.create_task(race(signals, asyncio.Event().wait()))
        await asyncio.sleep(0)
        signals.throw("SIGTERM")
        asyncio.get_running_loop().call_soon(waiting.cancel)
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert signals.pending == "SIGTERM"

    asyncio.run(asyncio.wait_for(scenario(), 40))


def test_a_deadline_within_the_work_stays_the_works_own() -> None:
    async def scenario() -> None:
        async def work() -> str:
            try:
                async with asyncio.timeout(0):
                    await asyncio.Event().wait()
            except TimeoutError:
                return "late"
            return "never"

        assert await race(Signals(), work()) == "late"

    asyncio.run(asyncio.wait_for(scenario(), 40))


def test_work_that_fails_while_it_is_cancelled_leaves_the_task_uncancelled() -> None:
    async def scenario() -> None:
        async def work() -> None:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                raise ValueError("broken")

        signals = Signals()
        asyncio.get_running_loop().call_soon(signals.throw, "SIGTERM")
        with pytest.raises(ValueError, match="broken"):
            await race(signals, work())
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    asyncio.run(asyncio.wait_for(scenario(), 40))
