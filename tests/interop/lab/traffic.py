"""Traffic with proof: hashed TCP streams, and numbered UDP datagrams that are echoed and counted.

Runs inside namespaces as a program of its own: ``serve`` in the office, then
``push``, ``pull`` or ``probe`` in the laptop, each of which prints one JSON line. Not responsible
for throughput figures of a benchmark: it is Python on both ends.
"""

import argparse
import hashlib
import json
import os
import random
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial

CHUNK = 1 << 18
HEADER = struct.Struct(">cQQ")
PUSH = b"U"
PULL = b"D"
PROBE = struct.Struct(">QQ")
STREAM_TIMEOUT = 120.0
PORT = 7007
SHOWN_LOSSES = 20
_UDP_SEGMENT = 103


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamResult:
    """One stream: bytes moved, seconds taken, and the hash that each end computed on its own."""

    size: int
    seconds: float
    sent_sha256: str
    received_sha256: str

    @classmethod
    def from_json(cls, text: str) -> "StreamResult":
        parsed = json.loads(text)
        return cls(
            size=int(parsed["size"]),
            seconds=float(parsed["seconds"]),
            sent_sha256=str(parsed["sent_sha256"]),
            received_sha256=str(parsed["received_sha256"]),
        )

    @property
    def intact(self) -> bool:
        """True when both ends computed the same hash."""
        return self.sent_sha256 == self.received_sha256

    @property
    def megabits(self) -> float:
        return self.size * 8 / 1e6 / max(self.seconds, 1e-9)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """Numbered datagrams: sent, echoed (each counted once), and what came twice or damaged.

    ``lost_at`` are the seconds since the start at which the first lost ones were due.
    """

    sent: int
    echoed: int
    duplicated: int
    damaged: int
    lost_at: tuple[float, ...]

    @classmethod
    def from_json(cls, text: str) -> "ProbeResult":
        parsed = json.loads(text)
        return cls(
            sent=int(parsed["sent"]),
            echoed=int(parsed["echoed"]),
            duplicated=int(parsed["duplicated"]),
            damaged=int(parsed["damaged"]),
            lost_at=tuple(float(second) for second in parsed["lost_at"]),
        )

    @property
    def lost(self) -> int:
        return self.sent - self.echoed


def _blocks(seed: int, size: int) -> Iterator[bytes]:
    """Gives ``size`` pseudo-random bytes in chunks; the chunk's number is stamped on each."""
    base = random.Random(seed).randbytes(CHUNK)
    for number, start in enumerate(range(0, size, CHUNK)):
        yield (struct.pack(">Q", number) + base[8:])[: size - start]


def _send(sock: socket.socket, seed: int, size: int, *, pauses: bool = False) -> str:
    digest = hashlib.sha256()
    for number, block in enumerate(_blocks(seed, size)):
        if pauses and number == size // CHUNK // 2:
            _pause()
        digest.update(block)
        sock.sendall(block)
    return digest.hexdigest()


def _receive(sock: socket.socket, size: int, *, pauses: bool = False) -> str:
    digest = hashlib.sha256()
    left = size
    while left:
        if pauses and left <= size // 2:
            pauses = False
            _pause()
        block = sock.recv(min(left, CHUNK))
        if not block:
            raise ConnectionError(f"the stream ended {left} bytes early")
        digest.update(block)
        left -= len(block)
    return digest.hexdigest()


def _pause() -> None:
    """Stops this program until it is continued."""
    print("half", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)


