"""What a packet costs a server with one peer and with a thousand.

    python -m bench.peers [--peers 1000] [--rounds 3] [--seconds 3]

Two bare engines with fixed keys, as in ``bench.engines``, each of which knows all peers by an
address of their own. The same datagrams are spread over all peers in turns: in bursts of 32 to one
peer, as a bulk transfer sends them, and one by one. Needs root.
"""

import argparse
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from pathlib import Path

from bench.engine_peer import open_link
from bench.interrupt import tidily
from bench.measure import Direction, cpu_seconds
from bench.pages import Settings, save, show
from bench.readings import Goal, Measure, Readings
from bench.report import RESULTS
from bench.shards import add_peer, open_plane, stay
from ginnel.core.types import Endpoint, Transport
from ginnel.dataplane.api import DataPlane, Link, ServingRules
from tests.interop.lab.namespaces import Namespace
from tests.interop.lab.process import LabError, Process
from tests.interop.lab.topology import LAPTOP, TWO, Lab

DEVICE = "many0"
LINK_PORT = 5555
PORT = 5310
SERVER_NETWORK, PEER_NETWORK = IPv4Address("10.111.0.0"), IPv4Address("10.112.0.0")
"""Each peer has one address of each, so that both ends can tell whose a packet is."""
SIZE = 1200
RATES = {32: 50_000.0, 1: 20_000.0}
"""Datagrams a second, by how many go to one peer before the next one's turn."""
ONE = "1 peer"
BUFFER = 8 << 20
SO_RCVBUFFORCE, SO_SNDBUFFORCE = 33, 32
UDP_SEGMENT, UDP_GRO = 103, 104
PACE_SECONDS = 0.0001
"""Bursts keep apart, so that two in a row to the only peer are not joined on the way."""
MOST_AT_ONCE = 128
IDLE_SECONDS = 0.5
BEARABLE_LOSS = 0.02


def cost(burst: int, way: Direction) -> Measure:
    name = f"server CPU a packet, {burst} in a row, {way.value}"
    return Measure(name=name, unit="µs", more_is_better=False)


def goals(peers: int) -> tuple[Goal, ...]:
    """Only of bursts: single datagrams to one peer are joined on the way, those to many are not."""
    many = name_of(peers)
    return tuple(Goal(measure=cost(max(RATES), way), limit=1.1, system=many) for way in Direction)


def end(remote: str, peers: int, *, is_server: bool) -> list[DataPlane]:
    """One end of all tunnels."""
    plane = open_plane(DEVICE)
    with open_link(LINK_PORT) as link:
        plane.serve(ServingRules())
        plane.attach(Link(fd=link.fileno(), transport=Transport.UDP))
    far = PEER_NETWORK if is_server else SERVER_NETWORK
    for peer in range(1, peers + 1):
        place = Endpoint(ip_address(remote), LINK_PORT)
        add_peer(plane, peer, place, f"{far + peer}/32", is_server=is_server)
    return [plane]


