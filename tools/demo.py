"""The demonstration: a VPN between isolated network namespaces, explained in plain words.

Runs as ``python -m tools.demo`` (``make demo``): ginnel is the server and every client. With
``--with-openvpn`` (``make demo ARGS=--with-openvpn``) Debian's ``openvpn`` is the server, and one
of the clients. Every statement printed with a mark was checked; exit status 0 means that all held.
Not responsible for building anything, nor for the lab itself (``tests.interop.lab``).
"""

import argparse
import ipaddress
import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.deadlines import DeadlinePassed
from tests.interop.lab import OFFICE_HOST, OFFICE_HOST_V6, Fleet, LabError, Running
from tests.interop.lab.capture import ICMP, UDP, Packet, start_capture
from tests.interop.lab.fleet import GATEWAY, SERVER, client_address
from tests.interop.lab.openvpn import PORT, TUNNEL_SERVER, TUNNEL_SERVER_V6
from tests.interop.lab.snapshot import route_lines
from tools.demo_clients import NAMES, meet_others, move_desk, part, start_client, write_client_files
from tools.demo_story import Story

MTU = 1360
PATTERN = b"ginnel"
THROUGHPUT_SECONDS = 4
STREAM_SIZE = 16 << 20
IPERF_PORT = 5201
DATA_V2 = 0x09
IPV4_HEADER = 20
UDP_HEADER = 8
TUNNEL = "10.10.112.0/20"
TUNNEL_V6 = "fd00:10:112::/64"
SERVER_LINES = (
    "client-to-client",
    "route 172.16.1.0 255.255.255.0",
    'push "route 172.16.1.0 255.255.255.0"',
    'push "route 10.0.0.0 255.0.0.0"',
    'push "route-ipv6 fd00:11::/48"',
    'push "redirect-private"',
    f"tun-mtu {MTU}",
    f'push "tun-mtu {MTU}"',
)


def show_before(story: Story, fleet: Fleet) -> tuple[str, ...]:
    story.chapter("Hosts, each a network namespace of its own")
    story.say("laptop (a branch behind it), desk --+")
    story.say("                                    +-- internet -- server -- office")
    story.say("tablet -- home router (NAT) --------+")
    story.say(f"laptop {client_address(1)}, server {SERVER}; behind it the office, {OFFICE_HOST}.")
    lines = route_lines(fleet.laptop)
    story.chapter("The laptop's routing table before")
    for line in lines:
        story.say(line)
    reached = fleet.laptop.ping(OFFICE_HOST, count=1, wait=1)
    story.check(reached == 0, f"without a tunnel {OFFICE_HOST} does not answer")
    return lines


def make_profiles(story: Story, fleet: Fleet) -> Path:
    """Makes an authority and four profiles as an administrator does; returns their directory."""
    story.chapter("An authority of the office's own, and a profile for everybody")
    office = fleet.directory / "office"
    commands = [
        ["init"],
        ["server", "office", SERVER, "--network", TUNNEL, "--network-ipv6", TUNNEL_V6],
        *(["client", name] for name in NAMES.values()),
    ]
    for command in commands:
        story.say("ginnel pki " + " ".join(command))
        argv = [sys.executable, "-m", "ginnel", "pki", *command, "--directory", str(office)]
        fleet.server.run(argv)
    made = all((office / f"{name}.ovpn").exists() for name in NAMES.values())
    story.check(made, "each profile is one file, with a tls-crypt-v2 key that is its client's only")
    return office


def start_server(story: Story, fleet: Fleet, office: Path, program: str) -> Running:
    """Starts the server with its profile and a few lines of the administrator's."""
    story.chapter(f"The server: {'ginnel' if program == 'ginnel' else 'openvpn of Debian'}")
    etc = fleet.spare_directory("etc", {})
    shutil.copy(office / "crl.pem", etc)
    config = etc / "office.conf"
    own = [f"cd {etc}", *SERVER_LINES, f"client-config-dir {write_client_files(fleet)}"]
    config.write_text("\n".join([(office / "office.conf").read_text(), *own, ""]))
    config.chmod(0o600)
    for line in SERVER_LINES:
        story.say(line)
    server = fleet.run_file(fleet.server, config, fleet.server_command(program), "server")
    server.wait_connected()
    story.check(True, "it has its device, its addresses and its socket, and waits for clients")
    return server


