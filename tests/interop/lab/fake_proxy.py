"""A proxy that misbehaves: a program of its own, run inside a namespace.

Prints ``ready`` once it listens, then one line for each connection, and serves until it is ended.
Not responsible for a proxy that works: the tests use real ones for that.
"""

import argparse
import socket
import threading
from collections.abc import Iterator

_HEADERS_AT_ONCE = 100

_ANSWERS = {
    "forbidden": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
    "ntlm": b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: NTLM\r\n\r\n",
    "garbage": b"\x16\x03\x01\x00\xff\x80\x81 no proxy at all\r\n\r\n",
    "close": b"",
    "socks-refuse": b"\x05\x00\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00",
    "socks-login": b"\x05\xff",
}


def _endless() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 Connection established\r\n"
    number = 0
    while True:
        first = number
        number += _HEADERS_AT_ONCE
        yield b"".join(b"X-Header-%d: more\r\n" % index for index in range(first, number))


def _serve(client: socket.socket, kind: str) -> None:
    with client:
        try:
            client.recv(4096)
            if kind == "hang":
                while client.recv(4096):
                    pass
            elif kind == "endless":
                for piece in _endless():
                    client.sendall(piece)
            else:
                client.sendall(_ANSWERS[kind])
                if _ANSWERS[kind]:
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(4096):
                        pass
        except OSError:
            return  # the client has enough


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["hang", "endless", *_ANSWERS])
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    wanted = parser.parse_args()
    family = socket.AF_INET6 if ":" in wanted.address else socket.AF_INET
    with socket.create_server((wanted.address, wanted.port), family=family) as server:
        print("ready", flush=True)
        while True:
            client, source = server.accept()
            print(f"connection from {source[0]}", flush=True)
            threading.Thread(target=_serve, args=(client, wanted.kind), daemon=True).start()


if __name__ == "__main__":
    main()
