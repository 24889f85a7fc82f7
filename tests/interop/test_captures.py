"""What crosses a tunnel, captured on the wires behind and between its ends, and decoded.

The hosts behind the ends cut and join as they like; the captures are of wires on which the kernel
does neither any more. Every checksum and length is right, nothing is too long, no flow changes its
order, and packets that joining could spoil come out as they went in.
"""

import contextlib
from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest

from tests.deadlines import DeadlinePassed, wait_until
from tests.interop.checks import assert_reaches
from tests.interop.lab import OFFICE_HOST, OFFICE_HOST_V6, Fleet, ServerSetup, crafted, traffic
from tests.interop.lab.capture import Capture, Packet, read_pcap, start_capture
from tests.interop.lab.decode import ICMP, ICMPV6, TCP, UDP, Decoded, decode, steps_back
from tests.interop.lab.fleet import BRANCH_HOST, BRANCH_HOST_V6
from tests.interop.lab.namespaces import Namespace
from tests.interop.lab.openvpn import command_of
from tests.interop.lab.process import module_command

LEAST = 10_000
"""Packets each way."""
INNER_MTU = 1500
OUTER_MTU = 1492
"""Where nobody sets ``mssfix``."""
STREAM = 8 << 20
HOPS = 2
"""Both ends of the tunnel forward."""
MIX = [(protocol, is_ipv6) for protocol in (TCP, UDP) for is_ipv6 in (False, True)]
MIX += [(ICMP, False), (ICMPV6, True)]
BRANCH = ("route 172.16.1.0 255.255.255.0", "route-ipv6 fd00:16:1::/64")
PYTHON = f"env GINNEL_ENGINE=python {' '.join(command_of('ginnel'))}"
PAIRS = {
    "ginnel": ("ginnel", "ginnel"),
    "openvpn-client": ("openvpn", "ginnel"),
    "python-client": (PYTHON, "ginnel"),
}


@pytest.fixture(params=PAIRS)
def tunnel(request: pytest.FixtureRequest, fleet: Fleet) -> Fleet:
    """A branch behind the client and an office behind the server; wires without offloads."""
    client, server = PAIRS[request.param]
    connect_branch(fleet, client, server)
    # What is captured shall be what is on a wire: single packets with whole checksums inside, and
    # single datagrams outside.
    for host, device, offload in (
        (fleet.client(1), "lan0", "tx"),
        (fleet.server, "eth1", "tx"),
        (fleet.client(1), "wlan0", "tx-udp-segmentation"),
        (fleet.server, "eth0", "tx-udp-segmentation"),
    ):
        host.run(["ethtool", "-K", device, offload, "off"])
    return fleet


def connect_branch(fleet: Fleet, client: str, server: str, *lines: str) -> None:
    """Connects the client with the branch behind it."""
    ccd = fleet.spare_directory("ccd", {"client1": [f"i{line}" for line in BRANCH]})
    both = [f"client-config-dir {ccd}", *BRANCH, *lines]
    fleet.start_server(ServerSetup(lines=both, program=server))
    fleet.start_client(1, fleet.client_setup(1, program=client, lines=lines))
    for address in (OFFICE_HOST, OFFICE_HOST_V6):
        fleet.branch.wait_ping(address)


def test_what_crosses_is_whole_and_in_order(tunnel: Fleet) -> None:
    check_mix(tunnel)
    check_crafted(tunnel)


def check_mix(tunnel: Fleet) -> None:
    """More than 10,000 packets each way, of all kinds of flows at once."""
    hosts = {"branch": tunnel.branch, "office": tunnel.office}
    inner = {
        name: start_capture(host, "eth0", "ip or ip6", name, arriving=True)
        for name, host in hosts.items()
    }
    outer = [
        start_capture(tunnel.internet, device, "udp port 1194", device, arriving=True)
        for device in ("to-client1", "to-server")
    ]
    before = {name: retransmitted(host) for name, host in hosts.items()}
    run_mix(tunnel)
    for name, capture in inner.items():
        sender = "office" if name == "branch" else "branch"
        captured = capture.stop()
        assert len(captured) >= LEAST
        assert max(len(packet.whole) for packet in captured) <= INNER_MTU
        decoded = [decode(packet.whole) for packet in captured]
        check_order(decoded, retransmitted(hosts[sender]) - before[sender])
    for capture in outer:
        packets = capture.stop()
        assert len(packets) >= LEAST
        assert max(len(packet.whole) for packet in packets) <= OUTER_MTU
        assert not any(is_fragment(packet) for packet in packets)


def run_mix(tunnel: Fleet) -> None:
    """Streams both ways, datagrams small and large, alone and in bursts, and pings: all at once."""
    where = tunnel.branch
    tunnel.serve_traffic()
    running = [
        tunnel.spawn(where, ["ping", "-q", *words.split()], label="ping")
        for words in (
            f"-c 100 -i 0.01 -s 1000 {OFFICE_HOST}",
            f"-c 100 -i 0.01 -s 64 {OFFICE_HOST_V6}",
        )
    ]
    probes = [
        tunnel.start_probe(host, rate=rate, size=size, burst=burst, seconds=1, where=where)
        for host, rate, size, burst in (
            (OFFICE_HOST, 1500, 64, 1),
            (OFFICE_HOST, 480, 1200, 16),
            (OFFICE_HOST_V6, 480, 1352, 8),
        )
    ]
    streams = [
        tunnel.start_stream(host, push=push, size=STREAM, where=where)
        for host in (OFFICE_HOST, OFFICE_HOST_V6)
        for push in (True, False)
    ]
    for stream in streams:
        assert tunnel.stream_result(stream).intact
    for probe in probes:
        result = tunnel.probe_result(probe)
        assert result.echoed > 0
        assert (result.duplicated, result.damaged) == (0, 0)
    for ping in running:
        assert ping.wait_exit(10) == 0