def connect(story: Story, fleet: Fleet, office: Path) -> Running:
    story.chapter("The laptop connects")
    started = time.monotonic()
    client = start_client(fleet, office, 1)
    client.wait_connected()
    seconds = time.monotonic() - started
    tls = re.search(r"Control Channel: (TLSv[\d.]+), cipher (?:TLSv\S+ )?(\S+?),", client.log())
    data = re.search(r"Data Channel: cipher '([^']+)'", client.log())
    if tls and data:
        story.say(f"Control channel: {tls[1]} {tls[2]}, in tls-crypt-v2. Data channel: {data[1]}.")
    story.check(True, f"connected {seconds:.2f} s after the program was started")
    return client


def show_interface(story: Story, fleet: Fleet) -> None:
    story.chapter("The interface")
    entry = fleet.laptop.ip_json("address", "show", "dev", "tun0")[0]
    flags, infos = entry["flags"], entry["addr_info"]
    assert isinstance(flags, list)
    assert isinstance(infos, list)
    addresses = [f"{info['local']}/{info['prefixlen']}" for info in infos]
    story.say(f"tun0  flags {','.join(flags)}  MTU {entry['mtu']}")
    story.say(f"addresses {', '.join(addresses)}")
    wanted = {"POINTOPOINT", "MULTICAST", "NOARP", "UP"}
    story.check(wanted <= set(flags), "point-to-point, without ARP, up")
    story.check("address" not in entry, "no link-layer address: it carries bare IP packets")
    story.check(entry["mtu"] == MTU, f"MTU {MTU}, as the server pushed it")
    tunnel = ipaddress.ip_network(TUNNEL)
    inside = [info for info in infos if ipaddress.ip_address(info["local"]) in tunnel]
    story.check(len(inside) == 1, f"its IPv4 address is in {tunnel}, the server's pool")


def reason_of(line: str) -> str | None:
    """Explains one line that the tunnel added to the routing table; None when nothing does."""
    destination = line.split(maxsplit=1)[0]
    outside = f"{SERVER} via {GATEWAY} dev wlan0"
    reasons = {
        "10.0.0.0/8": "pushed by the server: the office's networks are behind the tunnel",
        "fd00:11::/48": "pushed by the server: the office in IPv6",
        "10.10.112.0/20": "the tunnel's own subnet: the kernel adds it with the address",
        "fd00:10:112::/64": "the tunnel's own subnet in IPv6, likewise",
    }
    if line.startswith(outside):
        return "host route: packets to the VPN server itself must stay outside the tunnel"
    return reasons.get(destination) if "dev tun0" in line else None


def show_routes_during(story: Story, fleet: Fleet, before: Sequence[str]) -> None:
    story.chapter("The routing table during the connection")
    during = route_lines(fleet.laptop)
    unexplained: list[str] = []
    for line in during:
        if line in before:
            story.say(f"  {line}")
            continue
        reason = reason_of(line)
        story.say(f"+ {line}")
        story.say(f"      because: {reason}")
        unexplained += [] if reason else [line]
    story.check(not unexplained, "each new line has a reason")
    story.check(all(line in during for line in before), "no line was taken away")
    via_tunnel = fleet.laptop.route_to(OFFICE_HOST)["dev"] == "tun0"
    story.check(via_tunnel, f"the kernel sends {OFFICE_HOST} into tun0")
    outside = fleet.laptop.route_to(SERVER)["dev"] == "wlan0"
    story.check(outside, f"and {SERVER}, the server, through wlan0")


