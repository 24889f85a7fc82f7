"""Servers with many clients: ginnel and openvpn, interleaved in one run.

    python -m bench.server [--rounds 3] [--quick] [--only handshakes,memory,...]

Handshakes a CPU second and a wall second when 200 clients come at once; one client's wait while
500 come; memory with 1,000 and with 10,000 idle clients; throughput and fairness with 1, 10 and 50
active ones. Clients of all but the last are ``bench.load``'s; the streams go through real ginnel
clients, the same for both servers, and through openvpn's for openvpn. Needs root and openvpn.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.interrupt import tidily
from bench.measure import cpu_seconds
from bench.pages import Settings, save, show
from bench.pairs import GINNEL, PROGRAMS, compile_program
from bench.readings import Goal, Measure, Readings
from bench.report import RESULTS
from bench.server_lab import (
    Generator,
    clients,
    drive_streams,
    generators,
    resident_kib,
    server,
    settle,
    sink,
)
from tests.interop.lab.openvpn import OPENVPN, Running
from tests.interop.lab.process import LabError
from tests.interop.lab.topology import TWO, Lab

BASE = "openvpn"
PROBES = 5
"""Clients that connect one after the other, alone and in the crowd."""
WAITING_AT_ONCE = 8
"""Clients of one generator that wait for their connection at a time, where the pace is free."""
GENERATORS = 4
FIRST = 3
"""Clients that come before those that are counted: what they make the server load stays."""
PATIENCE = 120.0
"""Seconds that all clients of one command have to connect."""

PER_CPU_SECOND = Measure(name="handshakes a CPU second of the server", unit="1/s")
CPU_EACH = Measure(name="server CPU a handshake", unit="ms", more_is_better=False)
PER_SECOND = Measure(name="handshakes a second, clients at once", unit="1/s")
SLOWEST = Measure(name="slowest of those clients", unit="s", more_is_better=False)
ALONE = Measure(name="one client connects, quiet", unit="s", more_is_better=False)
CROWDED = Measure(name="one client connects while others arrive", unit="s", more_is_better=False)
EMPTY = Measure(name="resident memory without clients", unit="MiB", more_is_better=False)
THOUSAND = Measure(name="resident memory, 1,000 idle clients", unit="MiB", more_is_better=False)
EACH_IDLE = Measure(name="memory an idle client, first 1,000", unit="KiB", more_is_better=False)
SLOPE = Measure(name="memory an idle client, beyond 1,000", unit="KiB", more_is_better=False)
IDLE_CPU = Measure(name="server CPU with idle clients", unit="%", more_is_better=False)
LEFT = Measure(name="memory kept a client that left", unit="KiB", more_is_better=False)
ACTIVE = (1, 10, 50)


def throughput(count: int, way: str) -> Measure:
    return Measure(name=f"throughput, {count} active, {way}", unit="Mbit/s")


def fairness(count: int, way: str) -> Measure:
    return Measure(name=f"least over mean, {count} active, {way}", unit="")


def jain(count: int, way: str) -> Measure:
    return Measure(name=f"Jain's index, {count} active, {way}", unit="")


def stream_cpu(count: int, way: str) -> Measure:
    name = f"server CPU a gigabyte, {count} active, {way}"
    return Measure(name=name, unit="s", more_is_better=False)


GOALS = (
    Goal(measure=PER_CPU_SECOND, limit=1.0),
    Goal(measure=EACH_IDLE, limit=100.0, absolute=True),
    Goal(measure=SLOPE, limit=100.0, absolute=True),
    Goal(measure=throughput(10, "up"), limit=4.0),
    Goal(measure=throughput(10, "down"), limit=4.0),
    *(
        Goal(measure=fairness(count, way), limit=0.7, absolute=True)
        for count in ACTIVE[1:]
        for way in ("up", "down")
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of everything; ``--quick`` takes less."""

    at_once: int = 200
    crowd: int = 500
    idle: int = 1000
    most: int = 10_000
    seconds: float = 6.0
    active: tuple[int, ...] = ACTIVE


QUICK = Sizes(at_once=50, crowd=100, idle=200, most=400, seconds=1.0, active=(1, 3))


def connect(generator: Generator, count: int, waiting: int = 0) -> dict[str, object]:
    """Has clients connect. Raises LabError when one of them did not."""
    generator.command("connect", count, waiting, PATIENCE)
    return connected(generator)


