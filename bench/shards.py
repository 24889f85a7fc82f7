"""One engine for all peers against two that share them: what a second thread could win at most.

    python -m bench.shards [--peers 10] [--rounds 3] [--seconds 4]

Bare engines with fixed keys, as in ``bench.engines``, and one TCP stream a peer. Two engines share
nothing, neither peers nor sockets nor locks, so that no way of dividing one engine's work does
better than they. Needs root.
"""

import argparse
import os
import select
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path

from bench.engine_peer import MSS, MTU, fixed_key, open_link
from bench.interrupt import tidily
from bench.measure import Direction, Sample, cpu_seconds
from bench.report import RESULTS, Expectation, ratio, save, show
from bench.report import select as select_samples
from ginnel.core.data_key import DataCipher, KeySlot
from ginnel.core.types import Endpoint, PeerId, Transport
from ginnel.dataplane.api import DataPlane, Link, PeerConfig, ServingRules, TunDevice
from ginnel.dataplane.choose import open_data_plane
from ginnel.host.tun import DeviceRequest, open_device
from tests.interop.lab.process import Process
from tests.interop.lab.topology import LAPTOP, TWO, Lab

CIPHER = DataCipher.AES_256_GCM
ENGINE = "rust"
SERVER = "10.10.112.1"
STREAM_PORT = 5300
FIRST_PORT = 5555
"""Of the first shard; the next ones follow."""
PEER_PORT = 7000
SHARDS = (1, 2)


def address_of(peer: int) -> str:
    return f"10.10.112.{10 + peer}"


def open_plane(device: str) -> DataPlane:
    fd, name = open_device(DeviceRequest(name=device, vnet_header=True))
    try:
        tun = TunDevice(fd=fd, name=name, mtu=MTU, vnet_header=True)
        return open_data_plane(tun, engine=ENGINE)[0]
    finally:
        os.close(fd)


def add_peer(plane: DataPlane, peer: int, remote: Endpoint, route: str, *, is_server: bool) -> None:
    peer_id = PeerId(peer)
    plane.new_peer(PeerConfig(peer_id=peer_id, send_peer_id=peer_id, remote=remote, mss_ipv4=MSS))
    plane.add_iroute(peer_id, ip_network(route))
    plane.new_key(peer_id, KeySlot.PRIMARY, fixed_key(CIPHER, is_server=is_server))


def serve(shard: int, peers: Sequence[int]) -> list[DataPlane]:
    """One engine with some of the peers."""
    plane = open_plane(f"shard{shard}")
    with open_link(FIRST_PORT + shard) as link:
        plane.serve(ServingRules())
        plane.attach(Link(fd=link.fileno(), transport=Transport.UDP))
    for peer in peers:
        remote = Endpoint(ip_address(LAPTOP), PEER_PORT + peer)
        add_peer(plane, peer, remote, address_of(peer), is_server=True)
    return [plane]


def join(server: str, shards: int, peers: Sequence[int]) -> list[DataPlane]:
    """An engine for each peer."""
    planes = []
    for peer in peers:
        plane = open_plane(f"peer{peer}")
        with open_link(PEER_PORT + peer) as link:
            plane.attach(Link(fd=link.fileno(), transport=Transport.UDP))
        remote = Endpoint(ip_address(server), FIRST_PORT + peer % shards)
        add_peer(plane, peer, remote, "0.0.0.0/0", is_server=False)
        planes.append(plane)
    return planes


