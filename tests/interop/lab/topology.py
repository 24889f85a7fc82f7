"""The labs: which namespaces, links and addresses there are, and what is started in them.

Two namespaces (laptop, office) carry most tests; three (laptop, internet, office) are for what
needs a router in between. Everything a lab made is gone when its ``with`` block ends, however it
ends. Not responsible for configurations (``openvpn``) or faults (``relay``).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.interop.lab import relay
from tests.interop.lab.base import (
    FORWARDING,
    OFFICE_HOST,
    OFFICE_HOST_V6,
    BaseLab,
    set_address,
    set_default_route,
)
from tests.interop.lab.namespaces import Namespace, connect, run_command
from tests.interop.lab.openvpn import (
    OPENVPN,
    PORT,
    ClientSetup,
    Running,
    ServerSetup,
    client_program,
)
from tests.interop.lab.pki import Pki
from tests.interop.lab.process import Process, module_command
from tests.interop.lab.snapshot import Snapshot, take_snapshot

LAPTOP = "192.0.2.10"
LAPTOP_V6 = "2001:db8:2::10"
OFFICE_SECOND = "203.0.113.1"
WEB_HOST = "203.0.113.80"
WEB_HOST_V6 = "2001:db8:113::80"


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


class Lab(BaseLab):
    """Laptop, office and, with a router, the internet in between."""

    def __init__(self, plan: Plan, directory: Path | None = None, pki: Pki | None = None) -> None:
        super().__init__(directory, pki)
        self.plan = plan
        self.laptop = self._namespace("laptop")
        self.office = self._namespace("office")
        self.internet = self._namespace("internet")

    @property
    def server(self) -> str:
        """The office's public IPv4 address."""
        return self.plan.server

    @property
    def server_v6(self) -> str:
        return self.plan.server_v6

    # --- building ------------------------------------------------------------------------------

    def _build(self) -> None:
        plan = self.plan
        self._add(self.laptop, nameserver=plan.gateway)
        self._add(self.office)
        if plan.with_router:
            self._add(self.internet)
            self._build_router()
            connect(self.laptop, "wlan0", self.internet, "to-laptop")
            connect(self.office, "eth0", self.internet, "to-office")
            set_address(self.internet, "to-laptop", f"{plan.gateway}/24", f"{plan.gateway_v6}/64")
            set_address(self.internet, "to-office", "198.51.100.254/24", "2001:db8:51::fe/64")
            set_address(self.internet, "lo", f"{WEB_HOST}/32", f"{WEB_HOST_V6}/128")
        else:
            connect(self.laptop, "wlan0", self.office, "eth0")
        set_address(self.laptop, "wlan0", f"{LAPTOP}/24", f"{LAPTOP_V6}/64")
        set_address(self.office, "eth0", f"{plan.server}/24", f"{plan.server_v6}/64")
        set_address(self.office, "lo", f"{OFFICE_HOST}/32", f"{OFFICE_HOST_V6}/128")
        set_default_route(self.laptop, plan.gateway, plan.gateway_v6)
        self._build_office_forwarding()

    def add_laptop(self) -> Namespace:
        """Adds a second laptop on another network of the office; the server is at OFFICE_SECOND."""
        other = self._namespace("other")
        self._add(other, nameserver=OFFICE_SECOND)
        connect(other, "wlan0", self.office, "eth1")
        set_address(other, "wlan0", "203.0.113.20/24", "2001:db8:3::20/64")
        set_address(self.office, "eth1", f"{OFFICE_SECOND}/24", "2001:db8:3::1/64")
        set_default_route(other, OFFICE_SECOND, "2001:db8:3::1")
        return other

    def _build_router(self) -> None:
        self.internet.run(["sysctl", "-qw", *FORWARDING])

    def _build_office_forwarding(self) -> None:
        """Lets the office route its VPN clients out, and hides them behind its own address."""
        self.office.run(["sysctl", "-qw", *FORWARDING])
        if self.plan.with_router:
            set_default_route(self.office, "198.51.100.254", "2001:db8:51::fe")
            rules = self.directory / "office.nft"
            rules.write_text(_MASQUERADE)
            self.office.run(["nft", "-f", str(rules)])

    # --- programs ------------------------------------------------------------------------------

    def server_process(self, setup: ServerSetup, *, label: str = "server") -> Running:
        """Starts a server in the office and returns at once."""
        return self.run_server(self.office, setup, label)

    def start_server(self, setup: ServerSetup | None = None, *, label: str = "server") -> Running:
        """Starts a server in the office and waits until it is ready."""
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
        return self.run_client(where or self.laptop, setup, label, program, stdin)

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
        timeout: float = 40.0,
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

    # --- tidying -------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """What the laptop's network looks like now."""
        return take_snapshot(self.laptop)


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


def mtu(namespace: Namespace, device: str, size: int) -> None:
    """Sets the MTU of a device of the lab."""
    run_command(["ip", "-n", namespace.name, "link", "set", device, "mtu", str(size)])
