"""The process's signals as values: what arrived, and how OpenVPN ranks them.

Nothing happens inside a handler: the lifecycle asks for the next signal where it can act on it.
Only blocking work, such as a question at the terminal, is cut short by an exception: ``stoppable``.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from ginnel.hints import NoReturn

_RANK = {"SIGTERM": 0, "SIGINT": 0, "SIGHUP": 1, "SIGUSR1": 2}
"""TERM and INT go before HUP, HUP before USR1 (protocol-facts 25)."""

STOPPING = frozenset({"SIGTERM", "SIGINT"})
"""Signals that end the program."""


class Stopped(BaseException):
    """A signal ended blocking work. Not an error, so no handler of errors sees it."""

    def __init__(self, signal_name: str) -> None:
        super().__init__(signal_name)
        self.signal = signal_name


@contextmanager
def stoppable() -> Iterator[None]:
    """Within the block SIGINT and SIGTERM raise ``Stopped`` at once; for work without a loop."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(number, _stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)


@contextmanager
def killable() -> Iterator[None]:
    """Within the block SIGINT ends the process at once, as SIGTERM does, unless a loop takes it."""
    previous = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    raise Stopped(signal.Signals(number).name)


class Signals:
    """Collects TERM, INT, HUP and USR1; USR2 is answered at once with ``on_status``."""

    def __init__(self) -> None:
        self.on_status: Callable[[], None] = _nothing
        """Called for USR2."""
        self.on_insist: Callable[[], None] = _nothing
        """Called at once for each TERM or INT after the first: what hangs is not waited for."""
        self._stops = 0
        self._pending: list[str] = []
        self._texts: dict[str, str] = {}
        self._arrived = asyncio.Event()
        self._told: Callable[[], None] | None = None
        self._installed: list[int] = []

    def install(self) -> None:
        """Takes the signals over; call inside the loop."""
        loop = asyncio.get_running_loop()
        for name in _RANK:
            number = getattr(signal, name)
            loop.add_signal_handler(number, self._arrive, name)
            self._installed.append(number)
        loop.add_signal_handler(signal.SIGUSR2, self._tell_status)
        self._installed.append(signal.SIGUSR2)

    def remove(self) -> None:
        """Gives the signals back; those that come later find the system's default."""
        loop = asyncio.get_running_loop()
        for number in self._installed:
            loop.remove_signal_handler(number)
        self._installed.clear()

    @property
    def pending(self) -> str | None:
        """The highest-ranking signal that waits, if any."""
        return min(self._pending, key=_RANK.__getitem__, default=None)

    def _arrive(self, name: str) -> None:
        self.throw(name)
        if name in STOPPING:
            self._stops += 1
            if self._stops > 1:
                self.on_insist()

    def throw(self, name: str) -> None:
        """Records a signal, or puts one back that nobody obeyed; a repeated one counts once."""
        if name not in self._pending:
            self._pending.append(name)
        self._arrived.set()
        if self._told is not None:
            asyncio.get_running_loop().call_soon(self._tell)

    def command(self, name: str, text: str) -> None:
        """Takes a signal of the program's own: from a frontend; ``text`` says why, if not empty."""
        if name == "SIGUSR2":
            self._tell_status()
            return
        if text:
            self._texts[name] = text
        self._arrive(name)

    def text_of(self, name: str) -> str:
        """Returns, once, why the program itself threw the signal; empty for all others."""
        return self._texts.pop(name, "")

    async def next(self) -> str:
        """Waits for a signal and returns the name of the highest-ranking one."""
        await self._arrived.wait()
        return self.take()

    def take(self) -> str:
        """Returns the highest-ranking signal of those that wait; there must be one."""
        name = min(self._pending, key=_RANK.__getitem__)
        self._pending.remove(name)
        if not self._pending:
            self._arrived.clear()
        return name

    @contextmanager
    def telling(self, arrived: Callable[[], None]) -> Iterator[None]:
        """Within the block the loop calls ``arrived`` soon after a signal, or when one waits."""
        self._told = arrived
        if self._pending:
            asyncio.get_running_loop().call_soon(self._tell)
        try:
            yield
        finally:
            self._told = None

    def _tell(self) -> None:
        if self._told is not None and self._pending:  # else somebody took it meanwhile
            self._told()

    def _tell_status(self) -> None:
        self.on_status()


def _nothing() -> None:
    """Nobody listens yet."""
