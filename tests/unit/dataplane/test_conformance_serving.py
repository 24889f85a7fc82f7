"""Runs the server's part of the conformance suite with each engine."""

from tests.unit.dataplane.conformance_serving import *  # noqa: F403
from tests.unit.dataplane.conformance_tap import *  # noqa: F403
