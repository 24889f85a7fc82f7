"""Cuts what a management client sends into lines, within OpenVPN's bounds.

Not responsible for what a line means (``commands``). Checked against openvpn 2.6.14
(tests/vectors/management/framing.json).
"""

LINE_BYTES = 1024
"""Buffer for one line with its line end; what does not fit is thrown away with the byte after it.
OpenVPN does exactly so, and goes on with the rest as if it were a new line."""

_NEWLINE = 0x0A
_SPACE = 0x20
_DELETE = 0x7F


class LineBuffer:
    """Collects bytes and gives whole lines. Holds at most ``LINE_BYTES``."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, received: bytes) -> list[str]:
        """Returns the lines that ``received`` completes, without control characters.

        Bytes that are not UTF-8 become surrogates, so that they survive a way back to bytes.
        """
        lines: list[str] = []
        position = 0
        while position < len(received):
            room = LINE_BYTES - len(self._buffer)
            if room == 0:
                self._buffer.clear()
                position += 1
                continue
            end = received.find(b"\n", position, position + room)
            stop = position + room if end < 0 else end + 1
            self._buffer += received[position:stop]
            position = stop
            if end >= 0:
                lines.append(_printable(self._buffer))
                self._buffer.clear()
        return lines


def _printable(line: bytearray) -> str:
    kept = bytes(byte for byte in line if byte >= _SPACE and byte != _DELETE)
    return kept.decode("utf-8", "surrogateescape")
