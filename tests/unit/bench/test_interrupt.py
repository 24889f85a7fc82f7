import os
import signal
from collections.abc import Iterator

import pytest

from bench.interrupt import INTERRUPTED, SIGNALS, tidily


@pytest.fixture(autouse=True)
def _handlers_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_first_signal_ends_a_measurement_and_the_second_does_not_disturb_the_tidying() -> None:
    tidied = []

    def main() -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            tidied.append(True)
        return 0

    assert tidily(main) == INTERRUPTED
    assert tidied == [True]


def test_a_measurement_under_nohup_survives_its_terminal() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def main() -> int:
        os.kill(os.getpid(), signal.SIGHUP)
        return 7

    assert tidily(main) == 7