def show_one_ping(story: Story, fleet: Fleet) -> None:
    """Captures the same ping inside and outside of the tunnel."""
    story.chapter("One ping, captured twice")
    fleet.laptop.wait_ping(OFFICE_HOST)
    inner = start_capture(fleet.laptop, "tun0", f"icmp and host {OFFICE_HOST}", "inner")
    outer = start_capture(fleet.laptop, "wlan0", "ip", "outer")
    answers = fleet.laptop.ping(OFFICE_HOST, count=1, extra=["-p", PATTERN.hex()])
    story.check(answers == 1, f"{OFFICE_HOST} answers")
    inner.wait_packets(2)
    clear = inner.stop()
    inner_size = len(clear[0].payload) + IPV4_HEADER
    outer.wait_packets(2, payload_from=UDP_HEADER + inner_size)
    _show_clear(story, clear)
    _show_sealed(story, fleet, outer.stop(), inner_size)


def _show_clear(story: Story, packets: Sequence[Packet]) -> None:
    request = packets[0]
    story.say(f"tun0:  ICMP echo {request.source} > {request.destination}")
    story.say(f"       {request.payload[:8].hex(' ')} | {request.payload[24:48]!r}")
    right = request.protocol == ICMP and str(request.destination) == OFFICE_HOST
    story.check(right, "on tun0 it is the ping itself, in clear")
    story.check(request.link_header == b"", "with no Ethernet header in front")
    story.check(PATTERN in request.payload, f"its text {PATTERN.decode()!r} can be read")


def _show_sealed(story: Story, fleet: Fleet, packets: Sequence[Packet], inner_size: int) -> None:
    """Shows the outer twin of the ping: the first data packet large enough to hold it."""
    ends = {client_address(1), SERVER}
    only_udp = all(
        p.protocol == UDP and {str(p.source), str(p.destination)} == ends for p in packets
    )
    story.check(only_udp, "on wlan0 there is nothing but UDP between laptop and server")
    data = [
        p for p in packets if len(p.payload) > UDP_HEADER and p.payload[UDP_HEADER] >> 3 == DATA_V2
    ]
    carriers = [p for p in data if len(p.payload) >= UDP_HEADER + inner_size]
    sizes = {end: {len(p.payload) for p in carriers if str(p.source) == end} for end in ends}
    shared = set.intersection(*sizes.values())
    # Whatever else the laptop's kernel says on a new interface goes one way only.
    story.check(len(shared) == 1, "one to and one from the server are as long: ping and answer")
    if not shared:
        return
    packet = next(p for p in carriers if len(p.payload) in shared and str(p.destination) == SERVER)
    source, destination = (int.from_bytes(packet.payload[i : i + 2]) for i in (0, 2))
    body = packet.payload[UDP_HEADER:]
    story.say(
        f"wlan0: UDP {packet.source}:{source} > {packet.destination}:{destination}, "
        f"{len(body)} bytes for a packet of {inner_size}"
    )
    story.say(f"       {body[:24].hex(' ')} ...")
    right = str(packet.destination) == SERVER and destination == PORT
    story.check(right, f"sent to the server, {SERVER} port {PORT}")
    hidden = all(PATTERN not in p.payload for p in packets)
    story.check(hidden, "the text cannot be read in any of them")
    strays = [p for p in packets if OFFICE_HOST in (str(p.source), str(p.destination))]
    story.check(not strays, f"and {OFFICE_HOST} does not show outside")


