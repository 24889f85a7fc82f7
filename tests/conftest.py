"""Shared by all tests: a run that is told to end tidies up first."""

import signal


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def pytest_configure() -> None:
    """Makes SIGTERM end a run as Ctrl-C does, so that fixtures remove what they made."""
    signal.signal(signal.SIGTERM, _interrupt)
