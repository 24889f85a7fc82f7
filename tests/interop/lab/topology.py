"""The labs: which namespaces, links and addresses there are, and what is started in them.

Two namespaces (laptop, office) carry most tests; three (laptop, internet, office) are for what
needs a router in between. Everything a lab made is gone when its ``with`` block ends, however it
ends. Not responsible for configurations (``openvpn``) or faults (``relay``).
"""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from tests.interop.lab import relay, traffic
from tests.interop.lab.namespaces import (
    Namespace,
    connect,
    run_command,
    sweep_dead_runs,
    unique_name,
)
from tests.interop.lab.openvpn import (
    OPENVPN,
    PORT,
    ClientSetup,
    Running,
    ServerSetup,
    client_program,
)
from tests.interop.lab.pki import Pki
from tests.interop.lab.process import LabError, Process, module_command
from tests.interop.lab.snapshot import Snapshot, take_snapshot

REQUIRED_TOOLS = ("openvpn", "ip", "tcpdump", "ping", "nft", "sysctl", "unshare")

LAPTOP = "192.0.2.10"
LAPTOP_V6 = "2001:db8:2::10"
OFFICE_HOST = "10.11.5.19"
OFFICE_HOST_V6 = "fd00:11::19"
OFFICE_SECOND = "203.0.113.1"
WEB_HOST = "203.0.113.80"
WEB_HOST_V6 = "2001:db8:113::80"

STREAM_SIZE = 64 << 20
STREAM_TIMEOUT = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Addresses of a lab. Without a router the office is on the laptop's own network."""

    with_router: bool
    server: str
    server_v6: str
    gateway: str
    gateway_v6: str


TWO = Plan(
    with_router=False,
    server="192.0.2.1",
    server_v6="2001:db8:2::1",
    gateway="192.0.2.1",
    gateway_v6="2001:db8:2::1",
)
THREE = Plan(
    with_router=True,
    server="198.51.100.1",
    server_v6="2001:db8:51::1",
    gateway="192.0.2.254",
    gateway_v6="2001:db8:2::fe",
)


def require_tools() -> None:
    """Raises LabError that names what the machine lacks. A missing tool is never a skip."""
    missing = [tool for tool in REQUIRED_TOOLS if shutil.which(tool) is None]
    if missing:
        raise LabError(f"the lab needs these programs, which are not installed: {missing}")
    if not Path("/dev/net/tun").exists():
        raise LabError("the lab needs /dev/net/tun, which this machine does not have")


