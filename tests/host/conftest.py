"""A pair of network namespaces for each test that asks for one."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace with an underlay: a device ``vc``, IPv4 and IPv6 default routes."""

    name: str

    def ip(self, *words: str) -> str:
        """Runs ``ip`` inside."""
        done = subprocess.run(
            ["ip", "-n", self.name, *words], capture_output=True, text=True, check=True
        )
        return done.stdout

    def command(self, module: str, *words: str) -> list[str]:
        """The command line of a Python module of the tests, run inside."""
        return ["ip", "netns", "exec", self.name, sys.executable, "-m", module, *words]

    def run(self, module: str, *words: str) -> list[str]:
        """Runs a module inside and returns the lines that it printed."""
        done = subprocess.run(
            self.command(module, *words), capture_output=True, text=True, cwd=_ROOT, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def state(self) -> list[str]:
        """``host_state`` of the namespace."""
        return self.run("tests.host.scenarios")


class Steered:
    """A ``tests.host.session`` process."""

    def __init__(self, namespace: Namespace, *words: str) -> None:
        self._process = subprocess.Popen(
            namespace.command("tests.host.session", *words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
        )

    def ask(self, command: str) -> list[str]:
        """Has one command carried out; a single answer becomes a list of one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return [str(each) for each in (answer if isinstance(answer, list) else [answer])]

    def end(self) -> None:
        """Closes its input and waits for it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(timeout=40) == 0

    def kill(self) -> None:
        """Kills the main process, which takes its own number from ``ip netns exec``'s exec."""
        self._process.kill()
        self._process.wait(timeout=40)

    def stop(self) -> None:
        """Ends it in whatever state it is."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


def _build(name: str, peer: str) -> None:
    far, near = f"{name}s"[-15:], "vc"
    commands: Sequence[Sequence[str]] = (
        ("-n", peer, "link", "add", far, "type", "veth", "peer", "name", near, "netns", name),
        ("-n", peer, "link", "set", far, "up"),
        ("-n", name, "link", "set", "lo", "up"),
        ("-n", name, "link", "set", near, "addrgenmode", "none"),
        ("-n", name, "link", "set", near, "up"),
        ("-n", name, "addr", "add", "192.0.2.10/24", "dev", near),
        ("-n", name, "addr", "add", "2001:db8::10/64", "dev", near, "nodad"),
        # With attributes of its own, so that a restored route that lacks one is seen.
        (
            *("-n", name, "route", "add", "default", "via", "192.0.2.1", "dev", near),
            *("proto", "dhcp", "src", "192.0.2.10", "metric", "100", "mtu", "1400"),
        ),
        ("-n", name, "-6", "route", "add", "default", "via", "2001:db8::1", "dev", near),
    )
    for command in commands:
        subprocess.run(["ip", *command], check=True)


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A namespace of its own, removed afterwards."""
    base = f"gf{os.getpid()}n{next(_numbers)}"
    name, peer = f"{base}c", f"{base}p"
    made: list[str] = []
    try:
        for each in (name, peer):
            subprocess.run(["ip", "netns", "add", each], check=True)
            made.append(each)
        _build(name, peer)
        yield Namespace(name)
    finally:
        for each in made:
            subprocess.run(["ip", "netns", "del", each], check=True)


@pytest.fixture
def steer(namespace: Namespace) -> Iterator[Callable[..., Steered]]:
    """Starts steered sessions in the namespace and ends them afterwards."""
    started: list[Steered] = []

    def start(*words: str) -> Steered:
        started.append(Steered(namespace, *words))
        return started[-1]

    try:
        yield start
    finally:
        for each in started:
            each.stop()
