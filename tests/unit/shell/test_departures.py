"""Who comes by the name of somebody who is leaving waits, and nobody else does."""

import asyncio

from ginnel.shell.departures import Departures
from tests.unit.shell.loops import run, until


def test_a_name_is_free_when_all_of_it_have_left() -> None:
    async def work() -> None:
        departures = Departures()
        with departures.of("ada"):
            with departures.of("ada"):
                waiting = asyncio.get_running_loop().create_task(departures.wait("ada"))
                await departures.wait("bob")
                await departures.wait("")
            await asyncio.sleep(0)
            assert not waiting.done()
        await until(waiting.done, "the name")
        await departures.wait("ada")

    run(work())
