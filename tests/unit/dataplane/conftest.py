"""Chooses the engines of the conformance suite, and says so when one takes no part."""

from collections.abc import Iterator

import pytest

from tests.unit.dataplane.rig import Bench, bench, engine_problem, engines


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs each test of one engine with every engine, each test of two with every pair."""
    names = engines()
    if "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", names)
    if "pair" in metafunc.fixturenames:
        pairs = [(first, second) for first in names for second in names]
        metafunc.parametrize("pair", pairs, ids=["-".join(pair) for pair in pairs])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names the engine that this run left out: its tests do not exist, they are not skipped."""
    problem = engine_problem()
    if problem:
        terminalreporter.section("engines")
        terminalreporter.line(f"conformance was not run with the Rust engine: {problem}")


@pytest.fixture
def made() -> Iterator[Bench]:
    """Sockets and engines that are closed after the test."""
    with bench() as it:
        yield it