def check_order(packets: list[Decoded], resent: int) -> None:
    """No packet overtook another one of its flow, and flows of all kinds were there."""
    flows: defaultdict[object, list[Decoded]] = defaultdict(list)
    for packet in packets:
        flows[packet.flow].append(packet)
    seen: Counter[tuple[int, bool]] = Counter()
    for flow in flows.values():
        first = flow[0]
        data = [packet for packet in flow if packet.payload]
        seen[first.protocol, first.is_ipv6] += len(flow)
        if first.protocol == TCP and not first.is_ipv6:
            # Linux counts up over all packets of a connection, those sent again as well.
            assert steps_back((packet.identity for packet in data), 16) == 0
        elif first.protocol == TCP:
            assert steps_back((packet.sequence for packet in data), 32) <= resent
        elif first.protocol == UDP and traffic.PORT in first.ports:
            numbers = (traffic.PROBE.unpack_from(packet.payload)[1] for packet in data)
            assert steps_back(numbers, 64) == 0
    assert min(seen[kind] for kind in MIX) >= 50, seen


def test_what_does_not_fit_is_answered(fleet: Fleet) -> None:
    """A tunnel narrower than what is behind it; TCP finds that out, where nothing clamps it."""
    connect_branch(fleet, "ginnel", "ginnel", "tun-mtu 1400", "mssfix 0")
    for address, answer in ((OFFICE_HOST, r"mtu = 1400"), (OFFICE_HOST_V6, r"mtu=1400")):
        ping = ["ping", "-n", "-c", "1", "-W", "1", "-M", "do", "-s", "1452", address]
        assert answer in fleet.branch.run(ping, check=False).output
    check_streams(fleet)


@pytest.mark.parametrize("client", ["ginnel", PYTHON], ids=["rust", "python"])
def test_narrow_path_between_the_ends(fleet: Fleet, client: str) -> None:
    """A router says that datagrams are too long: they are cut from then on."""
    ends = ((fleet.internet, "to-server"), (fleet.server, "eth0"))
    for host, device in ends:
        host.ip("link", "set", device, "mtu", "1300")
    try:
        connect_branch(fleet, client, "ginnel")
        check_streams(fleet)
        assert_reaches(fleet.branch)
    finally:
        for host, device in ends:
            host.ip("link", "set", device, "mtu", "1500")


def check_streams(fleet: Fleet) -> None:
    """A stream each way, of both families."""
    streams = [
        fleet.start_stream(host, push=push, size=1 << 20, where=fleet.branch)
        for host, push in ((OFFICE_HOST, True), (OFFICE_HOST_V6, False))
    ]
    for stream in streams:
        assert fleet.stream_result(stream).intact


def is_fragment(packet: Packet) -> bool:
    return bool(int.from_bytes(packet.whole[6:8], "big") & 0x3FFF)


def retransmitted(host: Namespace) -> int:
    """How many segments of TCP a host has sent again."""
    names, values = (
        line.split()
        for line in host.run(["cat", "/proc/net/snmp"]).output.splitlines()
        if line.startswith("Tcp:")
    )
    return int(values[names.index("RetransSegs")])


def check_crafted(tunnel: Fleet) -> None:
    """Each one as it was, but for its hops, and in the order of its flow; wrong ones stay wrong."""
    branch, office = (BRANCH_HOST, BRANCH_HOST_V6), (OFFICE_HOST, OFFICE_HOST_V6)
    ways = (
        (tunnel.branch, tunnel.client(1), "lan0", tunnel.office, zip(branch, office, strict=True)),
        (tunnel.office, tunnel.server, "eth1", tunnel.branch, zip(office, branch, strict=True)),
    )
    sent = []
    for number, (host, router, device, target, ends) in enumerate(ways, 1):
        packets = crafted.mixed(list(ends), number * 20_000, seed=number)
        name = f"{target.label}-crafted"
        capture = start_capture(target, "eth0", "ip or ip6", name, arriving=True)
        sent.append((capture, packets))
        path = tunnel.spare_file("packets", *(packet.hex() for _, packet in packets))
        router_mac = str(router.ip_json("link", "show", "dev", device)[0]["address"])
        argv = module_command("crafted", "eth0", router_mac, str(path))
        tunnel.spawn(host, argv, label="crafted")
    for capture, packets in sent:
        check_arrival(capture, packets)


def check_arrival(capture: Capture, packets: Sequence[tuple[int, bytes]]) -> None:
    """Waits for all packets, which come with the number of their flow, and compares the flows."""
    sent: defaultdict[int, list[bytes]] = defaultdict(list)
    for flow, packet in packets:
        sent[flow].append(crafted.forwarded(packet, HOPS))
    flow_of = {packet: flow for flow, sequence in sent.items() for packet in sequence}

    def arrived() -> list[bytes]:
        return [found.whole for found in read_pcap(capture.path) if found.whole in flow_of]

    with contextlib.suppress(DeadlinePassed):  # what is missing says more
        wait_until(lambda: len(arrived()) >= len(packets), timeout=8.0, what="all packets")
    capture.stop()
    found: defaultdict[int, list[bytes]] = defaultdict(list)
    for packet in arrived():
        found[flow_of[packet]].append(packet)
    for flow, expected in sent.items():
        assert Counter(found[flow]) == Counter(expected), f"packets of flow {flow} are missing"
        assert found[flow] == expected, f"flow {flow} changed its order"
