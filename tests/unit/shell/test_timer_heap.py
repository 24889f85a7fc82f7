"""Deadlines of many machines on one timer."""

import asyncio

from ginnel.core.types import Instant
from ginnel.shell.clock import monotonic_now
from ginnel.shell.timer_heap import AT_ONCE, SLACK, TimerHeap
from tests.unit.shell.loops import run, until
from tests.unit.shell.server_stand_ins import Clock


def soon(seconds: float) -> Instant:
    return Instant(monotonic_now() + seconds)


def test_keys_fire_in_the_order_of_their_deadlines() -> None:
    async def whole() -> None:
        fired: list[str] = []
        heap: TimerHeap[str] = TimerHeap(fired.append)
        heap.set("late", soon(0.02))
        heap.set("early", soon(0.01))
        heap.set("never", soon(0.005))
        heap.set("never", None)
        await until(lambda: len(fired) == 2, "both")
        assert fired == ["early", "late"]
        assert len(heap) == 0

    run(whole())


def test_a_deadline_that_moved_away_does_not_fire_early() -> None:
    async def whole() -> None:
        fired: list[str] = []
        heap: TimerHeap[str] = TimerHeap(fired.append)
        heap.set("a", soon(0.001))
        heap.set("a", soon(3600))
        heap.set("b", soon(0.01))
        await until(lambda: fired, "the other one")
        assert fired == ["b"]
        heap.set("a", soon(0.001))
        await until(lambda: len(fired) == 2, "the one that came back")
        heap.close()

    run(whole())


def test_a_key_that_fires_may_set_itself_again() -> None:
    async def whole() -> None:
        fired: list[str] = []

        def again(key: str) -> None:
            fired.append(key)
            heap.set(key, soon(0.0))

        heap: TimerHeap[str] = TimerHeap(again)
        heap.set("a", soon(0.0))
        await until(lambda: len(fired) > 3 * AT_ONCE, "many turns, with others in between")
        heap.close()
        count = len(fired)
        await asyncio.sleep(0.01)
        assert len(fired) == count

    run(whole())


def test_entries_out_of_date_do_not_pile_up() -> None:
    async def whole() -> None:
        clock = Clock()
        heap: TimerHeap[int] = TimerHeap(lambda _key: None, clock)
        for round_number in range(1000):
            heap.set(1, Instant(10_000.0 - round_number))
        assert heap.entries <= 2 * len(heap) + SLACK + 1
        assert len(heap) == 1
        heap.close()

    run(whole())


def test_what_a_deadline_raises_costs_the_others_nothing() -> None:
    async def whole() -> None:
        fired: list[str] = []
        told: list[BaseException] = []

        def fire(key: str) -> None:
            fired.append(key)
            if key == "broken":
                raise ValueError(key)

        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: told.append(context["exception"]))
        heap: TimerHeap[str] = TimerHeap(fire)
        heap.set("broken", soon(0.001))
        heap.set("whole", soon(0.002))
        await until(lambda: len(fired) == 2, "the other one")
        assert [type(error) for error in told] == [ValueError]
        heap.close()

    run(whole())
