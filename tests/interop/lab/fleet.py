"""The lab of a server: five clients of several kinds, a router, the server, an office behind it.

::

    client1 (a branch behind it), client2, client3 --+
                                                     +-- internet -- server -- office
    client4, client5 -- home (a NAT, IPv4 only) -----+

Cheap enough for a module; ``tidy`` proves after each test that all hosts are as they were. Not
responsible for configurations (``openvpn``).
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from tests.deadlines import wait_until
from tests.interop.lab.base import (
    FORWARDING,
    OFFICE_HOST,
    OFFICE_HOST_V6,
    BaseLab,
    set_address,
    set_default_route,
)
from tests.interop.lab.namespaces import Namespace, connect
from tests.interop.lab.openvpn import PORT, ClientSetup, Running, ServerSetup
from tests.interop.lab.pki import Identity, Pki
from tests.interop.lab.snapshot import Snapshot, take_snapshot

T = TypeVar("T")

WHOLE = os.environ.get("GINNEL_SERVER") == "all"
"""True to tell every story of the server: CI leaves out what is a variation of another."""

CLIENTS = 5
DIRECT = 3
"""The first three clients have addresses of their own; the others are at home."""

SERVER = "198.51.100.1"
SERVER_V6 = "2001:db8:51::1"
GATEWAY = "192.0.2.254"
GATEWAY_V6 = "2001:db8:2::fe"
HOME = "203.0.113.4"
"""The address that the clients at home share."""
HOME_GATEWAY = "192.168.7.1"
OFFICE_GATEWAY = "10.11.5.1"
OFFICE_GATEWAY_V6 = "fd00:11::1"
BRANCH_HOST = "172.16.1.10"
BRANCH_HOST_V6 = "fd00:16:1::10"


def variations(always: Sequence[T], others: Sequence[T]) -> list[T]:
    """Parameters of a scenario: some for every run, the others where all are asked for."""
    return [*always, *(others if WHOLE else ())]


def client_address(number: int) -> str:
    """Gives the address of a client's ``wlan0``."""
    return f"192.0.2.1{number}" if number <= DIRECT else f"192.168.7.1{number}"


