"""Shared by all tests: a run that is told to end tidies up first."""

import signal

import pytest

# Not beside them: the property tests import these modules before unit/dataplane is entered.
pytest.register_assert_rewrite(
    "tests.unit.dataplane.conformance",
    "tests.unit.dataplane.conformance_limits",
    "tests.unit.dataplane.conformance_stream",
    "tests.unit.dataplane.rig",
)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def pytest_configure() -> None:
    """Makes SIGTERM end a run as Ctrl-C does, so that fixtures remove what they made."""
    signal.signal(signal.SIGTERM, _interrupt)