def _receive_exactly(sock: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        more = sock.recv(size - len(content))
        if not more:
            raise ConnectionError("the peer closed early")
        content += more
    return content


def _family(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _serve_stream(sock: socket.socket) -> None:
    """Answers one stream: takes what is pushed or gives what is pulled, then its own hash."""
    sock.settimeout(STREAM_TIMEOUT)
    kind, seed, size = HEADER.unpack(_receive_exactly(sock, HEADER.size))
    own = _receive(sock, size) if kind == PUSH else _send(sock, seed, size)
    sock.sendall(own.encode())


class Service:
    """The office's end: TCP streams and UDP echo on the same port of every given address."""

    def __init__(self, addresses: list[str], port: int) -> None:
        self._selector = selectors.DefaultSelector()
        for address in addresses:
            listener = socket.create_server((address, port), family=_family(address))
            self._selector.register(listener, selectors.EVENT_READ, "stream")
            echo = socket.socket(_family(address), socket.SOCK_DGRAM)
            echo.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            echo.bind((address, port))
            echo.setblocking(False)
            self._selector.register(echo, selectors.EVENT_READ, "echo")

    def run(self) -> None:
        """Serves until killed; each stream in a process of its own, so echoes go on meanwhile."""
        while True:
            for key, _ in self._selector.select():
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if key.data == "echo":
                    _echo(sock)
                else:
                    _fork_stream(sock)


def _echo(sock: socket.socket) -> None:
    try:
        while True:
            payload, source = sock.recvfrom(65_535)
            sock.sendto(payload, source)
    except BlockingIOError:
        return


def _fork_stream(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    if os.fork():
        connection.close()
        return
    status = 0
    try:
        _serve_stream(connection)
    except OSError as broken:
        print(f"stream failed: {broken}", flush=True)
        status = 1
    os._exit(status)


def stream(
    host: str, port: int, size: int, seed: int, *, push: bool, pauses: bool = False
) -> StreamResult:
    """Moves ``size`` bytes one way and compares nothing: the caller does, with both hashes.

    One that ``pauses`` stops this program half-way, with most of the rest not sent by either end.
    """
    with socket.create_connection((host, port), timeout=STREAM_TIMEOUT) as sock:
        if pauses:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK)
        started = time.monotonic()
        sock.sendall(HEADER.pack(PUSH if push else PULL, seed, size))
        move = partial(_send, sock, seed) if push else partial(_receive, sock)
        own = move(size, pauses=pauses)
        theirs = _receive_exactly(sock, 64).decode()
        seconds = time.monotonic() - started
    sent, received = (own, theirs) if push else (theirs, own)
    return StreamResult(size=size, seconds=seconds, sent_sha256=sent, received_sha256=received)


class Prober:
    """Sends numbered datagrams at an even rate and counts the echoes."""

    def __init__(self, host: str, port: int, *, size: int, grace: float, burst: int = 1) -> None:
        """``burst`` datagrams leave in one call, which the kernel cuts as late as it can."""
        self._sock = socket.socket(_family(host), socket.SOCK_DGRAM)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._sock.connect((host, port))
        self._sock.setblocking(False)
        self._padding = bytes(index & 0xFF for index in range(max(0, size - PROBE.size)))
        self._grace = grace
        self._burst = burst
        size = PROBE.size + len(self._padding)
        cut = (socket.IPPROTO_UDP, _UDP_SEGMENT, struct.pack("=H", size))
        self._ancillary = [cut] if burst > 1 else []
        self._seen: set[int] = set()
        self._duplicated = 0
        self._damaged = 0
        self._run = random.getrandbits(64)

    def run(self, rate: int, seconds: float) -> ProbeResult:
        """Runs to the end; then waits for stragglers until all came or the grace is over."""
        total = int(rate * seconds)
        started = time.monotonic()
        for first in range(0, total, self._burst):
            self._listen(started + first / rate)
            numbers = range(first, min(first + self._burst, total))
            datagrams = [PROBE.pack(self._run, number) + self._padding for number in numbers]
            try:
                self._sock.sendmsg(datagrams, self._ancillary)
            except OSError:  # not sent counts as lost: a tunnel that is down must show
                continue
        deadline = time.monotonic() + self._grace
        while len(self._seen) < total and time.monotonic() < deadline:
            self._listen(min(deadline, time.monotonic() + 0.1))
        lost = [number for number in range(total) if number not in self._seen]
        return ProbeResult(
            sent=total,
            echoed=len(self._seen),
            duplicated=self._duplicated,
            damaged=self._damaged,
            lost_at=tuple(number / rate for number in lost[:SHOWN_LOSSES]),
        )

    def _listen(self, until: float) -> None:
        """Takes echoes until the time has come."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._sock, selectors.EVENT_READ)
            while True:
                left = until - time.monotonic()
                if selector.select(max(0.0, left)):
                    self._take()
                if left <= 0:
                    return

    def _take(self) -> None:
        while True:
            try:
                payload = self._sock.recv(65_535)
            except OSError:
                return
            if len(payload) != PROBE.size + len(self._padding):
                self._damaged += 1
                continue
            run, number = PROBE.unpack_from(payload)
            if run != self._run or payload[PROBE.size :] != self._padding:
                self._damaged += 1
            elif number in self._seen:
                self._duplicated += 1
            else:
                self._seen.add(number)


def main() -> int:
    parser = argparse.ArgumentParser(description="hashed streams and counted datagrams")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve")
    serve.add_argument("addresses", nargs="+")
    serve.add_argument("--port", type=int, default=PORT)
    for name in ("push", "pull"):
        command = commands.add_parser(name)
        command.add_argument("host")
        command.add_argument("--port", type=int, default=PORT)
        command.add_argument("--size", type=int, default=64 << 20)
        command.add_argument("--seed", type=int, default=1)
        command.add_argument("--pauses", action="store_true")
    probe = commands.add_parser("probe")
    probe.add_argument("host")
    probe.add_argument("--port", type=int, default=PORT)
    probe.add_argument("--rate", type=int, default=500)
    probe.add_argument("--seconds", type=float, default=5.0)
    probe.add_argument("--size", type=int, default=1000)
    probe.add_argument("--grace", type=float, default=3.0)
    probe.add_argument("--burst", type=int, default=1)
    given = parser.parse_args()
    if given.command == "serve":
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # streams' processes are reaped at once
        service = Service(given.addresses, given.port)
        print("ready", flush=True)
        service.run()
    if given.command == "probe":
        prober = Prober(
            given.host, given.port, size=given.size, grace=given.grace, burst=given.burst
        )
        print(json.dumps(asdict(prober.run(given.rate, given.seconds))))
        return 0
    push = given.command == "push"
    moved = stream(given.host, given.port, given.size, given.seed, push=push, pauses=given.pauses)
    print(json.dumps(asdict(moved)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
