"""A program at a terminal of its own: questions are answered as they come."""

import os
import pty
import select
import sys
import time

import pytest

DEADLINE = 40.0


def at_terminal(program: str, answers: dict[bytes, bytes]) -> str:
    """Runs the program with a terminal of its own; gives answers to questions; returns it all."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", program])
    seen = b""
    left = dict(answers)
    give_up_at = time.monotonic() + DEADLINE
    try:
        while time.monotonic() < give_up_at:
            ready, _, _ = select.select([terminal], [], [], 0.5)
            if not ready:
                continue
            try:
                chunk = os.read(terminal, 4096)
            except OSError:  # the other end is closed
                break
            if not chunk:
                break
            seen += chunk
            for question, answer in list(left.items()):
                if question in seen:
                    del left[question]
                    os.write(terminal, answer)
        else:
            os.kill(pid, 9)
            pytest.fail(f"no end; the terminal shows {seen!r}")
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    return seen.decode()
