"""What is done to packets beside sealing them: compression framing, fragments, rules, limits."""

import re
import signal
from pathlib import Path

import pytest

from tests.deadlines import wait_until
from tests.interop.checks import Address, addresses, assert_carries, link
from tests.interop.lab import OFFICE_HOST, OFFICE_HOST_V6, Lab, Running, ServerSetup
from tests.interop.lab.capture import start_capture
from tests.interop.lab.openvpn import OPENVPN, TUNNEL_SERVER, TUNNEL_SERVER_V6

ZEROS = 20


def counters(lab: Lab, client: Running) -> dict[str, int]:
    """The client's own counters, from the statistics it logs for SIGUSR2."""
    since = client.mark()
    client.send(signal.SIGUSR2)
    client.wait_for(r"TCP/UDP read bytes", since=since)
    client.wait_for(r"END", since=since)
    found = re.findall(r"((?:TUN/TAP|TCP/UDP) \w+ bytes),(\d+)", client.log(since))
    return {name: int(value) for name, value in found}


def start(lab: Lab, server: list[str], client: list[str]) -> Running:
    lab.start_server(ServerSetup(lines=server))
    return lab.start_client(lab.client_setup(lines=client))


# --- compression framing -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "client"),
    [
        (["allow-compression yes", "comp-lzo yes"], ["comp-lzo yes"]),
        (["allow-compression yes", "compress lz4"], ["compress lz4"]),
        (
            ["allow-compression yes", "compress lz4-v2", 'push "compress lz4-v2"'],
            ["allow-compression asym"],
        ),
    ],
    ids=["lzo", "lz4", "pushed lz4-v2"],
)
def test_a_server_that_compresses(lab: Lab, server: list[str], client: list[str]) -> None:
    """Packets of one value come compressed, which the link's counters show, and go out plain."""
    running = start(lab, server, client)
    assert_carries(lab)
    before = counters(lab, running)
    zeros = ("-p", "00")
    got = lab.laptop.ping(OFFICE_HOST, count=ZEROS, interval=0.02, size=1300, extra=zeros)
    assert got == ZEROS
    after = counters(lab, running)
    moved = {name: after[name] - before[name] for name in after}
    assert moved["TUN/TAP write bytes"] >= ZEROS * 1300
    assert moved["TCP/UDP read bytes"] < ZEROS * 400
    assert moved["TCP/UDP write bytes"] >= ZEROS * 1300


@pytest.mark.parametrize(
    ("server", "client"),
    [
        (["comp-lzo no"], ["comp-lzo no"]),
        (["compress", 'push "compress"'], []),
        (["compress stub-v2", 'push "compress stub-v2"'], []),
    ],
    ids=["comp-lzo no", "pushed stub", "pushed stub-v2"],
)
def test_framing_alone(lab: Lab, server: list[str], client: list[str]) -> None:
    running = start(lab, server, client)
    assert_carries(lab)
    assert "header byte" not in running.log()
    lab.serve_traffic()
    for push in (True, False):
        assert lab.stream(OFFICE_HOST, push=push, size=4 << 20).intact


def test_compression_that_was_not_allowed(lab: Lab) -> None:
    """The server pushes compression although this client did not say that it takes it."""
    lab.start_server(
        ServerSetup(lines=["allow-compression yes", "compress lz4", 'push "compress lz4"'])
    )
    client = lab.client_process(lab.client_setup())
    client.wait_for("server pushed compression settings that are not allowed")
    client.wait_for(r"SIGUSR1\[soft,process-push-msg-failed")


def test_ends_that_disagree_are_told(lab: Lab) -> None:
    """The server frames, the client does not: one warning with the remedy, and no traffic."""
    lab.start_server(ServerSetup(lines=["comp-lzo no"], keepalive="1 10"))
    client = lab.start_client(lab.client_setup())
    client.wait_for("has the framing of comp-lzo.*add 'comp-lzo no' here")
    assert "'comp-lzo' is present in remote config but missing in local config" in client.log()


