"""A client that logs in properly and then sends garbage, and floods of first packets.

Run as a program from the repository: ``hostile CONFIG ADDRESS PORT garbage|flood ...``. It speaks
through the project's own client machine, so what it sends is well sealed where it has to be. Prints
``connected`` when the garbage begins, and one line of JSON at its end.
"""

import argparse
import json
import random
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address

from bench.load_client import LoadClient, Subject, read_subject
from ginnel.core.types import Endpoint, Instant
from ginnel.shell.clock import monotonic_now

CONNECT_SECONDS = 20.0
WORDS = (
    b"\0\0\1\0",
    b"no such message\0",
    b"PUSH_REPLY,ifconfig 10.10.112.1 255.255.240.0\0",
    b"PUSH_REQUEST" * 50 + b"\0",
    b"CR_RESPONSE,%%%not-base64%%%\0",
    b"CR_RESPONSE," + b"QUJD" * 2000 + b"\0",
    b"AUTH_FAILED,I refuse you\0",
    b"RESTART,[N]\0",
    b"HALT\0",
    b"INFO," + b"A" * 9000 + b"\0",
    b"PUSH_UPDATE,-ifconfig\0",
    b"AUTH_PENDING,timeout 4000000000\0",
    bytes(range(256)),
)


class HostileClient(LoadClient):
    """A client of the load generator that says what no client says."""

    __slots__ = ()

    def talk(self, words: bytes, now: Instant) -> None:
        """Says anything on the control channel; no client's own method does."""
        self._machine._link.current.key.write(words, now)
        self._machine.handle_timeout(now)
        self._drain(now)

    def inner(self, packet: bytes) -> None:
        """Sends a data packet with a good key around whatever it is."""
        self._ping(packet)

    def outer(self, packet: bytes) -> None:
        self._send(packet)

    @property
    def peer_id(self) -> int:
        return self._peer_id


def connect(subject: Subject) -> HostileClient:
    """Logs in. Raises SystemExit when that fails."""
    client = HostileClient(subject, monotonic_now())
    deadline = monotonic_now() + CONNECT_SECONDS
    while not client.is_settled and monotonic_now() < deadline:
        _serve(client, subject.remote, 0.05)
    if client.connected_at is None:
        raise SystemExit(f"no connection: {client.ended}")
    return client


def _serve(client: HostileClient, remote: Endpoint, seconds: float) -> None:
    select.select([client], [], [], seconds)
    client.read(remote)
    client.handle_timeout(monotonic_now())


def inner_garbage(draw: random.Random) -> Iterator[bytes]:
    """Packets that no tunnel device gives: noise, cut headers, foreign and impossible sources."""
    while True:
        yield draw.randbytes(draw.randrange(0, 1400))
        header = _ipv4_header(draw)
        yield header[: draw.randrange(len(header))]
        yield header + draw.randbytes(draw.randrange(0, 200))
        yield bytes([draw.randrange(256)]) + b"\xff" * 60
        yield b"\x60" + draw.randbytes(draw.randrange(0, 80))


def _ipv4_header(draw: random.Random) -> bytes:
    source, target = draw.getrandbits(32), draw.choice([0x0A0A7001, 0xFFFFFFFF, 0xE0000001])
    fixed = struct.pack(">BBHHHBBH", 0x45, 0, draw.getrandbits(16), 1, 0, 64, 17, 0)
    return fixed + IPv4Address(source).packed + IPv4Address(target).packed


def outer_garbage(draw: random.Random, peer_id: int) -> Iterator[bytes]:
    """Packets from the client's own address that nothing good is in."""
    while True:
        yield draw.randbytes(draw.randrange(1, 1400))
        yield bytes([9 << 3 | draw.randrange(8)]) + peer_id.to_bytes(3, "big") + draw.randbytes(60)
        yield bytes([draw.randrange(256)]) + draw.randbytes(draw.randrange(0, 100))
        yield bytes([5 << 3]) + draw.randbytes(40)
        yield bytes([4 << 3]) + draw.randbytes(1200)


def run_garbage(subject: Subject, seconds: float, rate: int) -> dict[str, object]:
    """Sends every kind for the given time, said now and then; says whether it still lives."""
    draw = random.Random(7)
    client = connect(subject)
    print("connected", flush=True)
    inside, outside = inner_garbage(draw), outer_garbage(draw, client.peer_id)
    ends = time.monotonic() + seconds
    sent = said = 0
    while time.monotonic() < ends:
        for _ in range(max(1, rate // 200)):
            client.inner(next(inside))
            client.outer(next(outside))
            sent += 2
        if client.ended is None:
            client.talk(WORDS[said % len(WORDS)], monotonic_now())
            said += 1
        _serve(client, subject.remote, 0.005)
    client.close()
    return {"sent": sent, "said": said, "ended": client.ended is not None}


def run_flood(subject: Subject, seconds: float, rate: int) -> dict[str, object]:
    """Sends first packets from many ports: noise, cut ones, and well-wrapped ones replayed."""
    draw = random.Random(11)
    remote = (str(subject.remote.address), subject.remote.port)
    good = _first_packets(subject, 8)
    kinds = [*good, *(packet[:-1] + b"\0" for packet in good), *(packet[:30] for packet in good)]
    kinds += [b"\x38" + draw.randbytes(13), b"\x50" + draw.randbytes(400), draw.randbytes(60)]
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(500)]
    begun = time.monotonic()
    print("connected", flush=True)
    sent = 0
    while (passed := time.monotonic() - begun) < seconds:
        if sent >= passed * rate:
            time.sleep(0.002)
            continue
        for _ in range(32):
            try:
                socks[sent % len(socks)].sendto(kinds[draw.randrange(len(kinds))], remote)
            except OSError:
                continue
            finally:
                sent += 1
    for sock in socks:
        sock.close()
    return {"sent": sent}


def _first_packets(subject: Subject, count: int) -> list[bytes]:
    """What clients say first, as the machine wraps it; nobody goes on with them."""
    packets: list[bytes] = []

    class Silent(HostileClient):
        __slots__ = ()

        def _send(self, packet: bytes) -> None:
            packets.append(packet)

    for _ in range(count):
        Silent(subject, monotonic_now()).close()
    return packets


def run_half_open(remote: Endpoint, seconds: float, count: int) -> dict[str, object]:
    """Opens TCP connections that say nothing, keeps them, and counts those that ended."""
    socks: list[socket.socket] = []
    for _ in range(count):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.connect_ex((str(remote.address), remote.port))
        socks.append(sock)
    print("connected", flush=True)
    ends = time.monotonic() + seconds
    closed: set[int] = set()
    watch = select.epoll()
    for sock in socks:
        watch.register(sock.fileno(), select.EPOLLIN | select.EPOLLHUP | select.EPOLLONESHOT)
    while time.monotonic() < ends and len(closed) < count:
        closed.update(number for number, _ in watch.poll(0.2))
    return {"opened": len(socks), "closed": len(closed)}


def main() -> int:
    parser = argparse.ArgumentParser(description="a hostile client")
    parser.add_argument("config")
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("what", choices=("garbage", "flood", "half-open"))
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rate", type=int, default=2000, help="packets a second, or connections")
    given = parser.parse_args()
    remote = Endpoint(ip_address(given.address), given.port)
    if given.what == "half-open":
        result = run_half_open(remote, given.seconds, given.rate)
    else:
        subject = read_subject(given.config, remote)
        run = run_garbage if given.what == "garbage" else run_flood
        result = run(subject, given.seconds, given.rate)
    print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
