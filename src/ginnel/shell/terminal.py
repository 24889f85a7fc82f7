"""Asks the person at the terminal, without letting anything else wait.

The question goes to the controlling terminal, as OpenVPN's does, so that redirected output neither
hides it nor takes it. Whether there is anybody else to ask is ``prompt``'s business.
"""

import os
import sys
from contextlib import suppress

from ginnel.compat.log_lines import printable
from ginnel.hints import Self
from ginnel.options.values import Secret
from ginnel.shell.readable import readable

_TERMINAL = "/dev/tty"
MAX_QUESTION = 1024
"""Characters shown of a question, which may come from the server."""
MAX_LINE = 4096
"""What a terminal hands over at most as one line."""


class NothingEntered(Exception):
    """The input ended before there was an answer (Ctrl-D)."""


class Terminal:
    """The controlling terminal, or the one that standard input is."""

    def __init__(self, reading: int, writing: int) -> None:
        """Takes the descriptors over."""
        self._reading = reading
        self._writing = writing

    @classmethod
    def find(cls) -> Self | None:
        """Opens the terminal; None when this process has none."""
        flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
        with suppress(OSError):
            opened = os.open(_TERMINAL, flags)
            return cls(opened, os.dup(opened))
        with suppress(OSError, ValueError):
            if sys.stdin.isatty():
                return cls(os.dup(sys.stdin.fileno()), os.dup(sys.stderr.fileno()))
        return None

    def close(self) -> None:
        """Gives the descriptors back."""
        os.close(self._reading)
        os.close(self._writing)

    async def ask(self, question: str, *, echo: bool) -> Secret:
        """Shows a question and reads a line. Raises NothingEntered.

        However it ends, the terminal is as it was, and at the beginning of a line.
        """
        import termios

        before = termios.tcgetattr(self._reading)
        if not echo:
            silent = list(before)
            silent[3] &= ~termios.ECHO
            termios.tcsetattr(self._reading, termios.TCSAFLUSH, silent)
        line_is_open = True
        try:
            self._write(f"{printable(question, MAX_QUESTION)} ")
            answer = await self._read_line()
            line_is_open = not echo
        finally:
            termios.tcsetattr(self._reading, termios.TCSADRAIN, before)
            if line_is_open:
                self._write("\n")
        return answer

    def _write(self, text: str) -> None:
        with suppress(OSError):  # a terminal that is full or gone: the answer decides
            os.write(self._writing, text.encode("utf-8", "replace"))

    async def _read_line(self) -> Secret:
        """Reads into a buffer that can be wiped."""
        buffer = bytearray(MAX_LINE)
        filled = 0
        try:
            while filled < MAX_LINE and buffer.find(b"\n", 0, filled) < 0:
                await readable(self._reading)
                try:
                    count = os.readv(self._reading, [memoryview(buffer)[filled:]])
                except (BlockingIOError, InterruptedError):
                    continue
                except OSError as gone:
                    raise NothingEntered from gone
                if count == 0:
                    raise NothingEntered
                filled += count
            end = buffer.find(b"\n", 0, filled)
            return Secret(buffer[: filled if end < 0 else end])
        finally:
            buffer[:] = bytes(MAX_LINE)
