"""Two bare engines with fixed keys against openvpn at both ends, interleaved in one run.

    python -m bench.engines [--rounds 3] [--seconds 5] [--engine rust]

One TCP stream each way between two namespaces. Needs root, openvpn and iperf3.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.interrupt import tidily
from bench.measure import Direction, Ends, Sample, sink, transfer
from bench.report import RESULTS, Expectation, ratio, save, select, show
from ginnel.dataplane.choose import find_problem
from tests.interop.lab.openvpn import OPENVPN, TUNNEL_SERVER, ServerSetup
from tests.interop.lab.process import Process
from tests.interop.lab.topology import LAPTOP, TWO, Lab

CLIENT_ADDRESS = "10.10.112.2"
LENGTH = 20
LINK_PORT = 5555
DEVICE = "tun0"


@contextmanager
def openvpn_tunnel(lab: Lab, cipher: str) -> Iterator[Ends]:
    """A real openvpn at both ends, in user space."""
    userland = ("disable-dco",)
    server = lab.start_server(
        ServerSetup(ciphers=(cipher,), push_office=False, verb=1, lines=userland)
    )
    try:
        setup = lab.client_setup(ciphers=(cipher,), verb=1, lines=userland)
        client = lab.start_client(setup, program=(OPENVPN,))
        try:
            yield Ends(
                system="openvpn",
                client_pid=client.pid,
                server_pid=server.pid,
                target=TUNNEL_SERVER,
            )
        finally:
            client.stop()
    finally:
        server.stop()


@contextmanager
def engine_tunnel(lab: Lab, cipher: str, engine: str) -> Iterator[Ends]:
    """Two of our engines; the addresses and the MTU are those of the openvpn tunnel."""
    with ExitStack() as stack:
        processes: list[Process] = []
        for host, remote, address in (
            (lab.office, LAPTOP, TUNNEL_SERVER),
            (lab.laptop, lab.server, CLIENT_ADDRESS),
        ):
            command = [sys.executable, "-m", "bench.engine_peer", "--engine", engine]
            command += ["--device", DEVICE, "--port", str(LINK_PORT), "--remote", remote]
            command += ["--cipher", cipher]
            command += ["--server"] if host is lab.office else []
            process = host.spawn(command, name=f"engine-{host.label}")
            stack.callback(process.stop)
            process.wait_for("^ready$")
            host.ip("address", "add", f"{address}/{LENGTH}", "dev", DEVICE)
            host.ip("link", "set", DEVICE, "up")
            processes.append(process)
        yield Ends(
            system=f"ginnel-{engine}",
            client_pid=processes[1].pid,
            server_pid=processes[0].pid,
            target=TUNNEL_SERVER,
        )


def expectations(samples: list[Sample], system: str) -> list[Expectation]:
    """Throughput and CPU of one stream against openvpn's, for each direction."""
    found = []
    for direction in Direction:
        ours = select(samples, system, direction, 1)
        theirs = select(samples, "openvpn", direction, 1)
        way = f"{system} over openvpn, one stream {direction.value}"
        found += [
            Expectation(
                what=f"{way}: throughput",
                ratio=ratio(ours, theirs, lambda it: it.megabits),
                at_least=6.0,
            ),
            Expectation(
                what=f"{way}: bytes a CPU second",
                ratio=1 / ratio(ours, theirs, lambda it: it.cpu_per_gigabyte),
                at_least=6.0,
            ),
        ]
    return found


def run(lab: Lab, engine: str, cipher: str, rounds: int, seconds: int) -> list[Sample]:
    """Takes the samples: every round runs each system once, so that a slow minute hits both."""
    samples = []
    with sink(lab.office):
        for number in range(1, rounds + 1):
            for tunnel in (engine_tunnel(lab, cipher, engine), openvpn_tunnel(lab, cipher)):
                with tunnel as ends:
                    lab.laptop.wait_ping(ends.target)
                    for direction in Direction:
                        sample = transfer(lab, ends, direction, 1, seconds)
                        samples.append(sample)
                        print(
                            f"round {number} {sample.system:<14} {direction.value:<5}"
                            f"{sample.megabits:8.0f} Mbit/s"
                            f" {sample.cpu_per_gigabyte:6.2f} CPU s/GB",
                            flush=True,
                        )
    return samples


def main() -> int:
    parser = argparse.ArgumentParser(description="Bare engines against openvpn.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="length of one transfer")
    parser.add_argument("--engine", choices=["rust", "python"])
    parser.add_argument("--cipher", default="AES-256-GCM")
    parser.add_argument(
        "--require", action="store_true", help="fail when an expectation is not met"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the result")
    given = parser.parse_args()
    problem = find_problem()
    engine = given.engine or ("python" if problem else "rust")
    if problem and not given.engine:
        print(f"{problem}: measuring the Python engine, which is not expected to meet the ratios")
    with Lab(TWO) as lab:
        samples = run(lab, engine, given.cipher, given.rounds, given.seconds)
    found = expectations(samples, f"ginnel-{engine}")
    show(found, samples)
    settings: dict[str, str | int] = {
        "rounds": given.rounds,
        "seconds": given.seconds,
        "cipher": given.cipher,
        "engine": engine,
    }
    print("\nresult:", save("engines", settings, found, samples, given.results))
    return 1 if given.require and not all(it.met for it in found) else 0


if __name__ == "__main__":
    sys.exit(tidily(main))
