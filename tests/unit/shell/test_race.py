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
