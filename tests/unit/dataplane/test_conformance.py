"""Runs the conformance suite with each engine (``conftest`` names them)."""

from tests.unit.dataplane.conformance import *  # noqa: F403
from tests.unit.dataplane.conformance_limits import *  # noqa: F403
from tests.unit.dataplane.conformance_old import *  # noqa: F403
from tests.unit.dataplane.conformance_path import *  # noqa: F403
from tests.unit.dataplane.conformance_payload import *  # noqa: F403
