"""Datagrams at a steady rate, and how many of them arrive.

    python -m bench.datagrams receive ADDRESS PORT
    python -m bench.datagrams send ADDRESS PORT SIZE RATE SECONDS

The receiver prints ``ready``, counts, and ends a while after the last one; both print JSON.
"""

import argparse
import json
import socket
import sys
import time

BUFFER = 8 << 20
BURST_SECONDS = 0.0005
"""Datagrams go out in bursts of this length: a process cannot wake up for each of them."""
FIRST_SECONDS = 20.0
IDLE_SECONDS = 1.0
SO_RCVBUFFORCE = 33
SO_SNDBUFFORCE = 32


def receive(address: str, port: int) -> dict[str, float]:
    """Counts what arrives until nothing has come for a second."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        sock.bind((address, port))
        print("ready", flush=True)
        room = bytearray(2048)
        sock.settimeout(FIRST_SECONDS)
        count, first, last = 0, 0.0, 0.0
        try:
            sock.recv_into(room)
            first = time.monotonic()
            sock.settimeout(IDLE_SECONDS)
            count = 1
            take = sock.recv_into
            while True:
                take(room)
                count += 1
                if count & 0xFF == 0:
                    last = time.monotonic()
        except TimeoutError:
            pass
        return {"received": count, "seconds": round(max(last - first, 0.0), 4)}


def send(address: str, port: int, size: int, rate: float, seconds: float) -> dict[str, float]:
    """Sends at the rate, or as near to it as this process comes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, BUFFER)
        sock.connect((address, port))
        payload = bytes(size)
        put = sock.send
        begun = time.monotonic()
        sent = 0
        while (now := time.monotonic() - begun) < seconds:
            due = int(now * rate)
            for _ in range(due - sent):
                put(payload)
            sent = max(sent, due)
            ahead = begun + now + BURST_SECONDS - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
        return {"sent": sent, "seconds": round(time.monotonic() - begun, 4)}


def main() -> int:
    parser = argparse.ArgumentParser(description="Datagrams at a steady rate.")
    parser.add_argument("role", choices=["receive", "send"])
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("size", type=int, nargs="?", default=64)
    parser.add_argument("rate", type=float, nargs="?", default=10_000.0)
    parser.add_argument("seconds", type=float, nargs="?", default=2.0)
    given = parser.parse_args()
    if given.role == "receive":
        found = receive(given.address, given.port)
    else:
        found = send(given.address, given.port, given.size, given.rate, given.seconds)
    print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
