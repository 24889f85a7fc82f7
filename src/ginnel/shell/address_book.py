"""Which client has which address inside the tunnel, and ``learn-address``, which is told of it.

A client that comes to an address of another one takes it over (``update``); the other's end does
not free it then. The script may refuse an address, and is never run twice at once for the same one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from ginnel.core.server_actions import ClientId

Run = Callable[[tuple[str, ...]], Awaitable[bool]]
"""Runs the script with these arguments; whether it agreed."""


class AddressBook:
    """Owners by address, as scripts are told it (``10.8.0.6``, ``10.9.0.0/16``)."""

    def __init__(self) -> None:
        self._owners: dict[str, ClientId] = {}
        self._busy: dict[str, tuple[asyncio.Lock, int]] = {}

    async def add(self, client_id: ClientId, address: str, common_name: str, run: Run) -> bool:
        """A client gets an address; False when the script does not want that."""
        async with self._turn(address):
            operation = "add" if self._owners.get(address) is None else "update"
            if not await run((operation, address, common_name)):
                return False
            self._owners[address] = client_id
            return True

    async def remove(self, client_id: ClientId, address: str, run: Run) -> None:
        """A client's address is free again, if it is still its own."""
        async with self._turn(address):
            if self._owners.get(address) == client_id:
                del self._owners[address]
                await run(("delete", address))

    @asynccontextmanager
    async def _turn(self, address: str) -> AsyncIterator[None]:
        lock, waiting = self._busy.get(address, (asyncio.Lock(), 0))
        self._busy[address] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._busy.pop(address)
            if waiting > 1:
                self._busy[address] = (lock, waiting - 1)
