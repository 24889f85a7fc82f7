"""Signals as values: rank, put-backs, insisting, and the end of blocking work."""

import asyncio
import os
import signal
import threading

import pytest

from ginnel.shell.signals import Signals, Stopped, killable, stoppable
from tests.unit.shell.loops import run, until


def test_the_highest_ranking_signal_comes_first_and_repeats_count_once() -> None:
    async def work() -> list[str]:
        signals = Signals()
        for name in ("SIGUSR1", "SIGHUP", "SIGUSR1", "SIGTERM"):
            signals.throw(name)
        taken = [signals.pending or "none"]
        taken += [await signals.next() for _ in range(3)]
        return [*taken, signals.pending or "none"]

    assert run(work()) == ["SIGTERM", "SIGTERM", "SIGHUP", "SIGUSR1", "none"]


def test_a_cancelled_wait_loses_no_signal() -> None:
    async def work() -> str:
        signals = Signals()
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(signals.next())
            await asyncio.sleep(0)
            signals.throw("SIGTERM")
            waiting.cancel()
        return await signals.next()

    assert run(work()) == "SIGTERM"


def test_real_signals_arrive_and_a_second_one_insists() -> None:
    async def work() -> list[str]:
        seen: list[str] = []
        signals = Signals()
        signals.on_status = lambda: seen.append("status")
        signals.on_insist = lambda: seen.append("insist")
        signals.install()
        try:
            os.kill(os.getpid(), signal.SIGUSR2)
            await until(lambda: "status" in seen, "the status")
            os.kill(os.getpid(), signal.SIGHUP)
            seen.append(await signals.next())
            os.kill(os.getpid(), signal.SIGTERM)
            seen.append(await signals.next())
            os.kill(os.getpid(), signal.SIGINT)
            seen.append(await signals.next())
        finally:
            signals.remove()
        return seen

    before = signal.getsignal(signal.SIGUSR1)
    assert run(work()) == ["status", "SIGHUP", "SIGTERM", "insist", "SIGINT"]
    assert signal.getsignal(signal.SIGUSR1) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_blocking_work_is_cut_short(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    reading, writing = os.pipe()
    shot = threading.Timer(0.2, os.kill, (os.getpid(), number))
    shot.start()
    try:
        with pytest.raises(Stopped) as stopped, stoppable():
            os.read(reading, 1)
        assert stopped.value.signal == number.name
        assert not isinstance(stopped.value, Exception), "handlers of errors must not see it"
    finally:
        shot.join()
        os.close(reading)
        os.close(writing)
    assert signal.getsignal(number) is before


def test_a_frontends_signal_keeps_its_reason_until_it_is_said() -> None:
    async def scenario() -> None:
        signals = Signals()
        told: list[bool] = []
        signals.on_status = lambda: told.append(True)
        signals.command("SIGUSR2", "")
        assert told == [True]
        assert signals.pending is None
        signals.command("SIGTERM", "management-exit")
        assert await signals.next() == "SIGTERM"
        assert signals.text_of("SIGTERM") == "management-exit"
        assert signals.text_of("SIGTERM") == ""

    asyncio.run(scenario())


def test_who_wants_to_be_told_is_told_by_the_loop() -> None:
    async def work() -> list[str]:
        seen: list[str] = []
        signals = Signals()
        with signals.telling(lambda: seen.append("first")):
            signals.throw("SIGHUP")
            assert not seen, "not by who throws"
            await asyncio.sleep(0)
        with signals.telling(lambda: seen.append("still there")):
            await asyncio.sleep(0)
        with signals.telling(lambda: seen.append("taken")):
            assert signals.take() == "SIGHUP"
            await asyncio.sleep(0)
        signals.throw("SIGTERM")
        await asyncio.sleep(0)
        return seen

    assert run(work()) == ["first", "still there"]


def test_asyncio_leaves_the_interrupt_alone_and_it_is_given_back_afterwards() -> None:
    async def handler() -> object:
        return signal.getsignal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with killable():
        assert asyncio.run(handler()) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is before
