"""What every lab has: namespaces that go away again, programs that are ended, their logs.

Not responsible for which namespaces there are: ``topology`` has laptop and office, ``fleet`` many
clients of one server.
"""

import contextlib
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.interop.lab import traffic
from tests.interop.lab.directories import make_directory
from tests.interop.lab.namespaces import Namespace, sweep_dead_runs, unique_name
from tests.interop.lab.openvpn import (
    ClientSetup,
    Running,
    ServerSetup,
    client_program,
    command_of,
    server_program,
)
from tests.interop.lab.pki import Pki
from tests.interop.lab.process import LabError, Process, module_command

REQUIRED_TOOLS = ("openvpn", "ip", "tcpdump", "ping", "nft", "sysctl", "unshare")
OFFICE_HOST = "10.11.5.19"
OFFICE_HOST_V6 = "fd00:11::19"
STREAM_SIZE = 64 << 20
STREAM_TIMEOUT = 150.0
FORWARDING = ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")


def require_tools() -> None:
    """Raises LabError that names what the machine lacks. A missing tool is never a skip."""
    missing = [tool for tool in REQUIRED_TOOLS if shutil.which(tool) is None]
    if missing:
        raise LabError(f"the lab needs these programs, which are not installed: {missing}")
    if not Path("/dev/net/tun").exists():
        raise LabError("the lab needs /dev/net/tun, which this machine does not have")


