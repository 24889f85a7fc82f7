"""One tunnel: ginnel, openvpn, both mixed, and bare cable, interleaved in one run.

    python -m bench.client [--rounds 3] [--seconds 3] [--systems ginnel,openvpn,...]

TCP with one stream and with four, small and large datagrams at several rates, round-trip times idle
and under load, CPU for a gigabyte, memory, and how long it takes to connect. Needs root, openvpn
and iperf3.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Direction, cpu_seconds, start_sink, transfer
from bench.pairs import (
    BARE,
    SYSTEMS,
    Kind,
    Tunnel,
    connect_time,
    datagrams,
    reconnect_time,
    round_trips,
    tunnel,
)
from bench.readings import OURS, Goal, Measure, Readings
from bench.report import RESULTS
from tests.interop.lab.topology import TWO, Lab

BASE = "openvpn"
USUAL = Kind()
KINDS = (
    USUAL,
    Kind(cipher="AES-128-GCM"),
    Kind(cipher="CHACHA20-POLY1305"),
    Kind(cipher="AES-256-CBC", lines=("auth SHA256",)),
    Kind(protocol="tcp"),
)
STREAMS = (1, 4)
RATES = {64: (25_000, 50_000, 100_000, 200_000), 1200: (10_000, 25_000, 50_000, 100_000)}
"""Offered datagrams a second by size."""
BEARABLE_LOSS = 0.01
PINGS = 400
CONNECTS = 3

IDLE_MEDIAN = Measure(name="round trip idle, median", unit="µs", more_is_better=False)
IDLE_P99 = Measure(name="round trip idle, p99", unit="µs", more_is_better=False)
BUSY_MEDIAN = Measure(name="round trip under bulk load, median", unit="µs", more_is_better=False)
BUSY_P99 = Measure(name="round trip under bulk load, p99", unit="µs", more_is_better=False)
MEMORY = Measure(name="peak memory of both ends", unit="MiB", more_is_better=False)
START = Measure(name="connect from process start", unit="s", more_is_better=False)
AGAIN = Measure(
    name="connect in a running process, after connect-retry", unit="s", more_is_better=False
)


def tcp(kind: Kind, streams: int, way: str) -> Measure:
    return Measure(name=f"TCP, {streams} stream(s) {way}, {kind.name}", unit="Mbit/s")


def tcp_cpu(kind: Kind, streams: int, way: str) -> Measure:
    name = f"CPU a gigabyte, {streams} stream(s) {way}, {kind.name}"
    return Measure(name=name, unit="s", more_is_better=False)


def packets(size: int, way: str) -> Measure:
    return Measure(name=f"{size}-byte datagrams {way}, best rate under 1 % loss", unit="1/s")


def most_packets(size: int, way: str) -> Measure:
    return Measure(name=f"{size}-byte datagrams {way}, most delivered", unit="1/s")


def packet_cpu(size: int, way: str) -> Measure:
    name = f"CPU for one of {RATES[size][1]:,} {size}-byte datagrams a second {way}, both ends"
    return Measure(name=name, unit="µs", more_is_better=False)


GOALS = (
    *(
        Goal(measure=tcp(USUAL, streams, way.value), limit=9.0)
        for streams in STREAMS
        for way in Direction
    ),
    *(Goal(measure=tcp(KINDS[2], 1, way.value), limit=6.0) for way in Direction),
    *(Goal(measure=tcp(KINDS[4], 1, way.value), limit=8.0) for way in Direction),
    *(Goal(measure=tcp_cpu(USUAL, 1, way.value), limit=1 / 9) for way in Direction),
    *(Goal(measure=packets(64, way.value), limit=3.0) for way in Direction),
    Goal(measure=IDLE_MEDIAN, limit=1.0),
    Goal(measure=BUSY_P99, limit=1.0),
    Goal(measure=AGAIN, limit=1.5),
    Goal(measure=START, limit=0.2, absolute=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long everything takes."""

    seconds: int
    kinds: Sequence[Kind]
    pings: int


def measure_streams(it: Tunnel, kind: Kind, plan: Plan, readings: Readings) -> None:
    """TCP throughput and what it costs; other kinds of tunnel than the usual with one stream."""
    counts = STREAMS if kind in {USUAL, KINDS[4]} else STREAMS[:1]
    for streams in counts:
        for way in Direction:
            sample = transfer(it.lab, it.ends, way, streams, plan.seconds)
            readings.add(tcp(kind, streams, way.value), it.system, sample.megabits)
            if it.client is not None:
                cost = sample.cpu_per_gigabyte
                readings.add(tcp_cpu(kind, streams, way.value), it.system, cost)


