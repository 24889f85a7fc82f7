"""Datagrams at a steady rate, and how many of them arrive.

    python -m bench.datagrams receive ADDRESS PORT
    python -m bench.datagrams send ADDRESS PORT SIZE RATE SECONDS

The receiver prints ``ready``, counts, and ends a while after the last one; both print JSON. Many
datagrams go with one system call (``sendmmsg``, ``recvmmsg``), each still on its own through the
stack: what source and sink cost is missing at the tunnel between them, on the same cores.
"""

import argparse
import ctypes
import errno
import json
import os
import socket
import sys
import time

BUFFER = 8 << 20
BURST_SECONDS = 0.0005
"""Datagrams go out in bursts of this length: a process cannot wake up for each of them."""
BATCH = 64
LARGEST = 2048
FIRST_SECONDS = 10.0
IDLE_SECONDS = 0.4
MSG_WAITFORONE = 0x10000
SO_RCVBUFFORCE = 33
SO_SNDBUFFORCE = 32

_libc = ctypes.CDLL(None, use_errno=True)


class _Vector(ctypes.Structure):
    """``struct iovec``."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """``struct mmsghdr``; it needs no name and no control data."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("padding", ctypes.c_uint32),
        ("moved", ctypes.c_uint32),
    )


class Batch:
    """Room for datagrams of one size, which all share the same bytes: nobody looks at them."""

    def __init__(self, size: int) -> None:
        self._room = ctypes.create_string_buffer(size)
        self._vector = _Vector(ctypes.addressof(self._room), size)
        one = _Message(vectors=ctypes.pointer(self._vector), vector_count=1)
        self._messages = (_Message * BATCH)(*([one] * BATCH))

    def send(self, sock: socket.socket, count: int) -> int:
        """Sends as many, or as many as go at once; returns how many. Waits for room."""
        sent: int = _libc.sendmmsg(sock.fileno(), self._messages, min(count, BATCH), 0)
        if sent < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return sent

    def receive(self, sock: socket.socket) -> int:
        """Takes what is there, 0 when nothing came within the socket's own time limit."""
        flags = MSG_WAITFORONE
        count: int = _libc.recvmmsg(sock.fileno(), self._messages, BATCH, flags, None)
        if count < 0:
            code = ctypes.get_errno()
            if code == errno.EAGAIN:
                return 0
            raise OSError(code, os.strerror(code))
        return count


def receive(address: str, port: int) -> dict[str, int]:
    """Counts what arrives until nothing has come for a while."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        sock.bind((address, port))
        print("ready", flush=True)
        batch, count = Batch(LARGEST), 0
        _wait_at_most(sock, FIRST_SECONDS)
        while came := batch.receive(sock):
            if count == 0:
                _wait_at_most(sock, IDLE_SECONDS)
            count += came
        return {"received": count}


def _wait_at_most(sock: socket.socket, seconds: float) -> None:
    """The kernel's own limit: Python's would make the socket one that does not wait."""
    limit = int(seconds).to_bytes(8, "little") + int(seconds % 1 * 1e6).to_bytes(8, "little")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)


def send(address: str, port: int, size: int, rate: float, seconds: float) -> dict[str, float]:
    """Sends at the rate, or as near to it as this process comes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, BUFFER)
        sock.connect((address, port))
        batch = Batch(size)
        begun = time.monotonic()
        sent = 0
        while (now := time.monotonic() - begun) < seconds:
            due = int(now * rate)
            if due > sent:
                sent += batch.send(sock, due - sent)
            elif (ahead := begun + now + BURST_SECONDS - time.monotonic()) > 0:
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
        print(json.dumps(receive(given.address, given.port)), flush=True)
    else:
        sent = send(given.address, given.port, given.size, given.rate, given.seconds)
        print(json.dumps(sent), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
