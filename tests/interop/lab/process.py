"""Starts, watches and ends the processes of a lab; each one writes its output to a log file.

Not responsible for what the processes do: see ``openvpn`` for servers and clients.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.deadlines import DeadlinePassed, wait_until

ROOT = Path(__file__).resolve().parents[3]
"""The repository: programs are started with it as their working directory."""

STOP_GRACE = 30.0
TAIL_LINES = 40


class LabError(AssertionError):
    """Something in the lab went otherwise than the test asked; the message quotes the log."""


def module_command(module: str, *arguments: str) -> list[str]:
    """Gives the command line of one of the lab's own small programs.

    Run by path: they need the standard library only and start without the rest of the lab.
    """
    program = Path(__file__).with_name(f"{module}.py")
    return [sys.executable, "-P", str(program), *arguments]


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Builds a small fixed environment, so that a developer's settings do not change a run."""
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "HOME": os.environ.get("HOME", "/root"),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    # Variables of the program under test travel on: which engine to use, extra checks.
    environment |= {key: value for key, value in os.environ.items() if key.startswith("GINNEL_")}
    return environment | dict(extra or {})


class Process:
    """One running program with its log. Ended by its own pid only."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        name: str,
        log: Path,
        environment: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=clean_environment(environment),
                start_new_session=True,
            )
        if stdin is not None and self._popen.stdin is not None:
            self._popen.stdin.write(stdin)
            self._popen.stdin.close()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def status(self) -> int | None:
        """Exit status, or None while it runs; negative when a signal ended it."""
        return self._popen.poll()

    def log_text(self, since: int = 0) -> str:
        """Reads the log from a byte offset that ``mark`` gave."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(since)
            return file.read().decode("utf-8", "replace")

    def mark(self) -> int:
        """Returns the present end of the log, to look only at what comes later."""
        return self.log.stat().st_size if self.log.exists() else 0

    def tail(self) -> str:
        lines = self.log_text().splitlines()[-TAIL_LINES:]
        return "\n".join(lines)

    def wait_for(self, pattern: str, *, timeout: float = 40.0, since: int = 0) -> re.Match[str]:
        """Waits until a line of the log matches. Fails at once when the program ended before."""
        regex = re.compile(pattern, re.MULTILINE)

        def found_or_ended() -> tuple[re.Match[str] | None] | None:
            ended = self.status is not None  # asked before reading: the last lines still count
            match = regex.search(self.log_text(since))
            return (match,) if match or ended else None

        try:
            (match,) = wait_until(found_or_ended, timeout=timeout, what=f"/{pattern}/")
        except DeadlinePassed as late:
            raise LabError(f"{self.name}: {late}; its log ends:\n{self.tail()}") from late
        if match is None:
            message = f"{self.name} ended with {self.status} before /{pattern}/; its log ends:"
            raise LabError(f"{message}\n{self.tail()}")
        return match

    def count(self, pattern: str, since: int = 0) -> int:
        """Counts matches in the log so far."""
        return len(re.findall(pattern, self.log_text(since), re.MULTILINE))

    def wait_count(self, pattern: str, wanted: int, *, timeout: float, since: int = 0) -> None:
        """Waits until the pattern was seen ``wanted`` times."""
        try:
            wait_until(
                lambda: self.count(pattern, since) >= wanted,
                timeout=timeout,
                what=f"{wanted} times /{pattern}/",
            )
        except DeadlinePassed as late:
            raise LabError(f"{self.name}: {late}; its log ends:\n{self.tail()}") from late

    def wait_exit(self, timeout: float = 40.0) -> int:
        """Waits for the end and returns the exit status; negative when a signal ended it."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired as late:
            message = f"{self.name} still runs after {timeout:g} s; its log ends:"
            raise LabError(f"{message}\n{self.tail()}") from late

    def send(self, number: signal.Signals) -> None:
        """Sends a signal; a program that has just ended is no error."""
        if self.status is None:
            self._popen.send_signal(number)

    def kill(self) -> None:
        """Ends it the hard way, as a crash or the kernel would."""
        self.send(signal.SIGKILL)
        self._popen.wait(STOP_GRACE)

    def stop(self) -> int:
        """Asks it to end and returns the exit status.

        Raises LabError, after killing it, when it does not end by itself: no program of a lab may
        need that.
        """
        self.send(signal.SIGTERM)
        try:
            return self._popen.wait(STOP_GRACE)
        except subprocess.TimeoutExpired as late:
            self.kill()
            message = f"{self.name} ignored SIGTERM for {STOP_GRACE:g} s; its log ends:"
            raise LabError(f"{message}\n{self.tail()}") from late


def end_pid(pid: int, gone: Callable[[], bool]) -> None:
    """Ends a process that is not our child: TERM, then KILL when ``gone`` stays false."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        with contextlib.suppress(DeadlinePassed):
            wait_until(gone, timeout=10, what=f"the end of process {pid}")
            return
