"""Runs the part of the conformance suite about SOCKS relays with each engine."""

from tests.unit.dataplane.conformance_relay import *  # noqa: F403
