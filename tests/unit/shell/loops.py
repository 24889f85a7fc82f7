"""What the shell's tests share: a loop for one coroutine with a deadline, and a log to look at."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import TypeVar

from ginnel.compat.log_lines import LogLine, Severity
from ginnel.shell.logging_setup import LineFormat, LogOutput
from tests.deadlines import DeadlinePassed

T = TypeVar("T")
DEADLINE = 40.0


def run(work: Coroutine[None, None, T]) -> T:
    """Runs the coroutine to its end, or fails after the deadline."""

    async def bounded() -> T:
        async with asyncio.timeout(DEADLINE):
            return await work

    return asyncio.run(bounded())


async def until(condition: Callable[[], object], what: str) -> None:
    """Lets the loop turn until the condition holds; fails after the deadline."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + DEADLINE / 2
    while not condition():
        if loop.time() > give_up_at:
            raise DeadlinePassed(f"waited in vain for {what}")
        await asyncio.sleep(0.001)


class Lines:
    """A log that remembers: as a callable for lines, and as the sink of a ``LogOutput``."""

    stamped = True

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, *lines: LogLine) -> None:
        self.texts += [line.text for line in lines]

    def write(self, texts: Sequence[str], severity: Severity) -> None:
        self.texts += texts

    def reopen(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """Nothing to close."""

    def output(self, verb: int = 4) -> LogOutput:
        return LogOutput(self, line_format=LineFormat(timestamps=False), verb=verb)

    def has(self, part: str) -> bool:
        return any(part in text for text in self.texts)
