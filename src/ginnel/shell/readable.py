"""Waits until there is something to read, without letting anything else wait."""

import asyncio


async def readable(descriptor: int) -> None:
    """Returns once the descriptor can be read. Cancelling it leaves no trace in the loop."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _set_once, ready)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


def _set_once(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
