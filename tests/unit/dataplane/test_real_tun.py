"""Engines on real TUN devices in namespaces: the kernel's own traffic, and a device that goes away.

Needs root and /dev/net/tun, as every run of the test suite does.
"""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_network
from pathlib import Path

import pytest

from ginnel.core.data_key import DataFormat, KeySlot
from ginnel.core.types import Transport
from ginnel.dataplane.api import DataPlane, Link, NotificationKind, PeerConfig, TunDevice
from ginnel.host.tun import DeviceRequest, open_device
from tests.interop.lab.namespaces import Namespace, run_command, unique_name
from tests.interop.lab.process import ROOT, clean_environment
from tests.interop.lab.traffic import StreamResult
from tests.unit.dataplane.inner_packets import udp_packet
from tests.unit.dataplane.rig import (
    PEER,
    Bench,
    endpoint,
    make_key,
    new_plane,
    reversed_key,
    seal,
)

Pair = tuple[str, str]
STREAM = 2 << 20
ADDRESSES = {"left": ("10.8.0.6", "fd00:8::6"), "right": ("10.8.0.1", "fd00:8::1")}


@pytest.fixture
def hosts() -> Iterator[tuple[Namespace, Namespace]]:
    """Two namespaces with nothing but loopback."""
    with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="ginnel-tun-") as directory:
        made = []
        for label in ("left", "right"):
            namespace = Namespace(unique_name(label), label, Path(directory))
            stack.callback(namespace.remove)
            namespace.create()
            made.append(namespace)
        yield made[0], made[1]


def open_in(namespace: Namespace, *, vnet_header: bool) -> TunDevice:
    """A device that is moved into the namespace, up and with its addresses."""
    wanted = DeviceRequest(name=f"gc{os.getpid()}{namespace.label[0]}", vnet_header=vnet_header)
    fd, name = open_device(wanted)
    run_command(["ip", "link", "set", name, "netns", namespace.name])
    for address, length in zip(ADDRESSES[namespace.label], (24, 64), strict=True):
        namespace.ip("address", "add", f"{address}/{length}", "dev", name, "nodad")
    namespace.ip("link", "set", name, "up")
    return TunDevice(fd=fd, name=name, mtu=1500, vnet_header=vnet_header)


def run_while_pumping(planes: list[DataPlane], argv: list[str], timeout: float = 60) -> str:
    """Lets the engines work until the command ends; returns what it printed."""
    poller = select.poll()
    for plane in planes:
        poller.register(plane.fileno(), select.POLLIN)
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=clean_environment()
    ) as command:
        deadline = time.monotonic() + timeout
        while command.poll() is None:
            assert time.monotonic() < deadline, f"{argv} does not end"
            poller.poll(20)
            for plane in planes:
                assert plane.notifications() == []
                assert plane.recv_control(64) == []
        assert command.stdout is not None
        printed = command.stdout.read()
        assert command.returncode == 0, printed
    return printed


def connect(
    made: Bench, pair: Pair, hosts: tuple[Namespace, Namespace], *, vnet_headers: tuple[bool, bool]
) -> list[DataPlane]:
    """Two engines, each on a device in its own namespace, with links over loopback."""
    links = made.udp(), made.udp()
    key = make_key("real", layout=DataFormat.V2)
    planes = []
    for at, engine in enumerate(pair):
        device = open_in(hosts[at], vnet_header=vnet_headers[at])
        plane = new_plane(engine, device)
        os.close(device.fd)
        made.on_close(plane.close)
        plane.attach(Link(fd=links[at].fileno(), transport=Transport.UDP))
        config = PeerConfig(
            peer_id=PEER,
            send_peer_id=PEER,
            remote=endpoint(links[1 - at]),
            mss_ipv4=1300,
            mss_ipv6=1280,
        )
        plane.new_peer(config)
        for prefix in ("0.0.0.0/0", "::/0"):
            plane.add_iroute(PEER, ip_network(prefix))
        plane.new_key(PEER, KeySlot.PRIMARY, reversed_key(key) if at else key)
        planes.append(plane)
    return planes


