"""Stands for the system's log: prints what programs send to ``/dev/log``, one line each.

Runs as a program of its own inside a private mount namespace. Not responsible for priorities and
times: a test looks at tag and text.
"""

import re
import signal
import socket
import sys
from pathlib import Path

PREFIX = re.compile(rb"<\d+>(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d )?")
MAX_LINE = 65536


def main(path: str) -> None:
    """Binds the socket, says ``ready``, and prints until it is ended."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    sink = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sink.bind(path)
    Path(path).chmod(0o666)
    print("ready", flush=True)
    while True:
        text = PREFIX.sub(b"", sink.recv(MAX_LINE), count=1).rstrip(b"\n\0")
        sys.stdout.buffer.write(text + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1])
