"""Engines on links that do not take what they would like to send: too narrow, or too slow.

A narrow link makes the kernel refuse segmentation on send, a slow one fills the socket's buffer.
Needs root and /dev/net/tun, as every run of the test suite does.
"""

import ctypes
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_network
from pathlib import Path

import pytest

from ginnel.core.data_key import DataFormat, KeySlot
from ginnel.core.types import Transport
from ginnel.dataplane.api import DataPlane, Link, PeerConfig, TunDevice
from ginnel.host.tun import DeviceRequest, open_device
from tests.interop.lab.namespaces import Namespace, run_command, unique_name
from tests.interop.lab.process import ROOT, clean_environment
from tests.interop.lab.traffic import StreamResult
from tests.unit.dataplane.rig import (
    PEER,
    Bench,
    endpoint,
    make_key,
    new_plane,
    reversed_key,
)

STREAM = 3 << 20
INNER = ("10.8.0.6", "10.8.0.1")
OUTER = ("192.0.2.10", "192.0.2.1")
LINK = "gbl0"
NEW_NETWORK = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


class Pair:
    """Two namespaces joined by a veth link, each with an engine on a device of its own."""

    def __init__(self, made: Bench, hosts: tuple[Namespace, Namespace]) -> None:
        self.made = made
        self.hosts = hosts
        self.planes: list[DataPlane] = []

    def join(self, *, mtu: int, rate: str | None) -> None:
        near, far = self.hosts
        create = ["ip", "link", "add", LINK, "netns", near.name, "type", "veth"]
        run_command([*create, "peer", "name", LINK, "netns", far.name])
        for host, address in zip(self.hosts, OUTER, strict=True):
            host.ip("address", "add", f"{address}/24", "dev", LINK)
            host.ip("link", "set", LINK, "mtu", str(mtu), "up")
            if rate is not None:
                shape = ["tbf", "rate", rate, "burst", "32kb", "latency", "1s"]
                host.run(["tc", "qdisc", "add", "dev", LINK, "root", *shape])

    def open(self, engine: str, *, send_buffer: int | None = None) -> None:
        links = [socket_in(host, address) for host, address in zip(self.hosts, OUTER, strict=True)]
        key = make_key("links", layout=DataFormat.V2)
        for at, link in enumerate(links):
            self.made.on_close(link.close)
            if send_buffer is not None:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
            device = self._device(at)
            plane = new_plane(engine, device)
            os.close(device.fd)
            self.made.on_close(plane.close)
            plane.attach(Link(fd=link.fileno(), transport=Transport.UDP))
            remote = endpoint(links[1 - at])
            plane.new_peer(PeerConfig(peer_id=PEER, send_peer_id=PEER, remote=remote))
            plane.add_iroute(PEER, ip_network("0.0.0.0/0"))
            plane.new_key(PEER, KeySlot.PRIMARY, reversed_key(key) if at else key)
            self.planes.append(plane)

    def stream(self, way: str) -> StreamResult:
        """One TCP stream of STREAM bytes from the first host to the second or back."""
        traffic = [sys.executable, "-m", "tests.interop.lab.traffic"]
        service = self.hosts[1].spawn([*traffic, "serve", INNER[1]], name=f"serve-{way}")
        try:
            service.wait_for("^ready$")
            command = self.hosts[0].command([*traffic, way, INNER[1], f"--size={STREAM}"])
            return StreamResult.from_json(self._run(command))
        finally:
            service.stop()

    def drops(self) -> set[str]:
        return {reason for plane in self.planes for reason, _ in plane.stats(PEER).drops}

    def _device(self, at: int) -> TunDevice:
        host = self.hosts[at]
        fd, name = open_device(DeviceRequest(name=f"gb{os.getpid()}{at}", vnet_header=True))
        run_command(["ip", "link", "set", name, "netns", host.name])
        host.ip("address", "add", f"{INNER[at]}/24", "dev", name)
        host.ip("link", "set", name, "up")
        return TunDevice(fd=fd, name=name, mtu=1500, vnet_header=True)

    def _run(self, argv: list[str]) -> str:
        """Lets the engines work until the command ends; returns what it printed."""
        poller = select.poll()
        for plane in self.planes:
            poller.register(plane.fileno(), select.POLLIN)
        environment = clean_environment()
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        ) as command:
            deadline = time.monotonic() + 60
            while command.poll() is None:
                assert time.monotonic() < deadline, f"{argv} does not end"
                poller.poll(20)
                for plane in self.planes:
                    assert plane.notifications() == []
                    assert plane.recv_control(64) == []
            assert command.stdout is not None
            return command.stdout.read()


def socket_in(host: Namespace, address: str) -> socket.socket:
    """A bound UDP socket of the namespace; only a thread that then ends ever enters it."""
    made: list[socket.socket] = []

    def make() -> None:
        with Path(f"/run/netns/{host.name}").open("rb") as namespace:
            assert LIBC.setns(namespace.fileno(), NEW_NETWORK) == 0, ctypes.get_errno()
        link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        link.bind((address, 0))
        link.setblocking(False)
        made.append(link)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


@pytest.fixture
def joined(made: Bench) -> Iterator[Pair]:
    with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="ginnel-links-") as directory:
        hosts = []
        for label in ("near", "far"):
            host = Namespace(unique_name(label), label, Path(directory))
            stack.callback(host.remove)
            host.create()
            hosts.append(host)
        yield Pair(made, (hosts[0], hosts[1]))
        made.close()


@pytest.mark.parametrize("way", ["push", "pull"])
def test_an_ordinary_link_carries_a_stream_with_every_offload(
    joined: Pair, engine: str, way: str
) -> None:
    joined.join(mtu=1600, rate=None)
    joined.open(engine)
    result = joined.stream(way)
    assert (result.intact, result.size) == (True, STREAM)
    assert not joined.drops() - {"link-full"}
    device = {"tun-tso", "tun-uso"} if engine == "rust" else {"tun-join"}
    wanted = {*device, "udp-gso", "udp-gro"}
    for plane in joined.planes:
        assert plane.capabilities.offloads == wanted


@pytest.mark.parametrize("way", ["push", "pull"])
def test_a_link_narrower_than_the_packets_still_carries_them(
    joined: Pair, engine: str, way: str
) -> None:
    joined.join(mtu=1400, rate=None)
    joined.open(engine)
    result = joined.stream(way)
    assert (result.intact, result.size) == (True, STREAM)
    assert not joined.drops() - {"link-full"}


def test_a_slow_link_holds_the_device_back_instead_of_losing_packets(
    joined: Pair, engine: str
) -> None:
    joined.join(mtu=1600, rate="100mbit")
    joined.open(engine, send_buffer=32 << 10)
    result = joined.stream("push")
    assert (result.intact, result.size) == (True, STREAM)
    # The reference drops what a full socket does not take; the compiled engine waits for room.
    allowed = set() if engine == "rust" else {"link-full"}
    assert not joined.drops() - allowed