def send(way: Direction, peers: int, burst: int, seconds: float) -> int:
    """Sends at the rate, a burst to each peer in turns; returns how many datagrams."""
    near, far = SERVER_NETWORK, PEER_NETWORK
    if way is Direction.UP:
        near, far = far, near
    with ExitStack() as stack:
        sockets = []
        for peer in range(1, peers + 1):
            sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, BUFFER)
            sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, SIZE)
            sock.bind((str(near + peer), 0))
            sock.connect((str(far + peer), PORT))
            sockets.append(sock)
        payload = bytes(SIZE * burst)
        payload = bytes(SIZE * burst)
        begun, sent, due = time.monotonic(), 0, 0
        while (now := time.monotonic() - begun) < seconds:
            before, due = due, int(now * RATES[burst] / burst)
            # What was missed by a moment without the processor would overflow the device's queue.
            for _ in range(min(due - before, MOST_AT_ONCE // burst)):
                sockets[sent % peers].send(payload)
                sent += 1
            time.sleep(PACE_SECONDS)
        return sent * burst


def receive() -> int:
    """Counts datagrams until none has come for a while."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
        sock.bind(("0.0.0.0", PORT))
        print("ready", flush=True)
        room = bytearray(65536)
        sock.settimeout(20.0)
        total = 0
        try:
            while True:
                total += sock.recv_into(room)
                sock.settimeout(IDLE_SECONDS)
        except TimeoutError:
            return total // SIZE


@contextmanager
def tunnels(lab: Lab, peers: int) -> Iterator[Process]:
    """Both ends; gives the server's process."""
    with ExitStack() as stack:
        made = []
        for host, role, remote, near, far in (
            (lab.office, "server", LAPTOP, SERVER_NETWORK, PEER_NETWORK),
            (lab.laptop, "clients", lab.server, PEER_NETWORK, SERVER_NETWORK),
        ):
            process = host.spawn([*_command(role, peers), "--remote", remote], name=role)
            stack.callback(process.stop)
            process.wait_for("^ready$")
            host.ip("link", "set", DEVICE, "up")
            # All addresses of a network that the loopback device has are the host's own.
            host.ip("address", "replace", f"{near}/16", "dev", "lo")
            host.ip("route", "add", f"{far}/16", "dev", DEVICE)
            made.append(process)
        yield made[0]


def _command(role: str, peers: int) -> list[str]:
    return [sys.executable, "-m", "bench.peers", "--role", role, "--peers", str(peers)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is sent, and to how many peers."""

    peers: int
    burst: int
    way: Direction
    seconds: float

    @property
    def system(self) -> str:
        return name_of(self.peers)

    def carry(self, lab: Lab, server: Process) -> float:
        """Microseconds of the server's CPU a packet. Raises LabError when many are lost."""
        hosts: Sequence[Namespace] = (lab.laptop, lab.office)
        source, target = hosts if self.way is Direction.UP else reversed(hosts)
        sink = target.spawn(_command("receive", self.peers), name="sink")
        try:
            sink.wait_for("^ready$")
            before = cpu_seconds(server.pid)
            words = ["--way", self.way.value, "--burst", str(self.burst)]
            words += ["--seconds", f"{self.seconds:g}"]
            command = [*_command("send", self.peers), *words]
            sent = int(source.run(command, timeout=self.seconds + 60).output)
            spent = cpu_seconds(server.pid) - before
            sink.wait_exit(30.0)
            arrived = int(sink.log_text().splitlines()[-1])
        finally:
            sink.stop()
        if arrived < sent * (1 - BEARABLE_LOSS):
            raise LabError(f"of {sent} datagrams {arrived} arrived: the machine is too busy")
        return spent / arrived * 1e6


def name_of(peers: int) -> str:
    return ONE if peers == 1 else f"{peers:,} peers"


def measure(lab: Lab, peers: int, seconds: float, readings: Readings) -> None:
    """Takes every reading with so many peers."""
    with tunnels(lab, peers) as server:
        for burst in RATES:
            for way in Direction:
                load = Load(peers=peers, burst=burst, way=way, seconds=seconds)
                what = cost(burst, way)
                with readings.attempt(what.name, load.system):
                    found = load.carry(lab, server)
                    readings.add(what, load.system, found)
                    print(f"{load.system}: {what.name}: {found:.3f} {what.unit}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="What a packet costs with one peer and with many.")
    parser.add_argument("--peers", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one measurement")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the result")
    parser.add_argument("--require", action="store_true", help="fail when a goal is not met")
    roles = ("server", "clients", "send", "receive")
    parser.add_argument("--role", choices=roles, help=argparse.SUPPRESS)
    parser.add_argument("--remote", help=argparse.SUPPRESS)
    parser.add_argument("--way", type=Direction, default=Direction.UP, help=argparse.SUPPRESS)
    parser.add_argument("--burst", type=int, default=1, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.role in {"server", "clients"}:
        stay(end(given.remote, given.peers, is_server=given.role == "server"))
    if given.role == "send":
        print(send(given.way, given.peers, given.burst, given.seconds))
        return 0
    if given.role == "receive":
        print(receive(), flush=True)
        return 0
    readings = Readings(base=ONE)
    with Lab(TWO) as lab:
        for number in range(given.rounds):
            for peers in (1, given.peers) if number % 2 == 0 else (given.peers, 1):
                measure(lab, peers, given.seconds, readings)
    all_met = show(readings, goals(given.peers))
    settings: Settings = {
        "peers": given.peers,
        "rounds": given.rounds,
        "seconds": f"{given.seconds:g}",
        "bytes a datagram": SIZE,
        "datagrams a second": ", ".join(f"{rate:g} by {burst}" for burst, rate in RATES.items()),
    }
    print("\nresult:", save(readings, "peers", settings, goals(given.peers), given.results))
    return int(given.require and not all_met)


if __name__ == "__main__":
    sys.exit(tidily(main))
