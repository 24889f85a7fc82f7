"""Runs the TCP half of the conformance suite with each engine."""

from tests.unit.dataplane.conformance_stream import *  # noqa: F403
