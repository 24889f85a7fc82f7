"""TCP streams through many tunnels at once, counted at the receiving end.

    python -m bench.streams serve ADDRESS PORT
    python -m bench.streams drive ADDRESS PORT up|down SECONDS DEVICE...

``drive`` opens one stream through each device, lets them settle, and prints as JSON how many bytes
each of them moved in the seconds that followed. All devices may have addresses of one network.
"""

import argparse
import contextlib
import json
import selectors
import socket
import struct
import sys
import time

CHUNK = 256 * 1024
SETTLE_SECONDS = 1.0
CONNECT_SECONDS = 10.0
UP, DOWN = b"U", b"D"
_BYTES_ACKED = struct.Struct("=120xQ")
"""Where ``struct tcp_info`` of linux/tcp.h has ``tcpi_bytes_acked``."""

_block = memoryview(bytearray(CHUNK))


def serve(address: str, port: int) -> None:
    """Takes streams for ever: the first byte says whether we send or receive."""
    with socket.create_server((address, port), backlog=512) as listener:
        listener.setblocking(False)
        chosen = selectors.DefaultSelector()
        chosen.register(listener, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            for key, _ in chosen.select():
                peer = key.fileobj
                assert isinstance(peer, socket.socket)
                if peer is listener:
                    accepted, _ = listener.accept()
                    accepted.setblocking(False)
                    chosen.register(accepted, selectors.EVENT_READ, None)
                elif not _move(chosen, peer, key.data):
                    chosen.unregister(peer)
                    peer.close()


def _move(chosen: selectors.BaseSelector, peer: socket.socket, way: bytes | None) -> bool:
    """One step of a stream; False when it is over."""
    try:
        if way is None:
            way = peer.recv(1)
            events = selectors.EVENT_WRITE if way == DOWN else selectors.EVENT_READ
            chosen.modify(peer, events, way)
            return bool(way)
        if way == DOWN:
            return peer.send(_block) > 0
        return peer.recv_into(_block) > 0
    except BlockingIOError:
        return True
    except OSError:
        return False


class Stream:
    """One of the driving end's streams."""

    def __init__(self, address: str, port: int, way: bytes, device: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.settimeout(CONNECT_SECONDS)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        self._socket.connect((address, port))
        self._socket.sendall(way)
        self._socket.setblocking(False)
        self._way = way
        self._received = 0

    def register(self, chosen: selectors.BaseSelector) -> None:
        events = selectors.EVENT_WRITE if self._way == UP else selectors.EVENT_READ
        chosen.register(self._socket, events, self)

    def move(self) -> None:
        with contextlib.suppress(BlockingIOError):
            if self._way == UP:
                self._socket.send(_block)
                return
            count = self._socket.recv_into(_block)
            if count == 0:
                raise ConnectionError("the stream ended")
            self._received += count

    @property
    def arrived(self) -> int:
        """Bytes that the receiving end has."""
        if self._way == DOWN:
            return self._received
        facts = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.size)
        acked: int = _BYTES_ACKED.unpack(facts)[0]
        return acked

    def close(self) -> None:
        self._socket.close()


def drive(address: str, port: int, way: bytes, seconds: float, devices: list[str]) -> list[int]:
    """Moves bytes through all devices at once; returns each stream's count."""
    streams = [Stream(address, port, way, device) for device in devices]
    chosen = selectors.DefaultSelector()
    for stream in streams:
        stream.register(chosen)
    _move_until(chosen, time.monotonic() + SETTLE_SECONDS)
    before = [stream.arrived for stream in streams]
    _move_until(chosen, time.monotonic() + seconds)
    counts = [stream.arrived - base for stream, base in zip(streams, before, strict=True)]
    for stream in streams:
        stream.close()
    return counts


def _move_until(chosen: selectors.BaseSelector, end: float) -> None:
    while (left := end - time.monotonic()) > 0:
        for key, _ in chosen.select(left):
            assert isinstance(key.data, Stream)
            key.data.move()


def main() -> int:
    parser = argparse.ArgumentParser(description="TCP streams through many tunnels at once.")
    parser.add_argument("role", choices=["serve", "drive"])
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("way", nargs="?", choices=["up", "down"])
    parser.add_argument("seconds", nargs="?", type=float)
    parser.add_argument("devices", nargs="*")
    given = parser.parse_args()
    if given.role == "serve":
        serve(given.address, given.port)
        return 0
    way = UP if given.way == "up" else DOWN
    print(json.dumps(drive(given.address, given.port, way, given.seconds, given.devices)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
