"""Which client has which address inside the tunnel, and ``learn-address``, which is told of it.

A client that comes to an address of another one takes it over (``update``); the other's end does
not free it then. The script may refuse an address, and is never run twice at once for the same one.
"""

import asyncio
from collections.abc import Awaitable, Callable

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
        lock = self._line_up(address)
        try:
            async with lock:
                operation = "add" if self._owners.get(address) is None else "update"
                if not await run((operation, address, common_name)):
                    return False
                self._owners[address] = client_id
                return True
        finally:
            self._leave(address)

    async def remove(self, client_id: ClientId, address: str, run: Run) -> None:
        """A client's address is free again, if it is still its own."""
        lock = self._line_up(address)
        try:
            async with lock:
                if self._owners.get(address) == client_id:
                    del self._owners[address]
                    await run(("delete", address))
        finally:
            self._leave(address)

    # Two plain calls: a context manager made of a generator is most of what an address costs.

    def _line_up(self, address: str) -> asyncio.Lock:
        lock, waiting = self._busy.get(address) or (asyncio.Lock(), 0)
        self._busy[address] = (lock, waiting + 1)
        return lock

    def _leave(self, address: str) -> None:
        lock, waiting = self._busy.pop(address)
        if waiting > 1:
            self._busy[address] = (lock, waiting - 1)
