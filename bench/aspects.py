"""What is measured of one tunnel, and the goals of it.

Responsible for taking each aspect's readings from a tunnel that is up. Which tunnels, how often and
in which order is ``client``'s business.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.measure import Direction, cpu_seconds, iperf_client, sink, transfer
from bench.pairs import Kind, Tunnel, connect_time, datagrams, reconnect_time, round_trips, tunnel
from bench.readings import Goal, Measure, Readings
from bench.server import CPU_EACH, EACH_IDLE, PER_CPU_SECOND
from tests.interop.lab.topology import Lab

USUAL = Kind()
CHACHA = Kind(cipher="CHACHA20-POLY1305")
TCP = Kind(protocol="tcp")
KINDS = {
    "udp": USUAL,
    "aes-128": Kind(cipher="AES-128-GCM"),
    "chacha": CHACHA,
    "cbc": Kind(cipher="AES-256-CBC", lines=("auth SHA256",)),
    "tcp": TCP,
}
STREAMS = (1, 4)
RATES = {
    64: (25_000, 50_000, 75_000, 100_000, 150_000, 200_000, 300_000),
    1200: (25_000, 50_000, 100_000, 150_000),
}
"""Offered datagrams a second by size."""
USUAL_RATES = {64: 50_000, 1200: 25_000}
"""What CPU for one datagram is compared at."""
BEARABLE_LOSS = 0.01
OFFERED = 0.95
"""The part of a rate that the source must reach: the next rate would be the same again."""
CONNECTS = 3
WAYS = tuple(way.value for way in Direction)

IDLE_MEDIAN = Measure(name="round trip idle, median", unit="µs", more_is_better=False)
IDLE_P99 = Measure(name="round trip idle, p99", unit="µs", more_is_better=False)
MEMORY = Measure(name="peak memory, both ends", unit="MiB", more_is_better=False)
START = Measure(name="connect from process start", unit="s", more_is_better=False)
AGAIN = Measure(
    name="connect in a running process, after connect-retry", unit="s", more_is_better=False
)


def _streams(count: int) -> str:
    return "1 stream" if count == 1 else f"{count} streams"


def tcp(kind: Kind, streams: int, way: str) -> Measure:
    return Measure(name=f"TCP, {_streams(streams)} {way}, {kind.name}", unit="Mbit/s")


def tcp_cpu(kind: Kind, streams: int, way: str, end: str = "both ends") -> Measure:
    return Measure(
        name=f"CPU a gigabyte, {_streams(streams)} {way}, {kind.name}, {end}",
        unit="s",
        more_is_better=False,
        detail=end != "both ends" or streams > 1,
    )


def best_packets(size: int, way: str) -> Measure:
    return Measure(name=f"{size}-byte datagrams {way}, delivered with under 1 % loss", unit="1/s")


def delivered(size: int, way: str, rate: int) -> Measure:
    name = f"{rate:,} {size}-byte datagrams a second {way}: delivered"
    return Measure(name=name, unit="1/s", detail=True)


def lost(size: int, way: str, rate: int) -> Measure:
    name = f"{rate:,} {size}-byte datagrams a second {way}: lost"
    return Measure(name=name, unit="%", more_is_better=False, detail=True)


def packet_cpu(size: int, way: str, rate: int) -> Measure:
    return Measure(
        name=f"{rate:,} {size}-byte datagrams a second {way}: CPU for one, both ends",
        unit="µs",
        more_is_better=False,
        detail=rate != USUAL_RATES[size],
    )


def busy(what: str, way: str) -> Measure:
    name = f"round trip while a stream goes {way}, {what}"
    return Measure(name=name, unit="µs", more_is_better=False)


def memory(end: str) -> Measure:
    return Measure(name=f"peak memory, {end}", unit="MiB", more_is_better=False, detail=True)


MIXED = ("ginnel to openvpn", "openvpn to ginnel")
GOALS = (
    *(
        Goal(measure=tcp(USUAL, streams, way), limit=9.0, aim=12.0)
        for streams in STREAMS
        for way in WAYS
    ),
    *(Goal(measure=tcp(CHACHA, 1, way), limit=6.0, aim=8.0) for way in WAYS),
    *(Goal(measure=tcp(TCP, 1, way), limit=8.0, aim=15.0) for way in WAYS),
    *(Goal(measure=tcp_cpu(USUAL, 1, way), limit=1 / 9, aim=1 / 12) for way in WAYS),
    *(Goal(measure=best_packets(64, way), limit=3.0, aim=6.0) for way in WAYS),
    Goal(measure=IDLE_MEDIAN, limit=1.0, aim=0.6),
    *(Goal(measure=busy("p99", way), limit=1.0, aim=0.5) for way in WAYS),
    Goal(measure=AGAIN, limit=1.5, aim=1.0),
    Goal(measure=START, limit=0.2, aim=0.12, absolute=True),
    Goal(measure=CPU_EACH, limit=1.5, aim=1.0),
    Goal(measure=EACH_IDLE, limit=0.8, aim=0.4),
    *(
        Goal(measure=tcp(USUAL, 1, way), limit=1.2, system=system)
        for system in MIXED
        for way in WAYS
    ),
    *(Goal(measure=tcp(USUAL, 1, way), limit=1.5, system="ginnel-python") for way in WAYS),
)
SERVER_MEASURES = (PER_CPU_SECOND, CPU_EACH, EACH_IDLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """How long readings take."""

    seconds: int = 2
    datagram_seconds: float = 1.0
    pings: int = 800


Aspect = Callable[[Tunnel, Kind, Lengths, Readings], None]


def measure_streams(it: Tunnel, kind: Kind, lengths: Lengths, readings: Readings) -> None:
    """TCP throughput, and what it costs each end; one stream only where the cipher is the point."""
    counts = STREAMS if kind in {USUAL, TCP} else STREAMS[:1]
    with sink(it.lab.office):
        for streams in counts:
            for way in Direction:
                measure = tcp(kind, streams, way.value)
                with readings.attempt(measure.name, it.system):
                    sample = transfer(it.lab, it.ends, way, streams, lengths.seconds)
                    readings.add(measure, it.system, sample.megabits)
                    if it.client is None:
                        continue
                    gigabytes = sample.size / 1e9
                    for end, spent in (
                        ("both ends", sample.client_cpu + sample.server_cpu),
                        ("client", sample.client_cpu),
                        ("server", sample.server_cpu),
                    ):
                        cost = tcp_cpu(kind, streams, way.value, end)
                        readings.add(cost, it.system, spent / gigabytes)


def measure_packets(it: Tunnel, _: Kind, lengths: Lengths, readings: Readings) -> None:
    """Climbs through the rates; what is lost at one is lost at all above it."""
    for size in RATES:
        for way in WAYS:
            measure = best_packets(size, way)
            with readings.attempt(measure.name, it.system):
                readings.add(measure, it.system, _climb(it, way, size, lengths, readings))


def _climb(it: Tunnel, way: str, size: int, lengths: Lengths, readings: Readings) -> float:
    """The most that was delivered with bearable loss."""
    best = 0.0
    for rate in RATES[size]:
        for _ in range(2):  # one hiccup of the machine is not the tunnel's limit
            before = _cpu(it)
            found = datagrams(it, way, size, rate, lengths.datagram_seconds)
            spent = _cpu(it) - before
            if found.lost <= BEARABLE_LOSS:
                break
        readings.add(delivered(size, way, rate), it.system, found.rate)
        readings.add(lost(size, way, rate), it.system, found.lost * 100)
        if it.client is not None and found.received:
            cost = spent / found.received * 1e6
            readings.add(packet_cpu(size, way, rate), it.system, cost)
        if found.lost > BEARABLE_LOSS:
            break
        best = max(best, found.rate)
        if found.sent < OFFERED * rate * found.seconds:
            break
    return best


def measure_round_trips(it: Tunnel, _: Kind, lengths: Lengths, readings: Readings) -> None:
    """Pings while nothing else goes on, and while one stream takes what it can get."""
    with readings.attempt(IDLE_MEDIAN.name, it.system):
        idle = round_trips(it, lengths.pings)
        readings.add(IDLE_MEDIAN, it.system, statistics.median(idle))
        readings.add(IDLE_P99, it.system, _p99(idle))
    for way in Direction:
        with readings.attempt(busy("p99", way.value).name, it.system), sink(it.lab.office):
            argv = [*iperf_client(it.server_address, way, 1, 60), "--forceflush"]
            bulk = it.lab.laptop.spawn(argv, name="bulk")
            try:
                bulk.wait_for("connected to")
                time.sleep(0.5)  # until the stream has found its speed
                times = round_trips(it, lengths.pings)
            finally:
                bulk.stop()
            readings.add(busy("median", way.value), it.system, statistics.median(times))
            readings.add(busy("p99", way.value), it.system, _p99(times))


def measure_memory(it: Tunnel, _: Kind, __: Lengths, readings: Readings) -> None:
    """What the processes had at most, until now: ask after all that makes them work."""
    if it.client is not None:
        client, server = it.peak_memory()
        readings.add(MEMORY, it.system, client + server)
        readings.add(memory("client"), it.system, client)
        readings.add(memory("server"), it.system, server)


def measure_reconnecting(it: Tunnel, _: Kind, __: Lengths, readings: Readings) -> None:
    """A running client that starts over."""
    if it.client is not None:
        with readings.attempt(AGAIN.name, it.system):
            for _round in range(CONNECTS):
                readings.add(AGAIN, it.system, reconnect_time(it))


def measure_starting(lab: Lab, system: str, readings: Readings) -> None:
    """Clients from the start of their process, at the server that their system names."""
    client_name, _, _ = system.partition(" to ")
    with tunnel(lab, system, USUAL) as it, readings.attempt(START.name, system):
        assert it.client is not None
        it.client.stop(expect=None)
        for _ in range(CONNECTS):
            readings.add(START, system, connect_time(lab, client_name))


TUNNEL_ASPECTS: dict[str, Aspect] = {
    "streams": measure_streams,
    "packets": measure_packets,
    "trips": measure_round_trips,
    "memory": measure_memory,
    "reconnect": measure_reconnecting,
}
"""In the order in which they are taken."""


def _cpu(it: Tunnel) -> float:
    return sum(cpu_seconds(end.pid) for end in (it.client, it.server) if end is not None)


def _p99(times: Sequence[float]) -> float:
    return times[min(len(times) - 1, int(len(times) * 0.99))]
