"""One tunnel: ginnel, openvpn, both mixed, and bare cable, interleaved in one run.

    python -m bench.client [--rounds 3] [--systems ginnel,openvpn,...] [--kinds udp,tcp,...]
                           [--parts streams,packets,...]

TCP with one stream and with four, small and large datagrams at several rates, round trips idle and
under load, CPU and memory of each end, how long it takes to connect, and what handshakes and idle
clients cost a server. Needs root, openvpn and iperf3.

ginnel agrees with itself on the epoch data format, with openvpn 2.6 on DATA_V2; ``ginnel-v2`` is
ginnel with DATA_V2 at both ends, ``ginnel-python`` has the Python engine.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.aspects import GOALS, KINDS, TUNNEL_ASPECTS, USUAL, Lengths, measure_starting
from bench.interrupt import tidily
from bench.pages import Settings, save, show
from bench.pairs import BARE, SYSTEMS, Kind, compile_program, tunnel
from bench.readings import OURS, Readings
from bench.report import RESULTS
from bench.server import Sizes, measure_handshakes, measure_idle
from tests.interop.lab.topology import TWO, Lab

BASE = "openvpn"
SERVER_PARTS = ("handshakes", "idle")
PARTS = (*TUNNEL_ASPECTS, "start", *SERVER_PARTS)
EVERYTHING = frozenset(PARTS)
ONCE = frozenset({"idle"})
"""Takes long and varies little."""
ONCE_FOR_OTHERS = frozenset({"packets", "reconnect", "start"})
"""What has no goal for systems other than the two that are compared: one round is enough."""
STREAMS_ONLY = ("ginnel-v2", "ginnel-python")
QUICK_LENGTHS = Lengths(seconds=1, datagram_seconds=0.5, pings=100)
QUICK_SIZES = Sizes(at_once=30, idle=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured, and how long that takes."""

    rounds: int
    systems: Sequence[str]
    kinds: Sequence[Kind]
    parts: frozenset[str] | None
    """None: as many as each system deserves."""
    lengths: Lengths
    sizes: Sizes

    def parts_of(self, system: str, number: int, kind: Kind = USUAL) -> frozenset[str]:
        """The parts that are measured of a system in a round."""
        wanted = EVERYTHING if self.parts is None else self.parts
        if kind != USUAL or (self.parts is None and system in STREAMS_ONLY):
            return wanted & {"streams"}
        if number > 0:
            wanted -= ONCE
            if system not in {OURS, BASE}:
                wanted -= ONCE_FOR_OTHERS
        return wanted

    def has(self, system: str, kind: Kind) -> bool:
        """Whether a system is measured with a kind of tunnel other than the usual."""
        return kind == USUAL or system not in {BARE, *STREAMS_ONLY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One system with one kind of tunnel, in one round."""

    system: str
    kind: Kind
    parts: frozenset[str]


def run(lab: Lab, plan: Plan, readings: Readings) -> None:
    """Every round measures each system once, in turns, so that a slow minute hits all."""
    for number in range(plan.rounds):
        systems = plan.systems if number % 2 == 0 else tuple(reversed(plan.systems))
        for kind in plan.kinds:
            for system in systems:
                if plan.has(system, kind):
                    parts = plan.parts_of(system, number, kind)
                    turn = Turn(system=system, kind=kind, parts=parts)
                    with noted(f"round {number + 1} {system}, {kind.name}", readings):
                        measure(plan, lab, turn, readings)
        for system in systems:
            parts = plan.parts_of(system, number).intersection(SERVER_PARTS)
            if system in {OURS, BASE} and parts:
                with noted(f"round {number + 1} {system} as a server", readings):
                    measure_server(lab, system, plan, parts, readings)


def measure(plan: Plan, lab: Lab, turn: Turn, readings: Readings) -> None:
    """The parts of a turn that are about a tunnel."""
    system, kind, parts = turn.system, turn.kind, turn.parts
    if parts.intersection(TUNNEL_ASPECTS):
        with (
            readings.attempt(f"tunnel with {kind.name}", system),
            tunnel(lab, system, kind) as it,
        ):
            for name, aspect in TUNNEL_ASPECTS.items():
                if name in parts:
                    aspect(it, kind, plan.lengths, readings)
    if "start" in parts and system != BARE:
        with readings.attempt("tunnel to start at", system):
            measure_starting(lab, system, readings)


def measure_server(
    lab: Lab, system: str, plan: Plan, parts: frozenset[str], readings: Readings
) -> None:
    """What many clients cost: ``bench.server`` has more of that."""
    if "handshakes" in parts:
        with readings.attempt("handshakes", system):
            measure_handshakes(lab, system, plan.sizes, readings)
    if "idle" in parts:
        with readings.attempt("idle clients", system):
            measure_idle(lab, system, plan.sizes, readings)


@contextmanager
def noted(title: str, readings: Readings) -> Iterator[None]:
    """Prints what was read, and how long that took."""
    had, begun = len(readings.taken), time.monotonic()
    print(f"{title} ...", flush=True)
    yield
    for it in readings.taken[had:]:
        print(f"  {it.measure.name}: {it.value:.4g} {it.measure.unit}")
    print(f"  {time.monotonic() - begun:.0f} s", flush=True)


@contextmanager
def workplace(readings: Readings) -> Iterator[Path]:
    """A folder for configurations and logs, which stays when something could not be measured."""
    folder = Path(tempfile.mkdtemp(prefix="ginnel-bench-"))
    try:
        yield folder
    finally:
        if readings.gaps:
            print("logs:", folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="One tunnel: ginnel, openvpn, mixed, bare.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, help="length of one transfer, 2")
    parser.add_argument("--quick", action="store_true", help="shows that it runs, in two minutes")
    parser.add_argument(
        "--systems", type=_some_of(SYSTEMS), default=SYSTEMS, help=f"of {', '.join(SYSTEMS)}"
    )
    parser.add_argument("--kinds", type=_some_of(tuple(KINDS)), help=f"of {', '.join(KINDS)}")
    parser.add_argument("--parts", type=_some_of(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the result")
    parser.add_argument("--require", action="store_true", help="fail when a goal is not met")
    return parser.parse_args()


class _some_of:  # noqa: N801  argparse shows the name
    """Reads names with commas between them."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def __call__(self, text: str) -> tuple[str, ...]:
        chosen = tuple(text.split(","))
        for name in chosen:
            if name not in self._names:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(self._names)}")
        return chosen