def measure_packets(it: Tunnel, plan: Plan, readings: Readings) -> None:
    """Climbs through the rates; what is lost at one is lost at all above it."""
    seconds = min(1.5, plan.seconds)
    for size, rates in RATES.items():
        for way in Direction:
            best = most = 0.0
            for rate in rates:
                before = _cpu(it)
                found = datagrams(it, way.value, size, rate, seconds)
                spent = _cpu(it) - before
                if rate == rates[1] and it.client is not None and found.received:
                    cost = spent / found.received * 1e6
                    readings.add(packet_cpu(size, way.value), it.system, cost)
                most = max(most, found.rate)
                if found.lost > BEARABLE_LOSS:
                    break
                best = max(best, found.rate)
            readings.add(packets(size, way.value), it.system, best)
            readings.add(most_packets(size, way.value), it.system, most)


def measure_round_trips(it: Tunnel, plan: Plan, readings: Readings) -> None:
    """Pings while nothing else goes on, and while one stream takes what it can get."""
    idle = round_trips(it, plan.pings)
    readings.add(IDLE_MEDIAN, it.system, statistics.median(idle))
    readings.add(IDLE_P99, it.system, _p99(idle))
    argv = ["iperf3", "-c", it.server_address, "-t", "60", "--forceflush"]
    bulk = it.lab.laptop.spawn(argv, name="bulk")
    try:
        bulk.wait_for("connected to")
        time.sleep(0.5)  # until the stream has found its speed
        busy = round_trips(it, plan.pings)
    finally:
        bulk.stop()
    readings.add(BUSY_MEDIAN, it.system, statistics.median(busy))
    readings.add(BUSY_P99, it.system, _p99(busy))


def measure_connecting(it: Tunnel, readings: Readings) -> None:
    """A running client that starts over."""
    for _ in range(CONNECTS):
        readings.add(AGAIN, it.system, reconnect_time(it))


def measure_starting(lab: Lab, system: str, readings: Readings) -> None:
    """Clients from the start of their process, at the server that their system names."""
    client_name, _, _ = system.partition(" to ")
    with tunnel(lab, system, USUAL) as it:
        assert it.client is not None
        it.client.stop(expect=None)
        for _ in range(CONNECTS):
            readings.add(START, system, connect_time(lab, client_name))


def measure(lab: Lab, system: str, kind: Kind, plan: Plan, readings: Readings) -> None:
    """Everything about one kind of tunnel of one system."""
    with tunnel(lab, system, kind) as it:
        measure_streams(it, kind, plan, readings)
        if kind == USUAL:
            measure_packets(it, plan, readings)
            measure_round_trips(it, plan, readings)
            if it.client is not None:
                readings.add(MEMORY, system, it.peak_memory())
                measure_connecting(it, readings)
    if kind == USUAL and system != BARE:
        measure_starting(lab, system, readings)


def run(given: argparse.Namespace, plan: Plan) -> Readings:
    """Every round measures each system once, in turns, so that a slow minute hits all."""
    readings = Readings(base=BASE)
    systems = given.systems.split(",")
    with Lab(TWO) as lab:
        sink = start_sink(lab.office)
        try:
            for number in range(given.rounds):
                for kind in plan.kinds:
                    for system in systems if number % 2 == 0 else reversed(systems):
                        if system == BARE and kind != USUAL:
                            continue
                        had = len(readings.taken)
                        measure(lab, system, kind, plan, readings)
                        print(f"round {number + 1} {system}, {kind.name}")
                        for it in readings.taken[had:]:
                            print(f"  {it.measure.name}: {it.value:.4g} {it.measure.unit}")
                        sys.stdout.flush()
        finally:
            sink.stop()
    return readings


def _cpu(it: Tunnel) -> float:
    return sum(cpu_seconds(end.pid) for end in (it.client, it.server) if end is not None)


def _p99(times: Sequence[float]) -> float:
    return times[min(len(times) - 1, int(len(times) * 0.99))]


def main() -> int:
    parser = argparse.ArgumentParser(description="One tunnel: ginnel, openvpn, mixed, bare.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="length of one transfer")
    parser.add_argument("--quick", action="store_true", help="one kind of tunnel, few pings")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="which, with commas")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the result")
    parser.add_argument("--require", action="store_true", help="fail when a goal is not met")
    given = parser.parse_args()
    plan = Plan(
        seconds=1 if given.quick else given.seconds,
        kinds=KINDS[:1] if given.quick else KINDS,
        pings=100 if given.quick else PINGS,
    )
    readings = run(given, plan)
    lines = readings.judge(GOALS, OURS)
    print("", *lines, "", readings.table(), sep="\n")
    settings: dict[str, str | int] = {"rounds": given.rounds, "seconds": plan.seconds}
    stem = readings.save("client", settings, GOALS, given.results)
    print("\nresult:", stem.with_suffix(".json"))
    return 1 if given.require and any("NOT met" in line for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