class Lab:
    """Namespaces plus what runs in them. Use it as a context manager; ``fresh`` tidies a test."""

    def __init__(self, plan: Plan, directory: Path | None = None, pki: Pki | None = None) -> None:
        self.plan = plan
        self._stack = contextlib.ExitStack()
        self._own_directory = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="ginnel-lab-"))
        self.directory.chmod(0o755)  # programs that drop their rights write below it
        self.pki = pki or Pki(self.directory / "pki")
        self.laptop = Namespace(unique_name("laptop"), "laptop", self.directory)
        self.office = Namespace(unique_name("office"), "office", self.directory)
        self.internet = Namespace(unique_name("internet"), "internet", self.directory)
        self._running: list[Process] = []
        self._service: Process | None = None
        self._started = 0

    @property
    def server(self) -> str:
        """The office's public IPv4 address."""
        return self.plan.server

    @property
    def server_v6(self) -> str:
        return self.plan.server_v6

    def __enter__(self) -> "Lab":
        require_tools()
        sweep_dead_runs()
        try:
            self._build()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.end_programs()
        finally:
            self._stack.close()
        if self._own_directory and kind is None:
            shutil.rmtree(self.directory, ignore_errors=True)

    # --- building ------------------------------------------------------------------------------

    def _add(self, namespace: Namespace, nameserver: str | None = None) -> None:
        # Registered first: a creation that is interrupted half-way is removed as well.
        self._stack.callback(namespace.remove)
        namespace.create(nameserver)

    def _build(self) -> None:
        plan = self.plan
        self._add(self.laptop, nameserver=plan.gateway)
        self._add(self.office)
        if plan.with_router:
            self._add(self.internet)
            self._build_router()
            connect(self.laptop, "wlan0", self.internet, "to-laptop")
            connect(self.office, "eth0", self.internet, "to-office")
            _address(self.internet, "to-laptop", f"{plan.gateway}/24", f"{plan.gateway_v6}/64")
            _address(self.internet, "to-office", "198.51.100.254/24", "2001:db8:51::fe/64")
            _address(self.internet, "lo", f"{WEB_HOST}/32", f"{WEB_HOST_V6}/128")
        else:
            connect(self.laptop, "wlan0", self.office, "eth0")
        _address(self.laptop, "wlan0", f"{LAPTOP}/24", f"{LAPTOP_V6}/64")
        _address(self.office, "eth0", f"{plan.server}/24", f"{plan.server_v6}/64")
        _address(self.office, "lo", f"{OFFICE_HOST}/32", f"{OFFICE_HOST_V6}/128")
        _default_route(self.laptop, plan.gateway, plan.gateway_v6)
        self._build_office_forwarding()

    def add_laptop(self) -> Namespace:
        """Adds a second laptop on another network of the office; the server is at OFFICE_SECOND."""
        other = Namespace(unique_name("other"), "other", self.directory)
        self._add(other, nameserver=OFFICE_SECOND)
        connect(other, "wlan0", self.office, "eth1")
        _address(other, "wlan0", "203.0.113.20/24", "2001:db8:3::20/64")
        _address(self.office, "eth1", f"{OFFICE_SECOND}/24", "2001:db8:3::1/64")
        _default_route(other, OFFICE_SECOND, "2001:db8:3::1")
        return other

    def _build_router(self) -> None:
        self.internet.run(["sysctl", "-qw", *_FORWARDING])

    def _build_office_forwarding(self) -> None:
        """Lets the office route its VPN clients out, and hides them behind its own address."""
        self.office.run(["sysctl", "-qw", *_FORWARDING])
        if self.plan.with_router:
            _default_route(self.office, "198.51.100.254", "2001:db8:51::fe")
            rules = self.directory / "office.nft"
            rules.write_text(_MASQUERADE)
            self.office.run(["nft", "-f", str(rules)])

    # --- programs ------------------------------------------------------------------------------

    def _name(self, label: str) -> str:
        self._started += 1
        return f"{self._started:02d}-{label}"

    def _track(self, process: Process) -> Process:
        self._running.append(process)
        return process

    def server_process(self, setup: ServerSetup, *, label: str = "server") -> Running:
        """Starts a real OpenVPN server in the office and returns at once."""
        name = self._name(label)
        config = self.directory / f"{name}.conf"
        config.write_text(setup.render(self.pki))
        argv = [OPENVPN, "--config", str(config)]
        process = self._track(self.office.spawn(argv, name=name))
        return Running(process=process, config=config, label=label)

    def start_server(self, setup: ServerSetup | None = None, *, label: str = "server") -> Running:
        """Starts a real OpenVPN server in the office and waits until it is ready."""
        running = self.server_process(setup or ServerSetup(), label=label)
        running.wait_connected()
        return running

    def client_process(
        self,
        setup: ClientSetup,
        *,
        label: str = "client",
        program: Sequence[str] | None = None,
        stdin: bytes | None = None,
        where: Namespace | None = None,
    ) -> Running:
        """Starts the client under test in the laptop, or elsewhere, and returns at once."""
        name = self._name(label)
        config = self.directory / f"{name}.ovpn"
        config.write_text(setup.render(self.pki))
        argv = [*(program or client_program()), "--config", str(config), *setup.arguments]
        process = self._track((where or self.laptop).spawn(argv, name=name, stdin=stdin))
        return Running(process=process, config=config, label=label)

    def run_client_file(self, config: Path, *arguments: str, label: str = "client") -> Running:
        """Starts the client under test with a configuration that the test wrote itself."""
        argv = [*client_program(), "--config", str(config), *arguments]
        process = self._track(self.laptop.spawn(argv, name=self._name(label)))
        return Running(process=process, config=config, label=label)

    def start_peer(self, text: str, *, ready: str = "link remote: ") -> Running:
        """Starts a real OpenVPN in the office with a configuration of the test's own."""
        name = self._name("peer")
        config = self.directory / f"{name}.conf"
        config.write_text(text)
        argv = [OPENVPN, "--config", str(config)]
        process = self._track(self.office.spawn(argv, name=name))
        peer = Running(process=process, config=config, label="peer")
        peer.wait_for(ready)
        return peer

    def start_peers(
        self, ours: str, theirs: str, *, ready: str = "link remote: "
    ) -> tuple[Running, Running]:
        """Starts a pair of peers that configure themselves, and waits until both are connected.

        Returns the program under test, in the laptop, and the real OpenVPN, in the office.
        """
        peer = self.start_peer(theirs, ready=ready)
        config = self.directory / f"{self._name('ours')}.conf"
        config.write_text(ours)
        running = self.run_client_file(config)
        running.wait_connected()
        peer.wait_connected()
        return running, peer

    def start_program(self, argv: Sequence[str], *, label: str) -> Process:
        """Starts a program in the office, to be ended with the test's other programs."""
        return self._track(self.office.spawn(argv, name=self._name(label)))

    def start_monitor(self, kind: str) -> Process:
        """Starts ``ip monitor`` in the laptop; what it printed is the process's log."""
        argv = ["stdbuf", "-oL", "ip", "monitor", kind]
        return self._track(self.laptop.spawn(argv, name=self._name("monitor")))

    def start_client(
        self,
        setup: ClientSetup | None = None,
        *,
        label: str = "client",
        program: Sequence[str] | None = None,
        timeout: float = 20.0,
        where: Namespace | None = None,
    ) -> Running:
        """Starts the client under test and waits until it says that it is connected."""
        chosen = setup or self.client_setup()
        running = self.client_process(chosen, label=label, program=program, where=where)
        running.wait_connected(timeout=timeout)
        return running

    def client_setup(self, **changes: object) -> ClientSetup:
        """The usual client of this lab, with changes."""
        return replace(ClientSetup(remotes=[f"{self.server} {PORT}"]), **changes)  # type: ignore[arg-type]

    def start_relay(
        self,
        faults: relay.Faults,
        *,
        listen_port: int = 1195,
        server_port: int = PORT,
        address: str | None = None,
    ) -> Process:
        """Starts a fault-making relay on the office's public address."""
        host = address or self.server
        shown = f"[{host}]" if ":" in host else host
        ends = ["--listen", f"{shown}:{listen_port}", "--to", f"{shown}:{server_port}"]
        argv = module_command("relay", *ends, *faults.arguments())
        process = self._track(self.office.spawn(argv, name=self._name("relay")))
        process.wait_for("^ready$")
        return process

    def start_proxy(self, argv: Sequence[str], *, label: str) -> Process:
        """Starts a program between laptop and office; ``proxies`` knows which."""
        return self._track(self.internet.spawn(argv, name=self._name(label)))

    def relay_counts(self, process: Process) -> dict[str, int]:
        """Ends the relay and returns its counts, to see that the faults did happen."""
        process.stop()
        counts: dict[str, int] = json.loads(process.log_text().splitlines()[-1])
        return counts

    def serve_names(self, address: str, answer: str) -> Process:
        """Starts a name server; ``answer`` is ``/DOMAIN/ADDRESS`` as dnsmasq has it."""
        only = ["--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file="]
        where = ["--bind-interfaces", f"--listen-address={address}", f"--address={answer}"]
        argv = ["dnsmasq", "--keep-in-foreground", "--log-facility=-", *only, *where]
        process = self.start_in_office(argv, label="names")
        process.wait_for("started, version")
        return process

    def start_in_office(self, argv: Sequence[str], *, label: str) -> Process:
        """Starts a program in the office; what it does is the test's business."""
        return self._track(self.office.spawn(argv, name=self._name(label)))

    # --- traffic -------------------------------------------------------------------------------

    def serve_traffic(self) -> None:
        """Starts the office's end of streams and probes, once for a lab."""
        if self._service is not None and self._service.status is None:
            return
        argv = module_command("traffic", "serve", OFFICE_HOST, OFFICE_HOST_V6)
        self._service = self.office.spawn(argv, name=self._name("traffic"))
        self._service.wait_for("^ready$")

    def start_stream(self, host: str, *, push: bool, size: int = STREAM_SIZE) -> Process:
        """Starts a hashed stream from or to the laptop; ``stream_result`` takes its result."""
        self.serve_traffic()
        way = "push" if push else "pull"
        argv = module_command("traffic", way, host, f"--size={size}", f"--seed={self._started}")
        return self._track(self.laptop.spawn(argv, name=self._name(way)))

    def stream_result(
        self, process: Process, timeout: float = STREAM_TIMEOUT
    ) -> traffic.StreamResult:
        """Waits for a stream's end. Raises LabError when it broke."""
        return traffic.StreamResult.from_json(_result_line(process, timeout))

    def stream(self, host: str, *, push: bool, size: int = STREAM_SIZE) -> traffic.StreamResult:
        """Moves one hashed stream and returns both hashes."""
        return self.stream_result(self.start_stream(host, push=push, size=size))

    def start_probe(
        self,
        host: str,
        *,
        rate: int = 500,
        seconds: float = 5.0,
        size: int = 1000,
        port: int = traffic.PORT,
    ) -> Process:
        """Starts numbered datagrams from the laptop that the office echoes."""
        self.serve_traffic()
        numbers = [f"--rate={rate}", f"--seconds={seconds}", f"--size={size}", f"--port={port}"]
        argv = module_command("traffic", "probe", host, *numbers)
        return self._track(self.laptop.spawn(argv, name=self._name("probe")))

    def probe_result(self, process: Process, timeout: float = 90.0) -> traffic.ProbeResult:
        return traffic.ProbeResult.from_json(_result_line(process, timeout))

    # --- tidying -------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """What the laptop's network looks like now."""
        return take_snapshot(self.laptop)

    def end_programs(self) -> None:
        """Ends what was started, last first. Raises the first LabError after all have ended."""
        stubborn: list[LabError] = []
        for process in reversed(self._running):
            try:
                process.stop()
            except LabError as error:
                stubborn.append(error)
        self._running.clear()
        if self._service is not None:
            self._service.stop()
            self._service = None
        if stubborn:
            raise stubborn[0]

    def logs(self) -> Iterator[tuple[str, str]]:
        """Gives name and last lines of each started program, for the report of a failed test."""
        for process in self._running:
            yield process.name, process.tail()