def plan_of(given: argparse.Namespace) -> Plan:
    lengths = QUICK_LENGTHS if given.quick else Lengths(seconds=given.seconds or Lengths().seconds)
    kinds = given.kinds or (("udp",) if given.quick else tuple(KINDS))
    return Plan(
        rounds=given.rounds,
        systems=given.systems,
        kinds=[KINDS[name] for name in kinds],
        parts=frozenset(given.parts) if given.parts else None,
        lengths=lengths,
        sizes=QUICK_SIZES if given.quick else Sizes(),
    )


def report(plan: Plan, readings: Readings, begun: float, folder: Path, *, complete: bool) -> bool:
    """Prints and keeps what there is; True when no goal was missed."""
    all_met = show(readings, GOALS)
    settings: Settings = {
        "command": " ".join(["python -m bench.client", *sys.argv[1:]]),
        "rounds": plan.rounds,
        "seconds a transfer": plan.lengths.seconds,
        "minutes": round((time.monotonic() - begun) / 60),
        "complete": "yes" if complete else "no",
    }
    if readings.taken:
        print("\nresult:", save(readings, "client", settings, GOALS, folder), flush=True)
    return all_met


def main() -> int:
    given = parse_arguments()
    plan = plan_of(given)
    readings = Readings(base=BASE, bound=BARE)
    compile_program()
    begun, complete, all_met = time.monotonic(), False, False
    with workplace(readings) as folder, Lab(TWO, directory=folder) as lab:
        try:
            run(lab, plan, readings)
            complete = True
        finally:  # kept before all is tidied up, which takes a while
            all_met = report(plan, readings, begun, given.results, complete=complete)
    return int(given.require and not all_met)


if __name__ == "__main__":
    sys.exit(tidily(main))
