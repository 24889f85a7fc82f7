"""A lab of network namespaces for interop tests, the demo and the benchmark."""

from tests.interop.lab.base import OFFICE_HOST, OFFICE_HOST_V6
from tests.interop.lab.fleet import Fleet
from tests.interop.lab.openvpn import ClientSetup, Running, ServerSetup, Wrapping
from tests.interop.lab.process import LabError, Process
from tests.interop.lab.relay import Faults
from tests.interop.lab.snapshot import Snapshot
from tests.interop.lab.topology import (
    LAPTOP,
    LAPTOP_V6,
    THREE,
    TWO,
    WEB_HOST,
    WEB_HOST_V6,
    Lab,
    Plan,
)

__all__ = [
    "LAPTOP",
    "LAPTOP_V6",
    "OFFICE_HOST",
    "OFFICE_HOST_V6",
    "THREE",
    "TWO",
    "WEB_HOST",
    "WEB_HOST_V6",
    "ClientSetup",
    "Faults",
    "Fleet",
    "Lab",
    "LabError",
    "Plan",
    "Process",
    "Running",
    "ServerSetup",
    "Snapshot",
    "Wrapping",
]
