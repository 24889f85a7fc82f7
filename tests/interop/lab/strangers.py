"""TCP servers that are no OpenVPN servers; run as a program: ``strangers ADDRESS PORT KIND...``.

Each kind listens on a port of its own, the first on PORT: ``http`` answers as a web server does,
``zero`` sends a record of length zero, ``closes`` hangs up, ``resets`` does so rudely, and
``silent`` accepts and says nothing.
"""

import contextlib
import selectors
import socket
import struct
import sys

ANSWERS = {"http": b"HTTP/1.1 400 Bad Request\r\n\r\n", "zero": b"\0\0"}
KINDS = ("http", "zero", "closes", "resets", "silent")


def greet(kind: str, sock: socket.socket) -> bool:
    """Does what the kind does first; True when the connection stays open."""
    if kind in ANSWERS:
        sock.sendall(ANSWERS[kind])
    if kind == "resets":
        sock.settimeout(5)
        sock.recv(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return kind not in {"closes", "resets"}


def main(address: str, port: int, kinds: list[str]) -> None:
    waiting = selectors.DefaultSelector()
    for offset, kind in enumerate(kinds):
        listener = socket.create_server((address, port + offset))
        waiting.register(listener, selectors.EVENT_READ, kind)
    print("ready", flush=True)
    kept = []
    while True:
        for key, _ in waiting.select():
            assert isinstance(key.fileobj, socket.socket)
            sock, _source = key.fileobj.accept()
            with contextlib.suppress(OSError):  # whoever came may have gone
                if greet(str(key.data), sock):
                    kept.append(sock)
                    continue
            sock.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
