"""A light load generator: thousands of OpenVPN clients in one process, told what to do by lines.

    python -m bench.load CONFIG ADDRESS PORT

Reads commands from standard input and answers each with one line of JSON:

    connect COUNT WAITING DEADLINE COUNT more clients, no more than WAITING of them unanswered
                                   (0: all at once)
    probe COUNT DEADLINE           one client after the other, each leaves before the next comes
    leave                          all clients say goodbye
    hold                           how many still have a connection

Between commands, and until its input ends, it keeps the clients alive with pings.
"""

import argparse
import gc
import heapq
import json
import os
import select
import sys
from ipaddress import ip_address

from bench.load_client import LoadClient, Subject, read_subject
from ginnel.core.types import Endpoint, Instant
from ginnel.shell.clock import monotonic_now

INPUT = 0
LEAVE_SECONDS = 2.0
ARRIVALS_AT_ONCE = 8


class Generator:
    """All clients of this process, one epoll and one heap of timers."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._clients: dict[int, LoadClient] = {}
        self._timers: list[tuple[Instant, int, LoadClient]] = []
        self._timer_count = 0
        self._waiting: set[LoadClient] = set()
        self._epoll = select.epoll()
        self._epoll.register(INPUT, select.EPOLLIN)

    def wait_command(self) -> list[str]:
        """Serves the clients until a command comes; empty at the end of the input."""
        while True:
            if self._step(None):
                return sys.stdin.buffer.readline().decode().split()

    def connect(self, count: int, most_waiting: int, deadline: float) -> dict[str, object]:
        """Adds clients and waits for them; see the module."""
        begun = monotonic_now()
        cpu = _own_cpu()
        fresh: list[LoadClient] = []
        give_up = Instant(begun + deadline)
        while len(fresh) < count or self._waiting:
            now = monotonic_now()
            if now >= give_up:
                break
            room = count if most_waiting == 0 else most_waiting - len(self._waiting)
            # A few at a time: answers to those before them are not kept waiting meanwhile.
            coming = max(0, min(count - len(fresh), room, ARRIVALS_AT_ONCE))
            fresh += [self._add(monotonic_now()) for _ in range(coming)]
            more = coming == ARRIVALS_AT_ONCE
            self._step(Instant(now) if more else give_up, commands=False)
        self._waiting.clear()
        took = sorted(
            it.connected_at - it.started_at for it in fresh if it.connected_at is not None
        )
        last = max((it.connected_at for it in fresh if it.connected_at is not None), default=begun)
        ends = {it.ended.explanation or it.ended.signal_text for it in fresh if it.ended}
        return {
            "asked": count,
            "connected": len(took),
            "seconds": round(last - begun, 4),
            "each": [round(it, 4) for it in took],
            "cpu": round(_own_cpu() - cpu, 3),
            "errors": sorted(ends)[:5],
        }

    def probe(self, count: int, deadline: float) -> dict[str, object]:
        """Connects one client after the other."""
        each: list[float] = []
        errors: set[str] = set()
        for _ in range(count):
            result = self.connect(1, 0, deadline)
            each += result["each"] if isinstance(result["each"], list) else []
            errors.update(map(str, result["errors"] if isinstance(result["errors"], list) else []))
            self.leave()
        return {"asked": count, "connected": len(each), "each": each, "errors": sorted(errors)}

    def leave(self) -> dict[str, object]:
        """Ends all clients and waits until their goodbyes are out."""
        now = monotonic_now()
        for client in self._clients.values():
            client.leave(now)
            self._arm(client)
        give_up = Instant(now + LEAVE_SECONDS)
        while monotonic_now() < give_up:
            if all(it.ended is not None for it in self._clients.values()):
                break
            self._step(give_up, commands=False)
        left = len(self._clients)
        for client in self._clients.values():
            self._epoll.unregister(client.fileno())
            client.close()
        self._clients.clear()
        self._timers.clear()
        return {"left": left}

    def hold(self) -> dict[str, object]:
        """Counts those with a connection."""
        alive = [it for it in self._clients.values() if it.ended is None]
        return {"clients": len(self._clients), "alive": len(alive)}

    def _add(self, now: Instant) -> LoadClient:
        client = LoadClient(self._subject, now)
        self._clients[client.fileno()] = client
        self._epoll.register(client.fileno(), select.EPOLLIN)
        self._waiting.add(client)
        self._arm(client)
        return client

    def _step(self, until: Instant | None, *, commands: bool = True) -> bool:
        """Serves what is ready, waiting for it until the given time; True when a command waits."""
        now = monotonic_now()
        times = [time for time in (until, self._timers[0][0] if self._timers else None) if time]
        wait = max(0.0, min(times) - now) if times else -1
        commanded = False
        for number, _ in self._epoll.poll(wait, 256):
            if number == INPUT:
                if not commands:
                    raise SystemExit("whoever gave the command has gone")
                commanded = True
                continue
            client = self._clients[number]
            client.read(self._subject.remote)
            self._arm(client)
            if client.is_settled:
                self._waiting.discard(client)
        now = monotonic_now()
        while self._timers and self._timers[0][0] <= now:
            _, _, client = heapq.heappop(self._timers)
            client.armed_for = None
            if self._clients.get(client.fileno()) is client:
                due = client.next_timeout()
                if due is not None and due <= now:
                    client.handle_timeout(now)
                    if client.is_settled:
                        self._waiting.discard(client)
                self._arm(client)
        return commanded

    def _arm(self, client: LoadClient) -> None:
        """One entry of the heap for each client, and another only when something is due earlier."""
        due = client.next_timeout()
        if due is None or (client.armed_for is not None and client.armed_for <= due):
            return
        client.armed_for = due
        self._timer_count += 1
        heapq.heappush(self._timers, (due, self._timer_count, client))


def _own_cpu() -> float:
    times = os.times()
    return times.user + times.system


def main() -> int:
    parser = argparse.ArgumentParser(description="Many OpenVPN clients in one process.")
    parser.add_argument("config", help="a client's configuration file")
    parser.add_argument("address", help="the server's address")
    parser.add_argument("port", type=int)
    given = parser.parse_args()
    remote = Endpoint(ip_address(given.address), given.port)
    generator = Generator(read_subject(given.config, remote))
    gc.freeze()  # the collector's rounds would be measured as the server's delay
    gc.disable()
    print(json.dumps({"ready": True}), flush=True)
    while words := generator.wait_command():
        match words:
            case ["connect", count, waiting, deadline]:
                answer = generator.connect(int(count), int(waiting), float(deadline))
            case ["probe", count, deadline]:
                answer = generator.probe(int(count), float(deadline))
            case ["leave"]:
                answer = generator.leave()
            case ["hold"]:
                answer = generator.hold()
            case _:
                answer = {"errors": [f"unknown command: {' '.join(words)}"]}
        print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
