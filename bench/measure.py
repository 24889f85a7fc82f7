"""Measures one TCP transfer through a tunnel: bytes by iperf3, CPU time of each end by /proc.

Not responsible for what the ends are, nor for comparing them.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tests.interop.lab.namespaces import Namespace
from tests.interop.lab.process import LabError, Process
from tests.interop.lab.topology import Lab

TICKS = os.sysconf("SC_CLK_TCK")
PORT = 5201


class Direction(Enum):
    """Which way the bytes go, seen from the client."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One transfer. CPU seconds are user and system time of the tunnel's process at that end."""

    system: str
    direction: Direction
    streams: int
    seconds: float
    size: int
    client_cpu: float
    server_cpu: float
    load: float
    """The machine's one-minute load average at the start: others may be at work on it."""

    @property
    def megabits(self) -> float:
        return self.size * 8 / 1e6 / self.seconds

    @property
    def cpu_per_gigabyte(self) -> float:
        """CPU seconds of both ends for 10^9 bytes of payload."""
        return (self.client_cpu + self.server_cpu) / (self.size / 1e9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """The processes of a tunnel that is up, and the address to send through it."""

    system: str
    client_pid: int
    server_pid: int
    target: str


@contextmanager
def sink(office: Namespace) -> Iterator[Process]:
    """The receiving iperf3, which serves one transfer after the other."""
    process = office.spawn(["iperf3", "-s", "-p", str(PORT), "--forceflush"], name="iperf3-server")
    try:
        process.wait_for("Server listening")
        yield process
    finally:
        process.stop()


def iperf_client(target: str, direction: Direction, streams: int, seconds: int) -> list[str]:
    """Gives the command of the other iperf3."""
    command = ["iperf3", "-c", target, "-p", str(PORT), "--connect-timeout", "5000"]
    command += ["-t", str(seconds), "-P", str(streams)]
    return command + (["-R"] if direction is Direction.DOWN else [])


def transfer(lab: Lab, ends: Ends, direction: Direction, streams: int, seconds: int) -> Sample:
    """Runs one transfer. Raises LabError when iperf3 fails or moves nothing."""
    command = [*iperf_client(ends.target, direction, streams, seconds), "-J"]
    load = os.getloadavg()[0]
    before = cpu_seconds(ends.client_pid), cpu_seconds(ends.server_pid)
    started = time.monotonic()
    output = lab.laptop.run(command, timeout=seconds + 20, check=False).output
    wall = time.monotonic() - started
    after = cpu_seconds(ends.client_pid), cpu_seconds(ends.server_pid)
    size, lasted = _received(output)
    if size == 0:
        raise LabError(f"nothing arrived in {wall:.1f} s")
    return Sample(
        system=ends.system,
        direction=direction,
        streams=streams,
        seconds=lasted or wall,
        size=size,
        client_cpu=after[0] - before[0],
        server_cpu=after[1] - before[1],
        load=load,
    )


def _received(output: str) -> tuple[int, float]:
    """Bytes and seconds at the receiving end, from iperf3's JSON."""
    try:
        found = json.loads(output)
        total = found["end"]["sum_received"]
        return int(total["bytes"]), float(total["seconds"])
    except ValueError as bad:
        raise LabError(f"iperf3 failed: {output.strip()[-500:]}") from bad
    except KeyError as bad:
        raise LabError(f"iperf3 failed: {found.get('error', 'it says nothing')}") from bad


def cpu_seconds(pid: int) -> float:
    """User and system time so far of a process, all its threads and all its descendants."""
    return sum(_ticks(member) for member in family(pid)) / TICKS


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat after the command's name, which may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _ticks(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[11]) + int(fields[12]) if fields else 0


def family(pid: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, pending = {pid}, [pid]
    while pending:
        born = children.get(pending.pop(), [])
        found.update(born)
        pending += born
    return found
