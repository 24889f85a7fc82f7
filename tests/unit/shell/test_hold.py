"""The wait for leave to start: what ends it, and what does not."""

import asyncio

from ginnel.shell.frontend import Unattended
from ginnel.shell.hold import held
from ginnel.shell.signals import Signals
from tests.unit.shell.loops import run, until


class Holding(Unattended):
    """Holds until it is told to let go."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.waits: list[int] = []

    @property
    def holds(self) -> bool:  # type: ignore[override]
        return not self.release.is_set()

    async def hold(self, wait: int = 0) -> None:
        self.waits.append(wait)
        await self.release.wait()


def test_who_does_not_hold_is_not_waited_for() -> None:
    assert run(held(Signals(), Unattended())) is None


def test_a_restart_is_ignored_and_the_end_is_not() -> None:
    async def scenario() -> None:
        signals, frontend = Signals(), Holding()
        waiting = asyncio.ensure_future(held(signals, frontend, 1))
        await until(lambda: frontend.waits, "the question")
        signals.command("SIGUSR1", "")
        await until(lambda: len(frontend.waits) == 2, "the question again")
        assert frontend.waits == [1, 1]
        signals.command("SIGTERM", "")
        assert await waiting == "SIGTERM"

    run(scenario())


def test_leave_is_given() -> None:
    async def scenario() -> None:
        signals, frontend = Signals(), Holding()
        waiting = asyncio.ensure_future(held(signals, frontend))
        await until(lambda: frontend.waits, "the question")
        frontend.release.set()
        assert await waiting is None

    run(scenario())
