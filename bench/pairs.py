"""Tunnels between two ends of either program, and what is asked of one that is up.

Responsible for starting the ends and for single readings. Which are taken is ``client``'s business.
"""

import compileall
import json
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import ginnel
from bench.measure import Ends, family
from tests.deadlines import wait_until
from tests.interop.lab.namespaces import Namespace
from tests.interop.lab.openvpn import COMPLETED, OPENVPN, TUNNEL_SERVER, Running, ServerSetup
from tests.interop.lab.process import LabError
from tests.interop.lab.topology import LAPTOP, Lab

GINNEL = (sys.executable, "-m", "ginnel", "openvpn")
PROGRAMS: dict[str, Sequence[str]] = {
    "ginnel": GINNEL,
    "ginnel-v2": (sys.executable, "-m", "bench.data_v2", "openvpn"),
    "ginnel-python": ("env", "GINNEL_ENGINE=python", *GINNEL),
    "openvpn": (OPENVPN,),
}
BARE = "bare"
SYSTEMS = (
    *("ginnel", "openvpn", "ginnel to openvpn", "openvpn to ginnel"),
    *("ginnel-v2", "ginnel-python", BARE),
)
"""Client to server; one name stands for both ends. The last is the cable without a tunnel."""

DATAGRAM_PORT = 5220
STARTED_WITHIN = 20.0
RETRY_SECONDS = 1.0
"""What the lab's clients have for ``connect-retry``."""


def compile_program() -> None:
    """Compiles our modules, as an installation does: the lab's programs do not keep that."""
    for folder in (Path(ginnel.__file__).parent, Path(__file__).parent):
        compileall.compile_dir(folder, quiet=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One sort of tunnel."""

    cipher: str = "AES-256-GCM"
    protocol: str = "udp"
    lines: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        return f"{self.cipher}, {self.protocol.upper()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    """A tunnel that is up. ``client`` and ``server`` are None for bare cable."""

    lab: Lab
    system: str
    client: Running | None
    server: Running | None
    client_address: str
    server_address: str

    @property
    def ends(self) -> Ends:
        """As ``measure.transfer`` takes it; without a process nothing is counted."""
        return Ends(
            system=self.system,
            client_pid=self.client.pid if self.client else 0,
            server_pid=self.server.pid if self.server else 0,
            target=self.server_address,
        )

    def peak_memory(self) -> tuple[float, float]:
        """Most resident memory of client and server so far, in MiB."""
        assert self.client is not None
        assert self.server is not None
        return _peak(self.client.pid) / 1024, _peak(self.server.pid) / 1024


@contextmanager
def tunnel(lab: Lab, system: str, kind: Kind) -> Iterator[Tunnel]:
    """A tunnel between the programs that the system names, in user space."""
    if system == BARE:
        yield Tunnel(
            lab=lab,
            system=system,
            client=None,
            server=None,
            client_address=LAPTOP,
            server_address=lab.server,
        )
        return
    client_name, _, server_name = system.partition(" to ")
    lines = ("disable-dco", *kind.lines)
    setup = ServerSetup(
        ciphers=(kind.cipher,), protocol=kind.protocol, push_office=False, verb=1, lines=lines
    )
    config = lab.directory / "bench-server.conf"
    config.write_text(setup.render(lab.pki))
    argv = [*PROGRAMS[server_name or client_name], "--config", str(config)]
    process = lab.start_in_office(argv, label="server")
    server = Running(process=process, config=config, label="server")
    try:
        server.wait_connected()
        wanted = lab.client_setup(
            ciphers=(kind.cipher,), protocol=kind.protocol, verb=1, lines=lines
        )
        client = lab.start_client(wanted, program=PROGRAMS[client_name])
        try:
            lab.laptop.wait_ping(TUNNEL_SERVER)
            yield Tunnel(
                lab=lab,
                system=system,
                client=client,
                server=server,
                client_address=_address(lab.laptop),
                server_address=TUNNEL_SERVER,
            )
        finally:
            client.stop(expect=None)
    finally:
        server.stop(expect=None)


def _address(host: Namespace) -> str:
    found = re.search(r"inet ([0-9.]+)", host.ip("-4", "address", "show", "dev", "tun0"))
    if found is None:
        raise LabError("tun0 has no address")
    return found.group(1)


def _peak(pid: int) -> int:
    total = 0
    for member in family(pid):
        try:
            status = Path(f"/proc/{member}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if found := re.search(r"VmHWM:\s+(\d+)", status):
            total += int(found.group(1))
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of datagrams at a rate. ``sent`` may be less than the rate asked for."""

    sent: int
    received: int
    seconds: float

    @property
    def lost(self) -> float:
        """The part that did not arrive."""
        return 1 - self.received / self.sent if self.sent else 1.0

    @property
    def rate(self) -> float:
        """Datagrams a second that arrived."""
        return self.received / self.seconds


def datagrams(it: Tunnel, way: str, size: int, rate: float, seconds: float) -> Delivery:
    """Sends datagrams through the tunnel, up from the client or down to it."""
    up = way == "up"
    source, target = (it.lab.laptop, it.lab.office) if up else (it.lab.office, it.lab.laptop)
    address = it.server_address if up else it.client_address
    command = [sys.executable, "-m", "bench.datagrams"]
    receiver = target.spawn(
        [*command, "receive", address, str(DATAGRAM_PORT)], name="datagrams-receive"
    )
    try:
        receiver.wait_for("^ready$")
        numbers = [str(DATAGRAM_PORT), str(size), f"{rate:g}", f"{seconds:g}"]
        output = source.run([*command, "send", address, *numbers], timeout=seconds + 30).output
        receiver.wait_exit(30.0)
        sent = json.loads(output.splitlines()[-1])
        received = json.loads(receiver.log_text().splitlines()[-1])
    finally:
        receiver.stop()
    return Delivery(sent=sent["sent"], received=received["received"], seconds=sent["seconds"])


def round_trips(it: Tunnel, count: int) -> list[float]:
    """Sorted round-trip times of pings through the tunnel, in microseconds."""
    argv = ["ping", "-n", "-i", "0.002", "-c", str(count), "-W", "2", it.server_address]
    output = it.lab.laptop.run(argv, check=False, timeout=count * 0.01 + 30).output
    times = sorted(float(number) * 1000 for number in re.findall(r"time=([0-9.]+) ms", output))
    if not times:
        raise LabError(f"no answer to pings: {output[-300:]}")
    return times


def connect_time(lab: Lab, client_name: str) -> float:
    """Seconds from the start of a client's process until it says that it is connected."""
    begun = time.monotonic()
    client = lab.client_process(
        lab.client_setup(verb=1, lines=("disable-dco",)), program=PROGRAMS[client_name]
    )
    try:
        _completed(client, 0)
        return time.monotonic() - begun
    finally:
        client.stop(expect=None)


def reconnect_time(it: Tunnel) -> float:
    """Seconds that a client which is told to start over takes until it is connected again.

    The second that both programs wait before they connect anew (``connect-retry``) is left out.
    """
    assert it.client is not None
    mark = it.client.mark()
    begun = time.monotonic()
    it.client.send(signal.SIGUSR1)
    _completed(it.client, mark)
    return time.monotonic() - begun - RETRY_SECONDS


def _completed(client: Running, since: int) -> None:
    pattern = re.compile(COMPLETED, re.MULTILINE)
    wait_until(
        lambda: pattern.search(client.log(since)),
        timeout=STARTED_WITHIN,
        what="a connection",
        interval=0.001,
    )