def connected(generator: Generator) -> dict[str, object]:
    """Waits for clients that were told to connect."""
    answer = generator.answer()
    if answer["connected"] != answer["asked"]:
        answer.pop("each")
        raise LabError(f"clients did not connect: {answer}")
    return answer


def measure_handshakes(lab: Lab, system: str, sizes: Sizes, readings: Readings) -> None:
    """Clients that come all at once, to a server that has just started."""
    with server(lab, system) as running, generators(lab) as (generator,):
        connect(
            generator, FIRST
        )  # what is loaded at the first client only is not a handshake's cost
        before = cpu_seconds(running.pid)
        answer = connect(generator, sizes.at_once)
        spent = cpu_seconds(running.pid) - before
    readings.add(PER_CPU_SECOND, system, sizes.at_once / spent)
    readings.add(CPU_EACH, system, spent / sizes.at_once * 1000)
    readings.add(PER_SECOND, system, sizes.at_once / _number(answer["seconds"]))
    readings.add(SLOWEST, system, max(_numbers(answer["each"])))


def measure_crowd(lab: Lab, system: str, sizes: Sizes, readings: Readings) -> None:
    """One client after the other, first alone and then while many others arrive."""
    with server(lab, system), generators(lab, 2) as (crowd, single):
        for measure in (ALONE, CROWDED):
            if measure is CROWDED:
                crowd.command("connect", sizes.crowd, 0, PATIENCE)
            single.command("probe", PROBES, PATIENCE)
            for each in _numbers(connected(single)["each"]):
                readings.add(measure, system, each)
        connected(crowd)


def measure_memory(lab: Lab, system: str, sizes: Sizes, readings: Readings) -> None:
    """Idle clients, pinging both ways every ten seconds; then all of them leave."""
    with server(lab, system) as running, generators(lab, GENERATORS) as many:
        empty, some = _fill(running, many, sizes)
        _connect_all(many, sizes.most - sizes.idle)
        settle(running.pid)
        most = resident_kib(running.pid)
        busy = cpu_seconds(running.pid)
        time.sleep(sizes.seconds * 2)
        busy = cpu_seconds(running.pid) - busy
        for generator in many:
            generator.command("hold")
        held = sum(_number(generator.answer()["alive"]) for generator in many)
        if held != sizes.most:
            raise LabError(f"of {sizes.most} idle clients {held:g} are left")
        for generator in many:
            generator.command("leave")
        for generator in many:
            generator.answer()
        time.sleep(sizes.seconds)
        settle(running.pid)
        left = resident_kib(running.pid)
    readings.add(EMPTY, system, empty / 1024)
    readings.add(THOUSAND, system, some / 1024)
    readings.add(EACH_IDLE, system, (some - empty) / (sizes.idle - FIRST))
    readings.add(SLOPE, system, (most - some) / (sizes.most - sizes.idle))
    readings.add(IDLE_CPU, system, busy / (sizes.seconds * 2) * 100)
    readings.add(LEFT, system, (left - empty) / sizes.most)


def measure_idle(lab: Lab, system: str, sizes: Sizes, readings: Readings) -> None:
    """The first idle clients only, which is soon done."""
    with server(lab, system) as running, generators(lab, GENERATORS) as many:
        empty, some = _fill(running, many, sizes)
    readings.add(EACH_IDLE, system, (some - empty) / (sizes.idle - FIRST))


def _fill(running: Running, many: Sequence[Generator], sizes: Sizes) -> tuple[int, int]:
    """Has the first idle clients connect; KiB of the server before and with them."""
    connect(many[0], FIRST)
    settle(running.pid)
    empty = resident_kib(running.pid)
    _connect_all(many, sizes.idle - FIRST)
    settle(running.pid)
    return empty, resident_kib(running.pid)


def _connect_all(many: Sequence[Generator], count: int) -> None:
    """Spreads new clients over the generators, a few at a time."""
    for number, generator in enumerate(many):
        share = count // len(many) + (number < count % len(many))
        generator.command("connect", share, WAITING_AT_ONCE, PATIENCE + count / 10)
    for generator in many:
        connected(generator)


