"""A ginnel client against an openvpn server, and openvpn at both ends, interleaved in one run.

    python -m bench.client [--rounds 3] [--seconds 5] [--client "COMMAND ..."]

TCP with one stream and with four, both ways, with the CPU share of each end. ``--client`` is the
command in front of OpenVPN's options. Needs root, openvpn and iperf3.
"""

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.measure import Direction, Ends, Sample, start_sink, transfer
from bench.report import RESULTS, Expectation, ratio, save, select, show
from tests.interop.lab.openvpn import OPENVPN, TUNNEL_SERVER, ServerSetup
from tests.interop.lab.topology import TWO, Lab

STREAMS = (1, 4)
GINNEL = (sys.executable, "-m", "ginnel", "openvpn")


@contextmanager
def tunnel(lab: Lab, system: str, program: Sequence[str], cipher: str) -> Iterator[Ends]:
    """An openvpn server in user space, and the client in front of it."""
    server = lab.start_server(
        ServerSetup(ciphers=(cipher,), push_office=False, verb=1, lines=("disable-dco",))
    )
    try:
        setup = lab.client_setup(ciphers=(cipher,), verb=1, lines=("disable-dco",))
        client = lab.start_client(setup, program=program)
        try:
            yield Ends(
                system=system,
                client_pid=client.pid,
                server_pid=server.pid,
                target=TUNNEL_SERVER,
            )
        finally:
            client.stop()
    finally:
        server.stop()


def expectations(samples: list[Sample], system: str) -> list[Expectation]:
    """Throughput against the openvpn client; past it, the openvpn server is what limits."""
    return [
        Expectation(
            what=f"{system} over openvpn as client, {streams} stream(s) {direction.value}",
            ratio=ratio(
                select(samples, system, direction, streams),
                select(samples, "openvpn", direction, streams),
                lambda it: it.megabits,
            ),
            at_least=1.2,
        )
        for streams in STREAMS
        for direction in Direction
    ]


def run(lab: Lab, system: str, program: Sequence[str], given: argparse.Namespace) -> list[Sample]:
    """Takes the samples: every round runs each client once, so that a slow minute hits both."""
    samples = []
    sink = start_sink(lab.office)
    try:
        for number in range(1, given.rounds + 1):
            for name, command in ((system, program), ("openvpn", (OPENVPN,))):
                with tunnel(lab, name, command, given.cipher) as ends:
                    lab.laptop.wait_ping(ends.target)
                    for streams in STREAMS:
                        for direction in Direction:
                            sample = transfer(lab, ends, direction, streams, given.seconds)
                            samples.append(sample)
                            print(
                                f"round {number} {name:<10} {streams} {direction.value:<5}"
                                f"{sample.megabits:8.0f} Mbit/s"
                                f"  client {sample.client_cpu / sample.seconds:4.0%}"
                                f"  server {sample.server_cpu / sample.seconds:4.0%}",
                                flush=True,
                            )
    finally:
        sink.stop()
    return samples


def main() -> int:
    parser = argparse.ArgumentParser(description="A client against an openvpn server.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="length of one transfer")
    parser.add_argument("--cipher", default="AES-256-GCM")
    parser.add_argument("--client", default=shlex.join(GINNEL), help="the client under test")
    parser.add_argument("--name", default="ginnel", help="its name in the result")
    parser.add_argument(
        "--require", action="store_true", help="fail when an expectation is not met"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the result")
    given = parser.parse_args()
    program = shlex.split(given.client)
    with Lab(TWO) as lab:
        samples = run(lab, given.name, program, given)
    found = expectations(samples, given.name)
    show(found, samples)
    settings: dict[str, str | int] = {
        "rounds": given.rounds,
        "seconds": given.seconds,
        "cipher": given.cipher,
        "client": shlex.join((Path(program[0]).name, *program[1:])),
    }
    print("\nresult:", save("client", settings, found, samples, given.results))
    return 1 if given.require and not all(it.met for it in found) else 0


if __name__ == "__main__":
    sys.exit(main())
