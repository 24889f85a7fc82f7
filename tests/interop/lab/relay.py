"""A UDP relay that spoils the path on purpose: loss, duplicates, reordering, damage, delay, MTU.

Runs inside a namespace as a program of its own. The seed decides every fault, so
a run can be repeated. SIGUSR1 makes the path dead, SIGUSR2 alive again, SIGHUP gives every client
a new source port as a NAT box may; SIGTERM ends it and prints one JSON line of counts. Not
responsible for timing accuracy below a millisecond.
"""

import argparse
import heapq
import ipaddress
import json
import random
import selectors
import signal
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

MAX_CLIENTS = 64
MAX_QUEUED = 20_000
RECEIVE_SIZE = 65_535
SOCKET_BUFFER = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Probabilities from 0 to 1, delays in seconds; ``mtu`` 0 lets every size pass."""

    seed: int = 1
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0
    mtu: int = 0

    def arguments(self) -> list[str]:
        return [f"--{name}={getattr(self, name)}" for name in Faults.__slots__]


@dataclass(order=True, slots=True)
class _Queued:
    due: float
    number: int
    payload: bytes = field(compare=False)
    out: socket.socket = field(compare=False)
    target: tuple[str, int] | None = field(compare=False)


class Relay:
    """Forwards between clients and one server; each client gets its own socket to the server."""

    def __init__(self, listen: tuple[str, int], server: tuple[str, int], faults: Faults) -> None:
        self._server = server
        self._faults = faults
        # One stream of choices for each direction: traffic one way does not shift the other's.
        self._choices = {way: random.Random(f"{faults.seed}-{way}") for way in ("up", "down")}
        self._family = _family(listen[0])
        self._selector = selectors.DefaultSelector()
        self._upstreams: dict[tuple[str, int], socket.socket] = {}
        self._queue: list[_Queued] = []
        self._number = 0
        self.dead = False
        self.stopped = False
        self.rebind_wanted = False
        self.counts: Counter[str] = Counter()
        self._front = self._open(self._family)
        self._front.bind(listen)
        self._selector.register(self._front, selectors.EVENT_READ, None)

    def _open(self, family: int) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
        return sock

    def run(self) -> None:
        """Forwards until stopped."""
        while not self.stopped:
            for key, _ in self._selector.select(self._pause()):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                self._drain(sock, key.data)
            self._send_due()
            if self.rebind_wanted:
                self._rebind()

    def _rebind(self) -> None:
        """Forgets the sockets towards the server; what still waits in them is sent nevertheless."""
        self.rebind_wanted = False
        for sock in self._upstreams.values():
            self._selector.unregister(sock)
        self._upstreams.clear()

    def _pause(self) -> float:
        if not self._queue:
            return 0.2
        return max(0.0, min(0.2, self._queue[0].due - time.monotonic()))

    def _drain(self, sock: socket.socket, client: tuple[str, int] | None) -> None:
        for _ in range(64):
            try:
                payload, source = sock.recvfrom(RECEIVE_SIZE)
            except BlockingIOError:
                return
            except ConnectionRefusedError:  # the server's port is closed: a dead path, no more
                continue
            if client is None:
                upstream = self._upstream((source[0], source[1]))
                if upstream is not None:
                    self._spoil("up", payload, upstream, None)
            else:
                self._spoil("down", payload, self._front, client)

    def _upstream(self, client: tuple[str, int]) -> socket.socket | None:
        known = self._upstreams.get(client)
        if known is not None:
            return known
        if len(self._upstreams) >= MAX_CLIENTS:
            self.counts["refused"] += 1
            return None
        sock = self._open(_family(self._server[0]))
        sock.connect(self._server)
        self._upstreams[client] = sock
        self._selector.register(sock, selectors.EVENT_READ, client)
        return sock

    def _spoil(
        self, way: str, payload: bytes, out: socket.socket, target: tuple[str, int] | None
    ) -> None:
        """Decides the fate of one datagram."""
        faults, choice = self._faults, self._choices[way]
        overhead = 48 if self._family == socket.AF_INET6 else 28
        self.counts[f"{way}"] += 1
        if self.dead:
            self.counts["dead"] += 1
            return
        if faults.mtu and len(payload) + overhead > faults.mtu:
            self.counts["too_big"] += 1
            return
        if choice.random() < faults.loss:
            self.counts["lost"] += 1
            return
        copies = 1
        if choice.random() < faults.duplicate:
            self.counts["duplicated"] += 1
            copies = 2
        if choice.random() < faults.corrupt and payload:
            self.counts["corrupted"] += 1
            position = choice.randrange(len(payload))
            flipped = payload[position] ^ (1 << choice.randrange(8))
            payload = payload[:position] + bytes([flipped]) + payload[position + 1 :]
        for _ in range(copies):
            wait = faults.delay + choice.random() * faults.jitter
            if choice.random() < faults.reorder:
                self.counts["reordered"] += 1
                wait += 0.002 + choice.random() * 0.008
            self._push(wait, payload, out, target)

    def _push(
        self, wait: float, payload: bytes, out: socket.socket, target: tuple[str, int] | None
    ) -> None:
        if len(self._queue) >= MAX_QUEUED:
            self.counts["overflow"] += 1
            return
        self._number += 1
        due = time.monotonic() + wait
        queued = _Queued(due=due, number=self._number, payload=payload, out=out, target=target)
        heapq.heappush(self._queue, queued)

    def _send_due(self) -> None:
        now = time.monotonic()
        while self._queue and self._queue[0].due <= now:
            entry = heapq.heappop(self._queue)
            try:
                if entry.target is None:
                    entry.out.send(entry.payload)
                else:
                    entry.out.sendto(entry.payload, entry.target)
                self.counts["sent"] += 1
            except OSError:  # a full buffer or a closed port: what a network does too
                self.counts["unsendable"] += 1


def _family(address: str) -> int:
    is_v6 = ipaddress.ip_address(address).version == 6
    return socket.AF_INET6 if is_v6 else socket.AF_INET


def _endpoint(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def main() -> int:
    parser = argparse.ArgumentParser(description="UDP relay with seeded faults")
    parser.add_argument("--listen", type=_endpoint, required=True)
    parser.add_argument("--to", type=_endpoint, required=True)
    defaults = Faults()
    for name in Faults.__slots__:
        value = getattr(defaults, name)
        parser.add_argument(f"--{name}", type=type(value), default=value)
    given = parser.parse_args()
    faults = Faults(**{name: getattr(given, name) for name in Faults.__slots__})
    relay = Relay(given.listen, given.to, faults)

    def stop(_number: int, _frame: object) -> None:
        relay.stopped = True

    def switch(number: int, _frame: object) -> None:
        relay.dead = number == signal.SIGUSR1

    def rebind(_number: int, _frame: object) -> None:
        relay.rebind_wanted = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, rebind)
    signal.signal(signal.SIGUSR1, switch)
    signal.signal(signal.SIGUSR2, switch)
    print("ready", flush=True)
    relay.run()
    print(json.dumps(relay.counts), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