def measure_streams(lab: Lab, system: str, sizes: Sizes, readings: Readings) -> None:
    """One TCP stream through each of the active clients, one way and then the other."""
    for name, program in _pairs(system):
        for count in sizes.active:
            with (
                server(lab, system) as running,
                clients(lab, count, program) as devices,
                sink(lab),
            ):
                for way in ("up", "down"):
                    before, started = cpu_seconds(running.pid), time.monotonic()
                    counts = drive_streams(lab, way, sizes.seconds, devices)
                    share = (cpu_seconds(running.pid) - before) / (time.monotonic() - started)
                    carried = Carried(
                        way=way, counts=counts, seconds=sizes.seconds, cpu_share=share
                    )
                    carried.note(name, readings)


def _pairs(system: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Names a server and whose clients it has: its own, and for openvpn ginnel's as well."""
    yield system, PROGRAMS[system]
    if system == "openvpn":
        yield "openvpn with ginnel clients", GINNEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What the streams of one transfer carried, in bytes, and the server's share of a CPU."""

    way: str
    counts: list[int]
    seconds: float
    cpu_share: float

    def note(self, name: str, readings: Readings) -> None:
        way, total, number = self.way, sum(self.counts), len(self.counts)
        readings.add(throughput(number, way), name, total * 8 / 1e6 / self.seconds)
        readings.add(stream_cpu(number, way), name, self.cpu_share * self.seconds / (total / 1e9))
        if number > 1:
            squares = sum(count**2 for count in self.counts)
            readings.add(fairness(number, way), name, min(self.counts) / (total / number))
            readings.add(jain(number, way), name, total**2 / (number * squares))


Phase = Callable[[Lab, str, Sizes, Readings], None]
PHASES: dict[str, Phase] = {
    "handshakes": measure_handshakes,
    "crowd": measure_crowd,
    "streams": measure_streams,
    "memory": measure_memory,
}
ONCE = ("memory",)
"""Phases that take long and vary little: one round of them is enough."""


def run(given: argparse.Namespace, sizes: Sizes, readings: Readings) -> None:
    """Every round measures each system once, in turns, so that a slow minute hits both."""
    systems = given.systems.split(",")
    for number in range(given.rounds):
        for name in given.only.split(","):
            if name in ONCE and number > 0:
                continue
            for system in systems if number % 2 == 0 else reversed(systems):
                begun, had = time.monotonic(), len(readings.taken)
                with readings.attempt(name, system), Lab(TWO) as lab:
                    PHASES[name](lab, system, sizes, readings)
                print(f"round {number + 1} {name} {system}, {time.monotonic() - begun:.0f} s")
                for it in readings.taken[had:]:
                    print(f"  {it.system}: {it.measure.name}: {it.value:.4g} {it.measure.unit}")
                sys.stdout.flush()


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)


def _numbers(value: object) -> list[float]:
    assert isinstance(value, list)
    return [float(it) for it in value]


def main() -> int:
    parser = argparse.ArgumentParser(description="Servers with many clients, ginnel and openvpn.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="few clients: shows that it runs")
    parser.add_argument("--most", type=int, help="idle clients at the end, 10000")
    parser.add_argument("--seconds", type=float, help="length of one transfer")
    parser.add_argument("--only", default=",".join(PHASES), help="phases, with commas")
    parser.add_argument("--systems", default="ginnel,openvpn", help="servers, with commas")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the result")
    parser.add_argument("--require", action="store_true", help="fail when a goal is not met")
    given = parser.parse_args()
    sizes = QUICK if given.quick else Sizes()
    sizes = replace(sizes, most=given.most or sizes.most, seconds=given.seconds or sizes.seconds)
    readings = Readings(base=BASE)
    compile_program()
    all_met = complete = False
    try:
        run(given, sizes, readings)
        complete = True
    finally:
        all_met = report(given, sizes, readings, complete=complete)
    return int(given.require and not all_met)


def report(given: argparse.Namespace, sizes: Sizes, readings: Readings, *, complete: bool) -> bool:
    """Prints and keeps what there is; True when no goal was missed."""
    all_met = show(readings, GOALS)
    settings: Settings = {
        "phases": given.only,
        "rounds": given.rounds,
        "clients at once": sizes.at_once,
        "crowd": sizes.crowd,
        "idle": f"{sizes.idle}, then {sizes.most}",
        "seconds a transfer": f"{sizes.seconds:g}",
        "openvpn": OPENVPN,
        "complete": "yes" if complete else "no",
    }
    if readings.taken:
        print("\nresult:", save(readings, "server", settings, GOALS, given.results))
    return all_met


if __name__ == "__main__":
    sys.exit(tidily(main))
