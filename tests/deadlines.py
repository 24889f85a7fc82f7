"""Waits for a condition with a deadline, so that no test sleeps for a guessed time.

Not responsible for virtual time: simulations move their own clock.
"""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class DeadlinePassed(AssertionError):
    """The awaited condition did not become true in time."""


def wait_until(
    condition: Callable[[], T | None],
    *,
    timeout: float,
    what: str,
    interval: float = 0.02,
) -> T:
    """Polls until the condition gives a true value, which it returns.

    Raises DeadlinePassed, naming ``what``, after ``timeout`` seconds. The condition is asked once
    more at the deadline, so a slow machine cannot make a true condition look false.
    """
    deadline = time.monotonic() + timeout
    while True:
        expired = time.monotonic() >= deadline
        value = condition()
        if value:
            return value
        if expired:
            raise DeadlinePassed(f"waited {timeout:g} s in vain for {what}")
        time.sleep(interval)
