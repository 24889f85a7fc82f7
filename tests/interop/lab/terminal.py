"""A client at a terminal of its own: what it asks is read, answers and control keys are typed."""

import os
import pty
import re
import select
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.deadlines import wait_until
from tests.interop.lab.openvpn import ClientSetup, client_program
from tests.interop.lab.process import ROOT, LabError, clean_environment
from tests.interop.lab.topology import Lab

TIMEOUT = 40.0
INTERRUPT = "\x03"


class AtTerminal:
    """Runs the client under test in the laptop of a lab. Use it as a context manager."""

    def __init__(
        self,
        lab: Lab,
        setup: ClientSetup,
        *,
        label: str = "terminal",
        mounts: Mapping[Path, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """``mounts`` are directories that it sees in the place of others, which it alone does."""
        config = lab.directory / f"{label}.ovpn"
        config.write_text(setup.render(lab.pki))
        argv = [*client_program(), "--config", str(config), *setup.arguments]
        if mounts:
            steps = " && ".join(f"mount --bind {ours} {place}" for ours, place in mounts.items())
            argv = ["unshare", "-m", "sh", "-c", f'{steps} && exec "$@"', "sh", *argv]
        self._master, terminal = pty.openpty()
        self._popen = subprocess.Popen(
            ["setsid", "--ctty", *lab.laptop.command(argv)],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            cwd=ROOT,
            env=clean_environment(environment),
        )
        os.close(terminal)
        self.shown = ""
        self._looked_at = 0

    def __enter__(self) -> "AtTerminal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._popen.poll() is None:
                self.send(signal.SIGTERM)
                self.wait_exit()
        finally:
            if self._popen.poll() is None:
                self._popen.kill()
                self._popen.wait()
            os.close(self._master)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def send(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def _read(self) -> None:
        while select.select([self._master], [], [], 0.02)[0]:
            try:
                part = os.read(self._master, 65536)
            except OSError:  # the program has closed its terminal
                return
            self.shown += part.decode("utf-8", "replace")

    def wait_for(self, pattern: str) -> str:
        """Waits for text behind what was waited for before."""

        def found() -> re.Match[str] | None:
            self._read()
            return re.compile(pattern, re.MULTILINE).search(self.shown, self._looked_at)

        match = wait_until(found, timeout=TIMEOUT, what=f"/{pattern}/ in {self.shown[-2000:]!r}")
        self._looked_at = match.end()
        return match.group(0)

    def answer(self, question: str, text: str) -> None:
        """Waits for a question and types the answer, with a newline unless it is a control key."""
        self.wait_for(re.escape(question))
        typed = text if text == INTERRUPT else f"{text}\n"
        os.write(self._master, typed.encode())

    def wait_exit(self) -> int:
        """Waits for the end, reading on, and returns the exit status."""

        def ended() -> bool:
            self._read()
            return self._popen.poll() is not None

        wait_until(ended, timeout=TIMEOUT, what=f"the end of it: {self.shown[-2000:]!r}")
        self._read()
        status = self._popen.returncode
        if status is None:
            raise LabError("it ended without a status")
        return status