# --- fragment ----------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", [[], ["comp-lzo no"]], ids=["plain", "framed"])
def test_fragments_both_ways(lab: Lab, extra: list[str]) -> None:
    """No datagram is longer than was asked for, and everything arrives."""
    lines = ["fragment 1000", "mssfix 0", *extra]
    running = start(lab, lines, lines)
    # The capture shall see single datagrams, not what the kernel cuts in the end.
    for namespace, device in ((lab.laptop, "wlan0"), (lab.office, "eth0")):
        namespace.run(["ethtool", "-K", device, "tx-udp-segmentation", "off"])
    capture = start_capture(lab.office, "eth0", "udp port 1194", "fragments")
    assert_carries(lab)
    lab.serve_traffic()
    for push in (True, False):
        assert lab.stream(OFFICE_HOST, push=push, size=1 << 20).intact
    packets = capture.stop()
    assert packets
    assert max(len(packet.payload) for packet in packets) <= 1000 + 8
    assert "mtu-dynamic" not in running.log()


@pytest.mark.parametrize("narrow", [False, True], ids=["whole path", "narrow path"])
def test_mtu_test_tells_what_passes(lab: Lab, narrow: bool) -> None:
    if narrow:
        rule = "add rule ip narrow in ip length 1300-1600 udp dport 1194 drop"
        chain = "add chain ip narrow in { type filter hook input priority 0; }"
        lab.office.run(["nft", f"add table ip narrow; {chain}; {rule}"])
    client = start(lab, [], ["mtu-test"])
    client.wait_for(
        r"Empirical MTU test completed \[Tried,Actual\] local->remote=\[1524,(\d+)\]", timeout=30
    )
    found = re.search(r"local->remote=\[1524,(\d+)\] remote->local=\[(\d+),\2\]", client.log())
    assert found is not None
    if narrow:
        assert 1000 < int(found[1]) < 1300
        client.wait_for("unable to accommodate a UDP packet size of 1524")
    else:
        assert int(found[1]) >= 1524


# --- rules about packets -----------------------------------------------------------------------


def test_client_nat_as_the_server_sees_it(lab: Lab) -> None:
    """The client's own address and the office's are other ones on the client's side."""
    pushed = [
        'push "client-nat snat 10.10.112.0 255.255.240.0 172.20.112.0"',
        'push "client-nat dnat 10.99.5.0 255.255.255.0 10.11.5.0"',
        'push "route 10.99.5.0 255.255.255.0"',
        "route 172.20.112.0 255.255.240.0",
        f"client-config-dir {_ccd(lab, 'iroute 172.20.112.0 255.255.240.0')}",
    ]
    start(lab, pushed, [])
    seen = start_capture(lab.office, "tun0", "icmp", "nat")
    assert lab.laptop.ping("10.99.5.19", count=3, interval=0.05) == 3
    asked = [packet for packet in seen.stop() if str(packet.destination) == OFFICE_HOST]
    assert len(asked) == 3
    assert all(str(packet.source).startswith("172.20.") for packet in asked)


def _ccd(lab: Lab, text: str) -> Path:
    directory = lab.directory / "ccd"
    directory.mkdir()
    (directory / "laptop").write_text(text + "\n")
    return directory


def test_block_ipv6_answers_and_leaks_nothing(lab: Lab) -> None:
    """IPv6 gets an error at once, from the tunnel's other end; IPv4 goes on."""
    start(lab, ['push "block-ipv6"'], [])
    assert_carries(lab, ipv6=False)
    outside = start_capture(lab.office, "tun0", "ip6", "leak")
    answer = lab.laptop.run(["ping", "-c", "1", "-W", "5", OFFICE_HOST_V6], check=False)
    assert f"From {TUNNEL_SERVER_V6}" in answer.output
    assert "unreachable" in answer.output.lower()
    assert lab.laptop.ping(TUNNEL_SERVER, count=1, interval=0.05) == 1
    sources = {str(packet.destination) for packet in outside.stop()}
    assert OFFICE_HOST_V6 not in sources