class Fleet(BaseLab):
    """Many clients of one server. Clients are numbered from 1."""

    server_default = "ginnel"
    client_default = "openvpn"

    def __init__(self, directory: Path | None = None, pki: Pki | None = None) -> None:
        super().__init__(directory, pki)
        self.clients = tuple(self._namespace(f"client{n}") for n in range(1, CLIENTS + 1))
        self.laptop = self.clients[0]
        self.branch = self._namespace("branch")
        self.home = self._namespace("home")
        self.internet = self._namespace("internet")
        self.server = self._namespace("server")
        self.office = self._namespace("office")
        self._before: dict[str, Snapshot] = {}

    def _build(self) -> None:
        for namespace in (self.internet, self.home, self.server, self.office, self.branch):
            self._add(namespace)
        for number, client in enumerate(self.clients, 1):
            self._add(client, nameserver=GATEWAY if number <= DIRECT else HOME_GATEWAY)
        for router in (self.internet, self.home, self.server, self.clients[0]):
            router.run(["sysctl", "-qw", *FORWARDING])
        self._build_internet()
        self._build_home()
        self._build_office()
        self._build_branch()
        self._before = {host.name: take_snapshot(host) for host in self._watched}

    @property
    def _watched(self) -> tuple[Namespace, ...]:
        return (*self.clients, self.server)

    def _build_internet(self) -> None:
        _bridge(self.internet, "street")
        set_address(self.internet, "street", f"{GATEWAY}/24", f"{GATEWAY_V6}/64")
        for number, client in enumerate(self.clients[:DIRECT], 1):
            connect(client, "wlan0", self.internet, f"to-client{number}")
            self.internet.ip("link", "set", f"to-client{number}", "master", "street")
            address = client_address(number)
            set_address(client, "wlan0", f"{address}/24", f"2001:db8:2::1{number}/64")
            set_default_route(client, GATEWAY, GATEWAY_V6)
        connect(self.server, "eth0", self.internet, "to-server")
        set_address(self.internet, "to-server", "198.51.100.254/24", "2001:db8:51::fe/64")
        set_address(self.server, "eth0", f"{SERVER}/24", f"{SERVER_V6}/64")
        set_default_route(self.server, "198.51.100.254", "2001:db8:51::fe")

    def _build_home(self) -> None:
        _bridge(self.home, "lan")
        self.home.ip("address", "add", f"{HOME_GATEWAY}/24", "dev", "lan")
        connect(self.home, "wan", self.internet, "to-home")
        self.internet.ip("address", "add", "203.0.113.254/24", "dev", "to-home")
        self.home.ip("address", "add", f"{HOME}/24", "dev", "wan")
        self.home.ip("route", "add", "default", "via", "203.0.113.254")
        for number in range(DIRECT + 1, CLIENTS + 1):
            client = self.clients[number - 1]
            connect(client, "wlan0", self.home, f"to-client{number}")
            self.home.ip("link", "set", f"to-client{number}", "master", "lan")
            client.ip("address", "add", f"{client_address(number)}/24", "dev", "wlan0")
            client.ip("route", "add", "default", "via", HOME_GATEWAY)
        rules = self.directory / "home.nft"
        rules.write_text(_MASQUERADE)
        self.home.run(["nft", "-f", str(rules)])

    def _build_office(self) -> None:
        connect(self.server, "eth1", self.office, "eth0")
        set_address(self.server, "eth1", f"{OFFICE_GATEWAY}/24", f"{OFFICE_GATEWAY_V6}/64")
        set_address(self.office, "eth0", f"{OFFICE_HOST}/24", f"{OFFICE_HOST_V6}/64")
        set_default_route(self.office, OFFICE_GATEWAY, OFFICE_GATEWAY_V6)

    def _build_branch(self) -> None:
        connect(self.clients[0], "lan0", self.branch, "eth0")
        set_address(self.clients[0], "lan0", "172.16.1.1/24", "fd00:16:1::1/64")
        set_address(self.branch, "eth0", f"{BRANCH_HOST}/24", f"{BRANCH_HOST_V6}/64")
        set_default_route(self.branch, "172.16.1.1", "fd00:16:1::1")

    # --- programs ------------------------------------------------------------------------------

    def client(self, number: int) -> Namespace:
        return self.clients[number - 1]

    def identity(self, number: int) -> Identity:
        """The certificate of a client; its common name is ``clientN``."""
        return self.pki.named_client(f"client{number}")

    def server_process(self, setup: ServerSetup | None = None, *, label: str = "server") -> Running:
        """Starts the server under test and returns at once."""
        return self.run_server(self.server, setup or ServerSetup(), label)

    def start_server(self, setup: ServerSetup | None = None, *, label: str = "server") -> Running:
        """Starts the server under test and waits until it is ready."""
        running = self.server_process(setup, label=label)
        running.wait_connected()
        return running

    def client_setup(self, number: int = 1, **changes: object) -> ClientSetup:
        """The usual configuration of a client, with changes."""
        usual = ClientSetup(remotes=[f"{SERVER} {PORT}"], identity=self.identity(number))
        return replace(usual, **changes)  # type: ignore[arg-type]

    def client_process(
        self, number: int = 1, setup: ClientSetup | None = None, *, stdin: bytes | None = None
    ) -> Running:
        """Starts a client and returns at once."""
        chosen = setup or self.client_setup(number)
        return self.run_client(self.client(number), chosen, f"client{number}", stdin=stdin)

    def start_client(
        self, number: int = 1, setup: ClientSetup | None = None, *, timeout: float = 40.0
    ) -> Running:
        """Starts a client and waits until it says that it is connected."""
        running = self.client_process(number, setup)
        running.wait_connected(timeout=timeout)
        return running

    def start_clients(self, numbers: Sequence[int], **changes: object) -> list[Running]:
        """Starts several clients at the same time and waits until all are connected."""
        started = [self.client_process(n, self.client_setup(n, **changes)) for n in numbers]
        for running in started:
            running.wait_connected(timeout=40)
        return started

    def start_pair(self, **changes: object) -> tuple[Running, Running]:
        """Starts Debian's program as client 1 and ginnel as client 2, at the same time."""
        setups = [
            self.client_setup(1, **(changes | {"program": "openvpn"})),
            self.client_setup(2, **(changes | {"program": "ginnel"})),
        ]
        theirs, ours = (self.client_process(n, setup) for n, setup in enumerate(setups, 1))
        for running in (theirs, ours):
            running.wait_connected(timeout=40)
        return theirs, ours

    def spare_file(self, name: str, *lines: str) -> Path:
        """Writes a file of a test's own and returns its path; a test's files share no names."""
        path = self.directory / f"{self._name(name)}"
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    def spare_directory(self, name: str, files: Mapping[str, Sequence[str]]) -> Path:
        """Makes a directory with files: client-config-dir and the like."""
        path = self.directory / self._name(name)
        path.mkdir()
        for stem, lines in files.items():
            (path / stem).write_text("".join(f"{line}\n" for line in lines))
        return path

    # --- changes of the network ----------------------------------------------------------------

    @contextlib.contextmanager
    def moved(self, number: int, address: str) -> Iterator[None]:
        """Gives one of the first three clients another address, as a network that changes does."""
        client = self.client(number)
        client.ip("address", "del", f"{client_address(number)}/24", "dev", "wlan0")
        client.ip("address", "add", f"{address}/24", "dev", "wlan0")
        client.ip("route", "replace", "default", "via", GATEWAY)
        try:
            yield
        finally:
            client.ip("address", "del", f"{address}/24", "dev", "wlan0")
            client.ip("address", "add", f"{client_address(number)}/24", "dev", "wlan0")
            client.ip("route", "replace", "default", "via", GATEWAY)

    # --- tidying -------------------------------------------------------------------------------

    def differences(self) -> list[str]:
        """Lists what is not as it was when the lab was made, on hosts that something ran on."""
        return [
            f"{host.label}: {line}"
            for host in self._watched
            if host.name in self.busy
            for line in self._before[host.name].difference(take_snapshot(host))
        ]

    def tidy(self) -> None:
        """Ends all programs. Raises when a host is not as it was, or a program is left."""
        self.end_programs()
        for host in self._watched:
            if host.name in self.busy:
                host.wait_empty()
        wait_until(
            lambda: not self.differences(),
            timeout=40,
            what=f"all hosts as they were; still different: {self.differences()}",
        )
        self.busy.clear()


_MASQUERADE = """
table ip home {
    chain out {
        type nat hook postrouting priority srcnat;
        oifname "wan" masquerade
    }
}
"""


def _bridge(namespace: Namespace, name: str) -> None:
    namespace.ip("link", "add", name, "type", "bridge")
    namespace.ip("link", "set", name, "up")
