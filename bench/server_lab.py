"""Servers under test, generators of clients, and real clients, in the lab's two namespaces.

Responsible for starting, driving and ending them. What is measured is ``server``'s business.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.measure import family
from bench.pairs import PROGRAMS
from tests.deadlines import wait_until
from tests.interop.lab.openvpn import PORT, Running, ServerSetup
from tests.interop.lab.process import LabError, Process, clean_environment
from tests.interop.lab.topology import Lab

NETWORK = "10.64.0.0 255.255.0.0"
GATEWAY = "10.64.0.1"
STREAM_PORT = 5210
LINES = (
    "duplicate-cn",
    "max-clients 20000",
    # Both programs bound unknown first packets; a benchmark's clients all come at once.
    "connect-freq-initial 100000 1",
    "disable-dco",
)
GENERATOR_NICE = 5
"""Generators yield to the server, as clients on other machines would."""
STARTED_AT_ONCE = 8
STOP_SECONDS = 120.0
"""A server says of each of its clients that it is gone."""


@contextmanager
def server(lab: Lab, system: str) -> Iterator[Running]:
    """A server of the named program, ready for clients."""
    setup = ServerSetup(
        network=NETWORK,
        network_v6=None,
        push_office=False,
        keepalive="10 60",
        ciphers=("AES-256-GCM",),
        verb=1,
        lines=LINES,
    )
    config = lab.directory / f"{system}.conf"
    config.write_text(setup.render(lab.pki))
    argv = [*PROGRAMS[system], "--config", str(config)]
    process = lab.start_in_office(argv, label=f"server-{system}")
    running = Running(process=process, config=config, label="server")
    try:
        running.wait_connected()
        yield running
    finally:
        running.send(signal.SIGTERM)
        process.wait_exit(STOP_SECONDS)


class Generator:
    """One ``bench.load`` in the laptop; commands go in and answers come out, one line each."""

    def __init__(self, lab: Lab, config: Path) -> None:
        argv = [sys.executable, "-m", "bench.load", str(config), lab.server, str(PORT)]
        self._popen = subprocess.Popen(
            lab.laptop.command(["nice", "-n", str(GENERATOR_NICE), *argv]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=clean_environment(),
            cwd=Path(__file__).resolve().parent.parent,
            start_new_session=True,  # Ctrl-C is ours; it ends with its input
        )
        self.answer()

    def command(self, *words: object) -> None:
        """Gives a command; ``answer`` waits for what comes of it."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(" ".join(map(str, words)) + "\n")
        self._popen.stdin.flush()

    def answer(self) -> dict[str, object]:
        """Waits for the answer to the last command. Raises LabError when there is none."""
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        if not line:
            raise LabError(f"a load generator ended with {self._popen.wait()}")
        found: dict[str, object] = json.loads(line)
        return found

    def close(self) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.close()
        try:
            self._popen.wait(10.0)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()


@contextmanager
def generators(lab: Lab, count: int = 1) -> Iterator[list[Generator]]:
    """Generators that wait for commands."""
    setup = lab.client_setup(
        ciphers=("AES-256-GCM",),
        # One key exchange for both servers, whatever their libraries would like best.
        lines=("explicit-exit-notify 1", "tls-groups X25519:P-256"),
    )
    config = lab.directory / "load.ovpn"
    config.write_text(setup.render(lab.pki))
    made: list[Generator] = []
    try:
        made.extend(Generator(lab, config) for _ in range(count))
        yield made
    finally:
        for generator in made:
            generator.close()


@contextmanager
def clients(lab: Lab, count: int, program: Sequence[str]) -> Iterator[list[str]]:
    """Real clients with a device each, all connected; gives the devices' names."""
    running: list[Running] = []
    devices = [f"tun{number}" for number in range(count)]
    setup = lab.client_setup(ciphers=("AES-256-GCM",), verb=1, lines=("disable-dco",))
    try:
        for device in devices:
            one = replace(setup, device=device)
            running.append(lab.client_process(one, label=f"client-{device}", program=program))
            if len(running) % STARTED_AT_ONCE == 0:
                for it in running[-STARTED_AT_ONCE:]:
                    it.wait_connected(timeout=60.0)
        for it in running:
            it.wait_connected(timeout=60.0)
        yield devices
    finally:
        for it in running:
            it.stop(expect=None)


@contextmanager
def sink(lab: Lab) -> Iterator[Process]:
    """The office's end of the streams."""
    argv = [sys.executable, "-m", "bench.streams", "serve", GATEWAY, str(STREAM_PORT)]
    process = lab.office.spawn(argv, name="streams")
    try:
        process.wait_for("^ready$")
        yield process
    finally:
        process.stop()


def drive_streams(lab: Lab, way: str, seconds: float, devices: Sequence[str]) -> list[int]:
    """Moves bytes through the devices; returns what each of them carried."""
    argv = [sys.executable, "-m", "bench.streams", "drive", GATEWAY, str(STREAM_PORT)]
    output = lab.laptop.run([*argv, way, f"{seconds:g}", *devices], timeout=seconds + 60).output
    counts: list[int] = json.loads(output.splitlines()[-1])
    return counts


def resident_kib(pid: int) -> int:
    """Resident memory of a process and its descendants, in KiB."""
    return sum(_resident(member) for member in family(pid))


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def settle(pid: int) -> None:
    """Waits until a process has stopped growing."""
    last = [-1]

    def settled() -> bool:
        before, last[0] = last[0], resident_kib(pid)
        return before == last[0]

    wait_until(settled, timeout=30.0, what="memory that stays", interval=1.0)