def test_passtos_marks_the_outer_packet(lab: Lab) -> None:
    start(lab, [], ["passtos"])
    lab.laptop.wait_ping(OFFICE_HOST)
    capture = start_capture(lab.office, "eth0", "udp port 1194 and ip[1] == 0xb8", "tos")
    lab.laptop.run(["ping", "-c", "3", "-i", "0.05", "-Q", "0xb8", OFFICE_HOST])
    capture.wait_packets(3)
    packets = capture.stop()
    assert len(packets) == 3
    assert {str(packet.destination) for packet in packets} == {lab.server}


def test_shaper_holds_back_what_is_sent(lab: Lab) -> None:
    """Of many packets sent at once only those within the limit leave at first; none is refused."""
    client = start(lab, ['push "shaper 4000"'], [])
    lab.laptop.wait_ping(OFFICE_HOST)
    before = counters(lab, client)
    lab.laptop.ping(OFFICE_HOST, count=20, interval=0.002, size=1000, wait=1)
    after = counters(lab, client)
    assert after["TCP/UDP write bytes"] - before["TCP/UDP write bytes"] < 15_000

    def drained() -> bool:
        return counters(lab, client)["TUN/TAP read bytes"] - before["TUN/TAP read bytes"] >= 20_000

    wait_until(drained, timeout=40, what="the packets that were held back")


# --- tap ---------------------------------------------------------------------------------------

BRIDGE = "10.10.112.1"
BRIDGE_V6 = "fd00:10:112::1"
MAC = "02:00:5e:00:53:2a"


def test_tap_into_a_bridged_office(lab: Lab) -> None:
    """Ethernet from end to end: both families, ARP and neighbours, a route behind the bridge."""
    office = lab.office
    office.ip("link", "add", "br0", "type", "bridge")
    office.ip("address", "add", f"{BRIDGE}/24", "dev", "br0")
    office.ip("address", "add", f"{BRIDGE_V6}/64", "dev", "br0", "nodad")
    office.ip("link", "set", "br0", "up")
    office.ip("tuntap", "add", "dev", "tap7", "mode", "tap")
    office.ip("link", "set", "tap7", "master", "br0", "up")
    config = lab.directory / "bridge.conf"
    pki = lab.pki
    config.write_text(
        "\n".join(
            [
                "dev tap7",
                f"server-bridge {BRIDGE} 255.255.255.0 10.10.112.50 10.10.112.60",
                f"ca {pki.authority.cert}",
                f"cert {pki.server.cert}",
                f"key {pki.server.key}",
                "dh none",
                f"tls-crypt {pki.static_key()}",
                'push "route 10.11.0.0 255.255.0.0"',
                f'push "ifconfig-ipv6 fd00:10:112::50/64 {BRIDGE_V6}"',
                "keepalive 2 10",
                "verb 4",
            ]
        )
        + "\n"
    )
    process = office.spawn([OPENVPN, "--config", str(config)], name="bridge")
    server = Running(process=process, config=config)
    server.wait_for("Initialization Sequence Completed")
    client = lab.start_client(lab.client_setup(device="tap0", lines=[f"lladdr {MAC}"]))
    assert link(lab, "tap0")["address"] == MAC
    assert addresses(lab, "tap0")["inet"] == Address(local="10.10.112.50", prefix=24, peer=None)
    for target in (BRIDGE, BRIDGE_V6, OFFICE_HOST):
        lab.laptop.wait_ping(target)
        assert lab.laptop.ping(target, count=3, interval=0.05, size=1400) == 3
    assert lab.laptop.route_to(OFFICE_HOST)["gateway"] == BRIDGE
    neighbours = lab.laptop.ip_json("neigh", "show", "dev", "tap0")
    assert {str(entry["dst"]) for entry in neighbours} >= {BRIDGE, BRIDGE_V6}
    assert MAC in office.ip("neigh", "show", "dev", "br0")
    lab.serve_traffic()
    for push in (True, False):
        assert lab.stream(OFFICE_HOST, push=push, size=4 << 20).intact
    client.stop()
    server.stop(expect=0)
    office.ip("link", "del", "br0")
    office.ip("link", "del", "tap7")
