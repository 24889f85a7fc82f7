"""The clocks tell what they say."""

import time

from ginnel.shell.clock import monotonic_now, unix_now


def test_clocks_are_the_systems() -> None:
    before = time.monotonic()
    assert before <= monotonic_now() <= time.monotonic()
    assert abs(unix_now() - time.time()) < 2
    assert isinstance(unix_now(), int)