def stay(planes: Sequence[DataPlane]) -> None:
    """Does what the shell does, until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    poller = select.poll()
    for plane in planes:
        poller.register(plane.fileno(), select.POLLIN)
    print("ready", flush=True)
    while True:
        poller.poll()
        for plane in planes:
            for report in plane.notifications():
                print(report, flush=True)
            plane.recv_control(64)


@contextmanager
def tunnels(lab: Lab, shards: int, peers: int) -> Iterator[tuple[list[Process], Process]]:
    """The engines of the server and, in one process, those of all peers."""
    command = [sys.executable, "-m", "bench.shards", "--peers", str(peers)]
    with ExitStack() as stack:
        servers = []
        for shard in range(shards):
            arguments = ["--serve", str(shard), "--shards", str(shards)]
            process = lab.office.spawn([*command, *arguments], name=f"shard{shard}")
            stack.callback(process.stop)
            process.wait_for("^ready$")
            lab.office.ip("link", "set", f"shard{shard}", "up")
            servers.append(process)
        lab.office.ip("address", "add", f"{SERVER}/32", "dev", "shard0")
        arguments = ["--join", lab.server, "--shards", str(shards)]
        clients = lab.laptop.spawn([*command, *arguments], name="peers")
        stack.callback(clients.stop)
        clients.wait_for("^ready$")
        for peer in range(peers):
            name, own = f"peer{peer}", f"{address_of(peer)}/32"
            lab.laptop.ip("address", "add", own, "peer", SERVER, "dev", name)
            lab.laptop.ip("link", "set", name, "up")
            via = f"shard{peer % shards}"
            lab.office.ip("route", "add", own, "dev", via, "src", SERVER)
        yield servers, clients


def measure(lab: Lab, shards: int, peers: int, way: Direction, seconds: int) -> Sample:
    """Moves one stream a peer; prints how evenly they shared."""
    streams = [sys.executable, "-m", "bench.streams"]
    target = [SERVER, str(STREAM_PORT)]
    with tunnels(lab, shards, peers) as (servers, clients), ExitStack() as stack:
        sink = lab.office.spawn([*streams, "serve", *target], name="sink")
        stack.callback(sink.stop)
        sink.wait_for("^ready$")
        load = os.getloadavg()[0]
        before = sum(cpu_seconds(one.pid) for one in servers), cpu_seconds(clients.pid)
        devices = [f"peer{peer}" for peer in range(peers)]
        drive = [*streams, "drive", *target, way.value, str(seconds), *devices]
        output = lab.laptop.run(drive, timeout=seconds + 60).output
        after = sum(cpu_seconds(one.pid) for one in servers), cpu_seconds(clients.pid)
    moved: list[int] = [int(count) for count in output.strip().strip("[]").split(",")]
    sample = Sample(
        system=f"{shards} engine{'s' if shards > 1 else ''}",
        direction=way,
        streams=peers,
        seconds=seconds,
        size=sum(moved),
        client_cpu=after[1] - before[1],
        server_cpu=after[0] - before[0],
        load=load,
    )
    share = min(moved) * peers / sum(moved)
    print(
        f"{sample.system:<10} {way.value:<5} {sample.megabits:8.0f} Mbit/s, least over mean"
        f" {share:.2f}, CPU of the server {sample.server_cpu:.2f} s, of the peers"
        f" {sample.client_cpu:.2f} s",
        flush=True,
    )
    return sample


def expectations(samples: list[Sample], peers: int) -> list[Expectation]:
    """What two engines carry over what one does; there is nothing that must be reached."""
    return [
        Expectation(
            what=f"two engines over one, {peers} streams {way.value}: throughput",
            ratio=ratio(
                select_samples(samples, "2 engines", way, peers),
                select_samples(samples, "1 engine", way, peers),
                lambda it: it.megabits,
            ),
            at_least=0.0,
        )
        for way in Direction
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="One engine for all peers, or several.")
    parser.add_argument("--peers", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="length of one measurement")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the result")
    parser.add_argument("--serve", type=int, metavar="SHARD", help=argparse.SUPPRESS)
    parser.add_argument("--join", metavar="SERVER", help=argparse.SUPPRESS)
    parser.add_argument("--shards", type=int, default=1, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve is not None:
        stay(serve(given.serve, range(given.serve, given.peers, given.shards)))
    if given.join is not None:
        stay(join(given.join, given.shards, range(given.peers)))
    samples = []
    with Lab(TWO) as lab:
        for _ in range(given.rounds):
            for shards in SHARDS:
                samples += [
                    measure(lab, shards, given.peers, way, given.seconds) for way in Direction
                ]
    found = expectations(samples, given.peers)
    show(found, samples)
    settings: dict[str, str | int] = {
        "peers": given.peers,
        "rounds": given.rounds,
        "seconds": given.seconds,
        "cipher": CIPHER.value,
    }
    print("\nresult:", save("shards", settings, found, samples, given.results))
    return 0


if __name__ == "__main__":
    sys.exit(tidily(main))