_FORWARDING = ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")

_MASQUERADE = """
table ip lab {
    chain out {
        type nat hook postrouting priority srcnat;
        ip saddr 10.0.0.0/8 oifname "eth0" masquerade
    }
}
table ip6 lab {
    chain out {
        type nat hook postrouting priority srcnat;
        ip6 saddr fd00::/8 oifname "eth0" masquerade
    }
}
"""


def _address(namespace: Namespace, device: str, ipv4: str, ipv6: str) -> None:
    namespace.ip("address", "add", ipv4, "dev", device)
    namespace.ip("-6", "address", "add", ipv6, "dev", device, "nodad")


def _default_route(namespace: Namespace, gateway: str, gateway_v6: str) -> None:
    namespace.ip("route", "add", "default", "via", gateway)
    namespace.ip("-6", "route", "add", "default", "via", gateway_v6)


def _result_line(process: Process, timeout: float) -> str:
    """Waits for a traffic program and gives the JSON line that it prints at its end."""
    status = process.wait_exit(timeout)
    if status != 0:
        raise LabError(f"{process.name} ended with {status}; it said:\n{process.tail()}")
    return process.log_text().splitlines()[-1]


def mtu(namespace: Namespace, device: str, size: int) -> None:
    """Sets the MTU of a device of the lab."""
    run_command(["ip", "-n", namespace.name, "link", "set", device, "mtu", str(size)])
