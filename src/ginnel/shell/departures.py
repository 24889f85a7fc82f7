"""Which clients are being taken leave of: who comes by the same name waits until that is over."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Departures:
    """Counts by common name. A client without a name waits for nobody."""

    def __init__(self) -> None:
        self._leaving: dict[str, tuple[int, asyncio.Event]] = {}

    @contextmanager
    def of(self, common_name: str) -> Iterator[None]:
        """The time in which scripts are told that a client is gone."""
        count, over = self._leaving.get(common_name, (0, asyncio.Event()))
        self._leaving[common_name] = (count + 1, over)
        try:
            yield
        finally:
            count, over = self._leaving.pop(common_name)
            if count > 1:
                self._leaving[common_name] = (count - 1, over)
            else:
                over.set()

    async def wait(self, common_name: str) -> None:
        """Waits until nobody of that name is leaving."""
        while common_name and (leaving := self._leaving.get(common_name)) is not None:
            await leaving[1].wait()