def traffic(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tests.interop.lab.traffic", *arguments]


@pytest.mark.parametrize(
    "vnet_headers",
    [(True, True), (False, True), (False, False)],
    ids=["vnet", "one-vnet", "plain"],
)
def test_the_kernels_traffic_passes_whole(
    made: Bench, pair: Pair, hosts: tuple[Namespace, Namespace], vnet_headers: tuple[bool, bool]
) -> None:
    planes = connect(made, pair, hosts, vnet_headers=vnet_headers)
    for address in ADDRESSES["right"]:
        for size in (56, 4000):
            ping = ["ping", "-n", "-q", "-c", "3", "-i", "0.05", "-W", "5", "-s", str(size)]
            printed = run_while_pumping(planes, hosts[0].command([*ping, address]))
            assert " 0% packet loss" in printed
    assert_streams_pass(planes, hosts)
    for plane in planes:
        assert not set(dict(plane.stats(PEER).drops)) - {"link-full", "tun-full"}


def test_the_kernel_believes_what_it_is_answered(
    made: Bench, engine: str, hosts: tuple[Namespace, Namespace]
) -> None:
    """Streams whose SYNs promised too much go on, with super-packets of shorter segments."""
    planes = connect(made, (engine, engine), hosts, vnet_headers=(True, True))
    for plane in planes:
        plane.set_path(PEER, (0, 0), 1290)
    assert_streams_pass(planes, hosts)
    for plane in planes:
        assert dict(plane.stats(PEER).drops)["link-emsgsize"] > 0


def test_streams_that_routers_may_cut_are_cut(
    made: Bench, engine: str, hosts: tuple[Namespace, Namespace]
) -> None:
    """Their kernels believe no answer over IPv4, and over IPv6 all."""
    planes = connect(made, (engine, engine), hosts, vnet_headers=(True, True))
    for plane, host in zip(planes, hosts, strict=True):
        host.run(["sysctl", "-qw", "net.ipv4.ip_no_pmtu_disc=1"])
        plane.set_path(PEER, (0, 0), 1290)
    assert_streams_pass(planes, hosts)
    moved = planes[0].stats(PEER)
    assert moved.link_write_packets > moved.tun_read_packets + STREAM // 2000, "two parts of most"


def assert_streams_pass(planes: list[DataPlane], hosts: tuple[Namespace, Namespace]) -> None:
    """One over IPv4 to the right, one over IPv6 to the left."""
    left, right = hosts
    service = right.spawn(traffic("serve", *ADDRESSES["right"]), name="serve")
    try:
        service.wait_for("^ready$")
        for address, way in zip(ADDRESSES["right"], ("push", "pull"), strict=True):
            command = left.command(traffic(way, address, f"--size={STREAM}"))
            result = StreamResult.from_json(run_while_pumping(planes, command))
            assert result.intact
            assert result.size == STREAM
    finally:
        service.stop()


@pytest.mark.parametrize("vnet_header", [False, True], ids=["plain", "vnet"])
def test_a_deleted_device_is_reported_once(
    made: Bench, engine: str, hosts: tuple[Namespace, Namespace], vnet_header: bool
) -> None:
    device = open_in(hosts[0], vnet_header=vnet_header)
    plane = new_plane(engine, device)
    made.on_close(plane.close)
    os.close(device.fd)
    plane.attach(Link(fd=made.udp().fileno(), transport=Transport.UDP))
    poller = select.poll()
    poller.register(plane.fileno(), select.POLLIN)
    while poller.poll(200):  # the kernel's own neighbour discovery
        assert plane.notifications() == []
    hosts[0].ip("link", "delete", device.name)
    kinds: list[NotificationKind] = []
    deadline = time.monotonic() + 40
    while not kinds and time.monotonic() < deadline:
        poller.poll(1000)
        kinds += [report.kind for report in plane.notifications()]
    assert kinds == [NotificationKind.TUN_LOST]
    assert poller.poll(200) == []
    assert plane.notifications() == []


@pytest.mark.parametrize("vnet_header", [False, True], ids=["plain", "vnet"])
def test_a_device_that_is_down_costs_packets_and_nothing_else(
    made: Bench, engine: str, hosts: tuple[Namespace, Namespace], vnet_header: bool
) -> None:
    device = open_in(hosts[0], vnet_header=vnet_header)
    plane = new_plane(engine, device)
    made.on_close(plane.close)
    os.close(device.fd)
    link, far = made.udp(), made.udp()
    plane.attach(Link(fd=link.fileno(), transport=Transport.UDP))
    plane.new_peer(PeerConfig(peer_id=PEER, send_peer_id=PEER, remote=endpoint(far)))
    plane.add_iroute(PEER, ip_network("0.0.0.0/0"))
    key = make_key("down", layout=DataFormat.V2)
    plane.new_key(PEER, KeySlot.PRIMARY, key)
    numbers = iter(range(1, 1000))
    poller = select.poll()
    poller.register(plane.fileno(), select.POLLIN)

    def until(what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 40
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            far.sendto(seal(key, next(numbers), inner), link.getsockname())
            poller.poll(20)
            assert plane.notifications() == []

    address = ADDRESSES["left"][0]
    inner = udp_packet("10.8.0.1", address, b"hello")
    hosts[0].ip("link", "set", device.name, "down")
    until("a refusal", lambda: device_drops(plane) > 0)
    hosts[0].ip("link", "set", device.name, "up")
    counted = received_by(hosts[0], device.name)
    until("a delivery", lambda: received_by(hosts[0], device.name) > counted)


def device_drops(plane: DataPlane) -> int:
    """Packets that the device refused, wherever the engine counts them."""
    found = {**dict(plane.stats(PEER).drops), **plane.unassigned_drops()}
    return sum(count for reason, count in found.items() if reason.startswith("tun-"))


def received_by(namespace: Namespace, device: str) -> int:
    """Packets that the kernel took from the engine."""
    (link,) = json.loads(namespace.ip("-s", "-j", "link", "show", device))
    return int(link["stats64"]["rx"]["packets"])
