"""Programs of strangers at a server's TCP port: a silent crowd, and a web server with its visitor.

Run in a namespace by the lab: ``silent HOST PORT COUNT``, ``web PORT``, ``visit HOST PORT``.
"""

import http.server
import socket
import sys
import time
import urllib.request


def silent(host: str, port: int, count: int) -> None:
    """Opens connections that say nothing, and holds them until it is ended."""
    held = [socket.create_connection((host, port)) for _ in range(count)]
    print(f"{len(held)} are connected", flush=True)
    while True:
        time.sleep(60)


class Page(http.server.BaseHTTPRequestHandler):
    """Answers with the port that the visitor seems to come from."""

    def do_GET(self) -> None:
        body = f"hello {self.client_address[0]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def web(port: int) -> None:
    """Serves one page on the loopback."""
    with http.server.HTTPServer(("127.0.0.1", port), Page) as server:
        print("ready", flush=True)
        server.serve_forever()


def visit(host: str, port: int) -> None:
    """Fetches the page and prints it."""
    with urllib.request.urlopen(f"http://{host}:{port}/", timeout=10) as answer:
        print(answer.read().decode(), flush=True)


def main(words: list[str]) -> None:
    match words:
        case ["silent", host, port, count]:
            silent(host, int(port), int(count))
        case ["web", port]:
            web(int(port))
        case ["visit", host, port]:
            visit(host, int(port))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
