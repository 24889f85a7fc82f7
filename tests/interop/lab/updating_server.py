"""A server of the tests' own that can send any control message: Debian's 2.6 has no PUSH_UPDATE.

It serves one client over UDP with real TLS and no data channel, on the server of the simulations.
Lines that are appended to its script file are sent as control messages, each once.
"""

import argparse
import os
import select
import socket
import sys
import time
from pathlib import Path

from ginnel.core.tls_context import build_tls_context
from ginnel.core.types import Instant, Side
from ginnel.core.wrap.plain import PlainControl
from ginnel.options.model import TlsOptions
from ginnel.options.values import FileContent, Origin, Secret
from tests.sim.server import ServerScript, SimServer

LOOK_AGAIN = 0.1
"""Seconds until the script file is looked at again."""


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("listen", "port", "ca", "cert", "key", "script", "push"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    context = build_tls_context(
        TlsOptions(ca=_file(given.ca), cert=_file(given.cert), key=_file(given.key)),
        side=Side.SERVER,
        unix_time=int(time.time()),
    )
    server = SimServer(
        wrapping=PlainControl,
        tls=context.channel,
        entropy=os.urandom,
        script=ServerScript(push=[given.push], dynamic_crypt=False),
    )
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.bind((given.listen, int(given.port)))
    print("ready", flush=True)
    serve(server, link, Path(given.script))
    return 0


def serve(server: SimServer, link: socket.socket, script: Path) -> None:
    """Serves until it is ended from outside."""
    peer: tuple[str, int] | None = None
    sent = 0
    while True:
        ready, _, _ = select.select([link], [], [], LOOK_AGAIN)
        now = Instant(time.monotonic())
        if ready:
            packet, peer = link.recvfrom(65536)
            server.receive(packet, now)
        lines = script.read_text().splitlines() if script.exists() else []
        for line in lines[sent:]:
            server.say(line, now)
        sent = len(lines)
        if peer is not None:
            for packet in server.outgoing(now):
                link.sendto(packet, peer)


def _file(path: str) -> FileContent:
    content = Secret(Path(path).read_bytes())
    return FileContent(option="file", origin=Origin("lab", 1), content=content, path=path)


if __name__ == "__main__":
    sys.exit(main())
