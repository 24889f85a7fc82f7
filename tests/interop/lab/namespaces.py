"""Network namespaces with veth links, and what a test does inside one: run, spawn, look, tidy up.

Names carry the pid of the run, so runs do not meet and what a killed run left behind can be found.
Not responsible for which namespaces a lab has: see ``topology``.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.deadlines import wait_until
from tests.interop.lab.process import LabError, Process, clean_environment, end_pid

PREFIX = "gn"
RUNTIME_DIR = Path("/run/ginnel")
NETNS_ETC = Path("/etc/netns")

_ENTER = 'mkdir -p "$2" && mount --bind "$1" "$2" && shift 2 && exec "$@"'
"""Gives a namespace its own runtime directory: journals of one host are no business of another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A command that ran to its end."""

    status: int
    output: str


def run_command(argv: Sequence[str], *, timeout: float = 30.0, check: bool = True) -> Finished:
    """Runs a command with output and errors together. Raises LabError on failure if ``check``."""
    try:
        done = subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            env=clean_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise LabError(f"{' '.join(argv)}: no end after {timeout:g} s") from late
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(argv)}: status {done.returncode}: {done.stdout.strip()}")
    return Finished(status=done.returncode, output=done.stdout)


class Namespace:
    """One network namespace that stands for one host."""

    def __init__(self, name: str, label: str, directory: Path) -> None:
        self.name = name
        self.label = label
        self.directory = directory
        self._runtime = directory / f"run-{label}"

    def create(self, nameserver: str | None = None) -> None:
        """Makes the namespace with loopback up and without IPv6 surprises."""
        self._runtime.mkdir(parents=True, exist_ok=True)
        etc = NETNS_ETC / self.name
        wait_until(lambda: _made(etc), timeout=40, what=f"the directory {etc}")
        # `ip netns exec` binds this file over /etc/resolv.conf in a private mount namespace.
        (etc / "resolv.conf").write_text(f"nameserver {nameserver}\n" if nameserver else "")
        run_command(["ip", "netns", "add", self.name])
        # No duplicate address detection and no router advertisements: addresses work at once
        # and stay what the lab set.
        settings = [
            f"net.ipv6.conf.{scope}.{key}=0"
            for scope in ("all", "default")
            for key in ("accept_dad", "accept_ra")
        ]
        self.run(["sysctl", "-qw", *settings])
        self.ip("link", "set", "lo", "up")

    def remove(self) -> None:
        """Ends what still runs inside and removes the namespace. Never raises for what is gone."""
        for pid in self.pids():
            end_pid(pid, lambda pid=pid: pid not in self.pids())  # type: ignore[misc]
        run_command(["ip", "netns", "del", self.name], check=False)
        shutil.rmtree(NETNS_ETC / self.name, ignore_errors=True)
        with contextlib.suppress(OSError):  # others may still need it
            NETNS_ETC.rmdir()

    def pids(self) -> list[int]:
        """Lists the processes inside."""
        listing = run_command(["ip", "netns", "pids", self.name], check=False)
        return [int(word) for word in listing.output.split() if word.isdigit()]

    def wait_empty(self, timeout: float = 40.0) -> None:
        """Waits until nothing runs inside any more: a program under test left no child behind."""
        wait_until(
            lambda: not self.pids(), timeout=timeout, what=f"no process left in {self.label}"
        )

    def command(self, argv: Sequence[str]) -> list[str]:
        """Gives the command line that runs ``argv`` inside, without a process in between."""
        enter = ["sh", "-c", _ENTER, "sh", str(self._runtime), str(RUNTIME_DIR)]
        return ["ip", "netns", "exec", self.name, *enter, *argv]

    def run(self, argv: Sequence[str], *, timeout: float = 30.0, check: bool = True) -> Finished:
        """Runs a command inside and waits for its end."""
        return run_command(self.command(argv), timeout=timeout, check=check)

    def spawn(
        self,
        argv: Sequence[str],
        *,
        name: str,
        environment: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        log: Path | None = None,
    ) -> Process:
        """Starts a program inside; its log goes to the lab's directory."""
        return Process(
            self.command(argv),
            name=name,
            log=log or self.directory / f"{name}.log",
            environment=environment,
            stdin=stdin,
        )

    def ip(self, *arguments: str) -> str:
        """Runs ``ip`` on this namespace."""
        return run_command(["ip", "-n", self.name, *arguments]).output

    def ip_json(self, *arguments: str) -> list[dict[str, object]]:
        """Runs ``ip -j`` on this namespace and returns its list of objects."""
        text = self.ip("-j", *arguments).strip()
        parsed: list[dict[str, object]] = json.loads(text) if text else []
        return parsed

    def devices(self) -> list[str]:
        return [str(link["ifname"]) for link in self.ip_json("link", "show") if "ifname" in link]

    def route_to(self, address: str) -> dict[str, object]:
        """Asks the kernel which route a packet to the address takes."""
        return self.ip_json("route", "get", address)[0]

    def ping(
        self,
        address: str,
        *,
        count: int = 3,
        interval: float = 0.1,
        size: int | None = None,
        wait: int = 2,
        extra: Sequence[str] = (),
    ) -> int:
        """Pings and returns how many replies came."""
        argv = ["ping", "-n", "-q", "-c", str(count), "-i", str(interval), "-W", str(wait)]
        argv += ["-s", str(size)] if size is not None else []
        output = self.run(
            [*argv, *extra, address], check=False, timeout=30 + count * interval + wait
        ).output
        match = re.search(r"(\d+) received", output)
        if match is None:
            raise LabError(f"ping {address} in {self.label} said: {output.strip()}")
        return int(match.group(1))

    def wait_ping(self, address: str, *, timeout: float = 40.0) -> None:
        """Waits until the address answers a ping."""
        wait_until(
            lambda: self.ping(address, count=1, wait=1) == 1,
            timeout=timeout,
            what=f"an answer of {address} to {self.label}",
        )


def _made(directory: Path) -> bool:
    """Makes a directory; False when another run removed the empty parent at that moment."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError:
        return False
    return True


def connect(left: Namespace, left_device: str, right: Namespace, right_device: str) -> None:
    """Joins two namespaces by a veth pair with names as on real hosts, both ends up."""
    ends = ["link", "add", left_device, "netns", left.name, "type", "veth"]
    run_command(["ip", *ends, "peer", "name", right_device, "netns", right.name])
    left.ip("link", "set", left_device, "up")
    right.ip("link", "set", right_device, "up")


def unique_name(label: str) -> str:
    """Builds a namespace name that says which run owns it: ``gn<pid>x<count>-<label>``."""
    global _counter
    _counter += 1
    return f"{PREFIX}{os.getpid()}x{_counter}-{label}"


_counter = 0


def sweep_dead_runs() -> list[str]:
    """Removes namespaces whose run no longer exists (it was killed). Returns their names."""
    removed: list[str] = []
    listing = run_command(["ip", "netns", "list"], check=False).output
    names = {line.split()[0] for line in listing.splitlines() if line.split()}
    with contextlib.suppress(FileNotFoundError):
        names |= {entry.name for entry in NETNS_ETC.iterdir()}
    for name in sorted(names):
        match = re.fullmatch(rf"{PREFIX}(\d+)x\d+-\w+", name)
        if match and not Path(f"/proc/{match.group(1)}").exists():
            Namespace(name, name, Path("/nonexistent")).remove()
            removed.append(name)
    return removed
