"""Shared by all tests: a run that is told to end tidies up first, examples are always the same."""

import signal

import pytest
from hypothesis import settings

# Not beside them: the property tests import these modules before unit/dataplane is entered.
pytest.register_assert_rewrite(
    "tests.unit.dataplane.conformance",
    "tests.unit.dataplane.conformance_limits",
    "tests.unit.dataplane.conformance_stream",
    "tests.unit.dataplane.rig",
)

# The same examples each time, and none fails for how long it takes: a machine with other work stops
# a process for longer than Hypothesis has patience. New ones: pytest --hypothesis-profile=search.
settings.register_profile("search", deadline=None)
settings.load_profile("ci")


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def pytest_configure() -> None:
    """Makes SIGTERM end a run as Ctrl-C does, so that fixtures remove what they made."""
    signal.signal(signal.SIGTERM, _interrupt)