def show_throughput(story: Story, fleet: Fleet) -> None:
    story.chapter("Throughput")
    serve = fleet.office.spawn(
        ["iperf3", "-s", "--forceflush", "-p", str(IPERF_PORT)], name="iperf3-server"
    )
    try:
        serve.wait_for("Server listening")
        for label, way in (("to the office  ", []), ("from the office", ["-R"])):
            argv = ["iperf3", "-J", "-c", OFFICE_HOST, "-p", str(IPERF_PORT)]
            argv += ["-t", str(THROUGHPUT_SECONDS), *way]
            result = json.loads(fleet.laptop.run(argv, timeout=60).output)
            speed = result["end"]["sum_received"]["bits_per_second"] / 1e6
            story.check(speed > 1, f"TCP {label}  {speed:7.0f} Mbit/s")
    finally:
        serve.stop()
    for label, push in (("to", True), ("from", False)):
        result_ = fleet.stream(OFFICE_HOST_V6 if push else OFFICE_HOST, push=push, size=STREAM_SIZE)
        story.check(
            result_.intact,
            f"{STREAM_SIZE >> 20} MiB {label} the office, equal SHA-256 on both ends "
            f"({result_.received_sha256[:12]}...)",
        )
    story.check(fleet.laptop.ping(TUNNEL_SERVER_V6, count=1) == 1, "IPv6 works inside as well")
    story.check(fleet.laptop.ping(TUNNEL_SERVER, count=1) == 1, "the server's own address answers")


def disconnect(story: Story, fleet: Fleet, client: Running, lines: Sequence[str]) -> None:
    story.chapter("Disconnecting the laptop")
    started = time.monotonic()
    client.send(signal.SIGTERM)
    status = client.process.wait_exit()
    seconds = time.monotonic() - started
    story.check(status == 0, f"SIGTERM: the client ended with status {status} in {seconds:.2f} s")
    fleet.laptop.wait_empty()
    story.check(True, "no process is left on the laptop")
    story.chapter("The laptop's routing table after")
    after = route_lines(fleet.laptop)
    for line in after:
        story.say(line)
    story.check(after == tuple(lines), "line by line as before")
    story.check("tun0" not in fleet.laptop.devices(), "tun0 is gone")
    reached = fleet.laptop.ping(OFFICE_HOST, count=1, wait=1)
    story.check(reached == 0, f"{OFFICE_HOST} does not answer any more")


def end_server(story: Story, fleet: Fleet, server: Running) -> None:
    story.chapter("Ending the server")
    story.check(server.process.stop() == 0, "SIGTERM: the server ended with status 0")
    fleet.end_programs()
    difference = fleet.differences()
    for line in difference:
        story.say(line)
    what = "addresses, routes of all tables, rules and resolver are as before"
    story.check(not difference, f"on the server and on every client, {what}")


def run_demo(story: Story, server_program: str) -> None:
    """Tells the whole story in a fresh lab, which is removed at the end in any case."""
    with Fleet() as fleet:
        lines = show_before(story, fleet)
        try:
            office = make_profiles(story, fleet)
            server = start_server(story, fleet, office, server_program)
            laptop = connect(story, fleet, office)
            show_interface(story, fleet)
            show_routes_during(story, fleet, lines)
            show_one_ping(story, fleet)
            show_throughput(story, fleet)
            others = meet_others(story, fleet, office, server_program)
            move_desk(story, fleet, others[0])
            part(story, fleet, others)
            disconnect(story, fleet, laptop, lines)
            end_server(story, fleet, server)
        except (LabError, DeadlinePassed):
            for name, text in fleet.logs():
                print(f"\n-- end of the log of {name}\n{text}")
            raise


@contextmanager
def interruptible() -> Iterator[None]:
    """Turns SIGTERM into the exception of Ctrl-C, so that the lab is removed in both cases."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument(
        "--with-openvpn",
        action="store_true",
        help="Debian's openvpn is the server, and one of the clients",
    )
    given = parser.parse_args()
    if os.geteuid() != 0:
        print("The demonstration makes network namespaces: please run it as root.")
        return 1
    story = Story()
    started = time.monotonic()
    try:
        with interruptible():
            run_demo(story, "openvpn" if given.with_openvpn else "ginnel")
    except (LabError, DeadlinePassed) as stopped:
        print(f"\nThe demonstration stopped: {stopped}")
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; the namespaces were removed.")
        return 130
    seconds = time.monotonic() - started
    if story.failures:
        print(f"\n{len(story.failures)} of {story.checks} checks failed:")
        for statement in story.failures:
            print(f"  - {statement}")
        return 1
    print(f"\nAll {story.checks} checks held, in {seconds:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
