"""Waiting for input: until it is there, or until nobody wants it any more."""

import asyncio
import os

from ginnel.shell.readable import readable
from tests.unit.shell.loops import run


def test_waits_for_input_and_can_be_taken_back() -> None:
    async def work() -> None:
        reading, writing = os.pipe()
        try:
            async with asyncio.TaskGroup() as tasks:
                waiting = tasks.create_task(readable(reading))
                await asyncio.sleep(0)
                assert not waiting.done()
                os.write(writing, b"x")
            async with asyncio.TaskGroup() as tasks:
                os.read(reading, 1)
                given_up = tasks.create_task(readable(reading))
                await asyncio.sleep(0)
                given_up.cancel()
            assert not asyncio.get_running_loop().remove_reader(reading)
        finally:
            os.close(reading)
            os.close(writing)

    run(work())
