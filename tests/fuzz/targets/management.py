"""The management interface: whatever a client sends, in whatever pieces."""

from collections.abc import Callable, Mapping

from ginnel.options.values import Secret
from tests.fuzz.pieces import cut
from tests.unit.management.fakes import Rig

MAX_HEARD = 4 << 20
"""Bytes that 64 pieces may be answered with; ``test 1000`` alone is worth some kilobytes."""


def management(data: bytes) -> None:
    """The first bit asks for a password first, the second holds."""
    flags = data[0] if data else 0
    rig = Rig(password=Secret(b"pw") if flags & 1 else None, hold=bool(flags & 2))
    rig.session.begin()
    rig.connect()
    heard = 0
    for piece in cut(data[1:]):
        if rig.session.finished:
            break
        heard += len(rig.send(piece))
    assert heard < MAX_HEARD
    rig.session.disconnect()


TARGETS: Mapping[str, Callable[[bytes], None]] = {"management": management}