class BaseLab(ABC):
    """Namespaces plus what runs in them. Use it as a context manager."""

    server_default = "openvpn"
    """The program that a server is, where neither its setup nor the environment names one."""
    client_default = "ginnel"
    laptop: Namespace
    """Where traffic starts, if a test does not say where."""
    office: Namespace
    """Where it goes to: the host behind the tunnel."""

    def __init__(self, directory: Path | None = None, pki: Pki | None = None) -> None:
        self._stack = contextlib.ExitStack()
        self._own_directory = directory is None
        self.directory = directory or make_directory("lab")
        self.directory.chmod(0o755)  # programs that drop their rights write below it
        self.pki = pki or Pki(self.directory / "pki")
        self._running: list[Process] = []
        self.busy: set[str] = set()
        """Names of the namespaces in which programs were started."""
        self._service: Process | None = None
        self._started = 0

    def __enter__(self) -> Self:
        try:
            require_tools()
            sweep_dead_runs()
            self._build()
        except BaseException:
            self._stack.close()
            self._remove_own_directory()
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
        # What failed leaves its logs to be read; an interruption is no failure.
        if error is None or not isinstance(error, Exception):
            self._remove_own_directory()

    def _remove_own_directory(self) -> None:
        if self._own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    @abstractmethod
    def _build(self) -> None:
        """Makes the namespaces, links, addresses and routes."""

    def _namespace(self, label: str) -> Namespace:
        return Namespace(unique_name(label), label, self.directory)

    def _add(self, namespace: Namespace, nameserver: str | None = None) -> None:
        # Registered first: a creation that is interrupted half-way is removed as well.
        self._stack.callback(namespace.remove)
        namespace.create(nameserver)

    def _name(self, label: str) -> str:
        self._started += 1
        return f"{self._started:02d}-{label}"

    def _track(self, process: Process) -> Process:
        self._running.append(process)
        return process

    def run_server(self, where: Namespace, setup: ServerSetup, label: str) -> Running:
        """Starts a server in a namespace and returns at once."""
        name = self._name(label)
        config = self.directory / f"{name}.conf"
        config.write_text(setup.render(self.pki))
        return self.run_file(where, config, self.server_command(setup.program), label, name=name)

    def run_client(
        self,
        where: Namespace,
        setup: ClientSetup,
        label: str,
        program: Sequence[str] | None = None,
        stdin: bytes | None = None,
    ) -> Running:
        """Starts a client in a namespace and returns at once."""
        name = self._name(label)
        config = self.directory / f"{name}.ovpn"
        config.write_text(setup.render(self.pki))
        command = program or self.client_command(setup.program)
        return self.run_file(
            where, config, command, label, name=name, arguments=setup.arguments, stdin=stdin
        )

    def run_file(
        self,
        where: Namespace,
        config: Path,
        program: Sequence[str],
        label: str,
        *,
        name: str | None = None,
        arguments: Sequence[str] = (),
        stdin: bytes | None = None,
    ) -> Running:
        """Starts a program with a configuration file and returns at once."""
        self.busy.add(where.name)
        argv = [*program, "--config", str(config), *arguments]
        process = self._track(where.spawn(argv, name=name or self._name(label), stdin=stdin))
        return Running(process=process, config=config, label=label)

    def server_command(self, program: str | None = None) -> tuple[str, ...]:
        """Gives the command of a server: the named program, the environment's, or the lab's."""
        return command_of(program) if program else server_program(self.server_default)

    def client_command(self, program: str | None = None) -> tuple[str, ...]:
        return command_of(program) if program else client_program(self.client_default)

    def spawn(self, where: Namespace, argv: Sequence[str], *, label: str) -> Process:
        """Starts a program in a namespace, to be ended with the test's other programs."""
        return self._track(where.spawn(argv, name=self._name(label)))

    # --- traffic -------------------------------------------------------------------------------

    def serve_traffic(self) -> None:
        """Starts the office's end of streams and probes, once for a lab."""
        if self._service is not None and self._service.status is None:
            return
        argv = module_command("traffic", "serve", OFFICE_HOST, OFFICE_HOST_V6)
        self._service = self.office.spawn(argv, name=self._name("traffic"))
        self._service.wait_for("^ready$")

    def start_stream(
        self,
        host: str,
        *,
        push: bool,
        size: int = STREAM_SIZE,
        where: Namespace | None = None,
        pauses: bool = False,
    ) -> Process:
        """Starts a hashed stream from or to the laptop, or elsewhere: see ``stream_result``.

        One that ``pauses`` says "half" when it is half-way, and goes on when SIGCONT is sent.
        """
        self.serve_traffic()
        way = "push" if push else "pull"
        argv = module_command("traffic", way, host, f"--size={size}", f"--seed={self._started}")
        argv += ["--pauses"] if pauses else []
        return self.spawn(where or self.laptop, argv, label=way)

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
        burst: int = 1,
        where: Namespace | None = None,
    ) -> Process:
        """Starts numbered datagrams from the laptop, or elsewhere, that the office echoes."""
        self.serve_traffic()
        numbers = [f"--rate={rate}", f"--seconds={seconds}", f"--size={size}", f"--port={port}"]
        argv = module_command("traffic", "probe", host, *numbers, f"--burst={burst}")
        return self.spawn(where or self.laptop, argv, label="probe")

    def probe_result(self, process: Process, timeout: float = 90.0) -> traffic.ProbeResult:
        return traffic.ProbeResult.from_json(_result_line(process, timeout))

    # --- tidying -------------------------------------------------------------------------------

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


def _result_line(process: Process, timeout: float) -> str:
    """Waits for a traffic program and gives the JSON line that it prints at its end."""
    status = process.wait_exit(timeout)
    if status != 0:
        raise LabError(f"{process.name} ended with {status}; it said:\n{process.tail()}")
    return process.log_text().splitlines()[-1]


def set_address(namespace: Namespace, device: str, ipv4: str, ipv6: str) -> None:
    """Gives a device an address of each family that works at once."""
    namespace.ip("address", "add", ipv4, "dev", device)
    namespace.ip("-6", "address", "add", ipv6, "dev", device, "nodad")


def set_default_route(namespace: Namespace, gateway: str, gateway_v6: str) -> None:
    namespace.ip("route", "add", "default", "via", gateway)
    namespace.ip("-6", "route", "add", "default", "via", gateway_v6)
