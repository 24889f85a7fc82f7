"""One timer for any number of machines: the heap of their deadlines.

A machine that waits costs an entry here and no timer of the loop. Deadlines mostly move away from
now; then the old entry stays and is put where it belongs when it comes up.
"""

import asyncio
import heapq
from collections.abc import Callable, Hashable

from ginnel.core.types import Instant
from ginnel.hints import Generic, TypeVar
from ginnel.shell.clock import monotonic_now

K = TypeVar("K", bound=Hashable)

AT_ONCE = 64
"""Deadlines that are served before the loop may do something else."""

SLACK = 64
"""Entries that may be out of date before the heap is made anew, besides one for each machine."""


class TimerHeap(Generic[K]):
    """Calls ``fire`` with each key whose deadline has come, in the loop."""

    def __init__(
        self, fire: Callable[[K], None], clock: Callable[[], Instant] = monotonic_now
    ) -> None:
        self._fire = fire
        self._clock = clock
        self._due: dict[K, Instant] = {}
        self._entry: dict[K, Instant] = {}
        """The entry of each key that counts: the earliest that was made."""
        self._heap: list[tuple[Instant, int, K]] = []
        self._count = 0
        """Breaks ties, so that keys need not compare."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = Instant(0.0)

    def __len__(self) -> int:
        """Counts the keys with a deadline."""
        return len(self._due)

    @property
    def entries(self) -> int:
        """Counts the entries of the heap, those out of date among them."""
        return len(self._heap)

    def set(self, key: K, due: Instant | None) -> None:
        """Sets or removes the deadline of a key."""
        if due is None:
            self._due.pop(key, None)
            self._entry.pop(key, None)
            return
        self._due[key] = due
        entry = self._entry.get(key)
        if entry is None or due < entry:
            self._push(key, due)
            self._arm()

    def close(self) -> None:
        """Forgets everything."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due.clear()
        self._entry.clear()
        self._heap.clear()

    def _push(self, key: K, due: Instant) -> None:
        if len(self._heap) > 2 * len(self._due) + SLACK:
            self._heap = [item for item in self._heap if self._entry.get(item[2]) == item[0]]
            heapq.heapify(self._heap)
        self._count += 1
        self._entry[key] = due
        heapq.heappush(self._heap, (due, self._count, key))

    def _arm(self) -> None:
        if not self._heap:
            return
        head = self._heap[0][0]
        if self._timer is not None:
            if self._timer_due <= head:
                return
            self._timer.cancel()
        self._timer_due = head
        delay = max(0.0, head - self._clock())
        self._timer = asyncio.get_running_loop().call_later(delay, self._serve)

    def _serve(self) -> None:
        self._timer = None
        try:
            self._serve_some()
        finally:
            self._arm()  # whatever one of them raises: the others wait for this timer, too

    def _serve_some(self) -> None:
        served = 0
        while self._heap and served < AT_ONCE:
            entry, _, key = self._heap[0]
            if self._entry.get(key) != entry:
                heapq.heappop(self._heap)
                continue
            due = self._due[key]
            if due > entry:
                heapq.heappop(self._heap)
                self._push(key, due)
                continue
            if due > self._clock():
                break
            heapq.heappop(self._heap)
            del self._entry[key], self._due[key]
            served += 1
            self._fire(key)
