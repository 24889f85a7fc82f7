"""The process's signals as values: what arrived, and how OpenVPN ranks them.

Nothing happens inside a handler: the lifecycle asks for the next signal where it can act on it.
"""

import asyncio
import signal
from collections.abc import Callable

_RANK = {"SIGTERM": 0, "SIGINT": 0, "SIGHUP": 1, "SIGUSR1": 2}
"""TERM and INT go before HUP, HUP before USR1 (protocol-facts 25)."""


class Signals:
    """Collects TERM, INT, HUP and USR1; USR2 is answered at once with ``on_status``."""

    def __init__(self, on_status: Callable[[], None]) -> None:
        self._on_status = on_status
        self._pending: list[str] = []
        self._arrived = asyncio.Event()
        self._installed: list[int] = []

    def install(self) -> None:
        """Takes the signals over; call inside the loop."""
        loop = asyncio.get_running_loop()
        for name in _RANK:
            number = getattr(signal, name)
            loop.add_signal_handler(number, self.throw, name)
            self._installed.append(number)
        loop.add_signal_handler(signal.SIGUSR2, self._on_status)
        self._installed.append(signal.SIGUSR2)

    def remove(self) -> None:
        """Gives the signals back; those that come later find the system's default."""
        loop = asyncio.get_running_loop()
        for number in self._installed:
            loop.remove_signal_handler(number)
        self._installed.clear()

    def throw(self, name: str) -> None:
        """Records a signal; a repeated one counts once."""
        if name not in self._pending:
            self._pending.append(name)
        self._arrived.set()

    async def next(self) -> str:
        """Waits for a signal and returns the name of the highest-ranking one."""
        await self._arrived.wait()
        name = min(self._pending, key=_RANK.__getitem__)
        self._pending.remove(name)
        if not self._pending:
            self._arrived.clear()
        return name
