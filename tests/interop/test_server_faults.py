"""What goes wrong around a server: hostile clients, floods, full disks, scripts that hang or die.

A client that did nothing wrong is served through all of it, and each fault is told, but not a
thousand times. With GINNEL_INTEROP_SERVER=openvpn those scenarios hold that the real server
survives without help.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.server_lab import resident_kib
from tests.interop.checks import addresses, assert_reaches
from tests.interop.lab import OFFICE_HOST, Fleet, Process, Running, ServerSetup
from tests.interop.lab.fleet import SERVER
from tests.interop.lab.openvpn import PORT

PATIENT = ServerSetup(keepalive="2 60", verb=3)
LINES_OF_ONE_FAULT = 60
"""What garbage of seconds may add to a log; one line a packet would be thousands."""


def start_hostile(
    fleet: Fleet, what: str, *, seconds: float, rate: int, protocol: str = "udp"
) -> Process:
    """Starts the hostile program at client 2 and waits until it has begun."""
    config = fleet.spare_file(
        "hostile.ovpn", fleet.client_setup(2, protocol=protocol).render(fleet.pki)
    )
    argv = [sys.executable, "-m", "tests.interop.lab.hostile", str(config), SERVER, str(PORT), what]
    numbers = [f"--seconds={seconds}", f"--rate={rate}"]
    process = fleet.spawn(fleet.client(2), [*argv, *numbers], label=what)
    process.wait_for("^connected$", timeout=40)
    return process


def result(process: Process) -> dict[str, int]:
    assert process.wait_exit(60) == 0, process.tail()
    found: dict[str, int] = json.loads(process.log_text().splitlines()[-1])
    return found


def lost_pings(fleet: Fleet, number: int, *, count: int = 40) -> int:
    return count - fleet.client(number).ping(OFFICE_HOST, count=count, interval=0.05)


def start_served(fleet: Fleet, setup: ServerSetup = PATIENT, protocol: str = "udp") -> Running:
    server = fleet.start_server(setup)
    fleet.start_client(3, fleet.client_setup(3, protocol=protocol))
    assert_reaches(fleet.client(3))
    return server


def test_garbage_from_a_client_that_is_in(fleet: Fleet) -> None:
    """Sealed well and senseless inside, or senseless outside, or senseless words: dropped."""
    server = start_served(fleet)
    before = resident_kib(server.pid)
    lines = len(server.log().splitlines())
    hostile = start_hostile(fleet, "garbage", seconds=2.5, rate=4000)
    assert lost_pings(fleet, 3) == 0
    counts = result(hostile)
    assert counts["sent"] > 1000
    assert counts["said"] > 12
    assert server.process.status is None
    assert_reaches(fleet.client(3))
    assert len(server.log().splitlines()) - lines < LINES_OF_ONE_FAULT + 100
    assert resident_kib(server.pid) - before < 20_000


def test_a_flood_of_first_packets(fleet: Fleet) -> None:
    """Noise, cut packets and real ones replayed: who is connected notices nothing."""
    server = start_served(fleet)
    before = resident_kib(server.pid)
    lines = len(server.log().splitlines())
    flood = start_hostile(fleet, "flood", seconds=2.5, rate=20_000)
    assert lost_pings(fleet, 3) == 0
    assert result(flood)["sent"] > 5000
    assert len(server.log().splitlines()) - lines < 20 * LINES_OF_ONE_FAULT
    assert resident_kib(server.pid) - before < 20_000
    fleet.start_client(1)
    assert_reaches(fleet.client(1))


JUNK = """
import json, os, signal, socket, struct, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.connect((sys.argv[1], int(sys.argv[2])))
cut = [(socket.IPPROTO_UDP, 103, struct.pack("@H", 60))]  # 50 datagrams of 60 bytes at once
over = []
signal.signal(signal.SIGTERM, lambda *_: over.append(True))
# Noise, data of nobody, and first and later control packets of sessions that do not exist.
heads = [b"", bytes([9 << 3, 0, 0, 77]), bytes([7 << 3]), bytes([10 << 3]), bytes([4 << 3])]
began, sent = time.monotonic(), 0
while not over:
    head = heads[sent // 50 % len(heads)]
    body = b"".join((head + os.urandom(60))[:60] for _ in range(50))
    try:
        sock.sendmsg([body], cut)
    except OSError:  # an ICMP error, a full queue
        continue
    sent += 50
    time.sleep(max(began + sent / 100_000 - time.monotonic(), 0))
print(json.dumps({"sent": sent, "rate": int(sent / (time.monotonic() - began))}))
"""


def test_a_client_gets_in_through_a_flood_of_junk(fleet: Fleet) -> None:
    """A hundred thousand datagrams a second: who is in stays in, who comes gets in."""
    server = start_served(fleet)
    before = resident_kib(server.pid)
    lines = len(server.log().splitlines())
    argv = [sys.executable, "-c", JUNK, SERVER, str(PORT)]
    flood = fleet.spawn(fleet.client(2), argv, label="junk")
    assert lost_pings(fleet, 3) < 10
    fleet.start_client(1)
    fleet.client(1).wait_ping(OFFICE_HOST)
    assert flood.status is None, "it went on all the time"
    flood.send(signal.SIGTERM)
    assert result(flood)["sent"] > 50_000
    assert resident_kib(server.pid) - before < 20_000
    assert len(server.log().splitlines()) - lines < LINES_OF_ONE_FAULT + 60
    assert_reaches(fleet.client(3))


def test_half_open_connections_by_the_thousand(fleet: Fleet) -> None:
    """They are closed when their time is over, and meanwhile others come in as ever."""
    setup = replace(PATIENT, protocol="tcp-server", lines=["hand-window 4"])
    server = start_served(fleet, setup, "tcp-client")
    hostile = start_hostile(fleet, "half-open", seconds=30, rate=1500, protocol="tcp-client")
    fleet.start_client(1, fleet.client_setup(1, protocol="tcp-client"))
    assert_reaches(fleet.client(1))
    assert result(hostile)["closed"] == 1500
    assert_reaches(fleet.client(3))
    assert server.process.status is None


FLOOD = """
import socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(20_000):
    sock.sendto(bytes(1000), (sys.argv[1], 9))
    if number % 50 == 0:
        time.sleep(0.005)
"""


def test_a_tcp_client_that_reads_nothing(fleet: Fleet) -> None:
    """What waits for it is bounded and the rest dropped; nobody else waits, and it recovers."""
    server = start_served(fleet, replace(PATIENT, protocol="tcp-server"), "tcp-client")
    stopped = fleet.start_client(1, fleet.client_setup(1, protocol="tcp-client"))
    assert_reaches(fleet.client(1))
    address = addresses(fleet, where=fleet.client(1))["inet"].local
    before = resident_kib(server.pid)
    stopped.send(signal.SIGSTOP)
    try:
        flood = fleet.spawn(fleet.office, [sys.executable, "-c", FLOOD, address], label="flood")
        # The kernel's queue in front of the server's device is shared, and may overflow.
        assert lost_pings(fleet, 3) < 10
        assert flood.wait_exit(60) == 0
        assert lost_pings(fleet, 3, count=5) == 0
        assert resident_kib(server.pid) - before < 20_000
    finally:
        stopped.send(signal.SIGCONT)
    assert_reaches(fleet.client(1))


@contextmanager
def full_disk(directory: Path) -> Iterator[Path]:
    """A file system without room for a single byte more."""
    directory.mkdir()
    options = ["-o", "size=8k,mode=0755"]
    subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(directory)], check=True)
    try:
        filler = os.open(directory / "filler", os.O_WRONLY | os.O_CREAT)
        with contextlib.suppress(OSError):
            while True:
                os.write(filler, bytes(512))
        os.close(filler)
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def test_no_room_for_files_of_state(fleet: Fleet) -> None:
    """The files are not written, which is said once; clients are served as ever."""
    with full_disk(fleet.directory / "full") as full:
        status, persist = full / "status", full / "pool"
        lines = [f"status {status} 1", f"ifconfig-pool-persist {persist} 1"]
        server = start_served(fleet, replace(PATIENT, lines=lines))
        server.wait_for("No space left on device")
        fleet.start_client(1)
        for number in (1, 3):
            assert_reaches(fleet.client(number))
        assert server.process.status is None
        fleet.end_programs()
        assert server.process.count("No space left on device") < 10


def script(fleet: Fleet, name: str, *lines: str) -> Path:
    path = fleet.spare_file(name, "#!/bin/sh", *lines)
    path.chmod(0o755)
    return path


def test_scripts_that_hang_or_die_stop_nobody_else(fleet: Fleet) -> None:
    connect = script(
        fleet,
        "connect.sh",
        '[ "$common_name" = client1 ] && exec sleep 60',
        '[ "$common_name" = client2 ] && kill -KILL $$',
        "exit 0",
    )
    setup = replace(PATIENT, lines=[f"client-connect {connect}"])
    server = fleet.start_server(setup)
    hangs = fleet.client_process(1)
    dies = fleet.client_process(2)
    fleet.start_client(3)
    assert_reaches(fleet.client(3))
    dies.wait_for("AUTH_FAILED")
    server.wait_for(r"client2/\S+ .*client-connect|WARNING: .*client-connect")
    assert "Initialization Sequence Completed" not in hangs.log()
    hangs.stop(expect=None)
